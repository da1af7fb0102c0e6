/** The headings beside the list, which has the page's own; on a phone what is beside it stands alone, a level higher. */
import { createElement, type HTMLAttributes, useSyncExternalStore } from "react";

/** As in `shell.css`. */
const phone = matchMedia("(max-width: 760px)");

const watch = (told: () => void) => {
  phone.addEventListener("change", told);
  return () => phone.removeEventListener("change", told);
};

/** `level`: where there is room for both. */
export function Heading({ level = 2, ...given }: HTMLAttributes<HTMLHeadingElement> & { level?: 2 | 3 | 4 }) {
  const alone = useSyncExternalStore(watch, () => phone.matches);
  return createElement(`h${alone ? level - 1 : level}`, given);
}
