/** In place of react-remove-scroll, see vite.config.ts: the page itself never scrolls, so nothing has to be locked. */
import { cloneElement, isValidElement, type ReactNode } from "react";

export function RemoveScroll({ children }: { children?: ReactNode; [attribute: string]: unknown }) {
  return isValidElement(children) ? cloneElement(children) : children;
}
