/** Where one is. Paths are real ones: the server gives the page for all of them. */
import { Store, useStore } from "@allium/ui";

const current = new Store<string>(location.pathname);
window.addEventListener("popstate", () => current.set(location.pathname));

/** The parts of the path: `["stake", "0x…"]`. */
export const useRoute = (): string[] => useStore(current).split("/").filter(Boolean);

export function go(path: string): void {
  if (path !== location.pathname) history.pushState(null, "", path);
  current.set(path);
  window.scrollTo(0, 0);
}
