/** Where one is: `#/ACCOUNT/c/CONVERSATION`, `#/ACCOUNT/settings/SECTION`, and what of it can be linked to. */
import { Store, useStore } from "./store";

export interface Route {
  account: string;
  view: "list" | "c" | "requests" | "settings";
  target: string;
  /** A message to jump to. */
  message: number | null;
}

function parse(hash: string): Route {
  const [account = "", view = "", target = "", message = ""] = hash
    .replace(/^#\/?/, "")
    .split("/")
    .map(decodeURIComponent);
  const known = view === "c" || view === "requests" || view === "settings" ? view : "list";
  return { account, view: known, target, message: /^\d+$/.test(message) ? Number(message) : null };
}

const current = new Store<Route>(parse(location.hash));
window.addEventListener("hashchange", () => current.set(parse(location.hash)));

export const useRoute = (): Route => useStore(current);
export const route = (): Route => current.get();

export function address(account: string, view = "", target = "", message?: number | null): string {
  const parts = [account, view, target, message ? String(message) : ""].filter(Boolean);
  return `#/${parts.map(encodeURIComponent).join("/")}`;
}

export function go(account: string, view = "", target = "", message?: number | null): void {
  const hash = address(account, view, target, message);
  if (hash === location.hash) current.set({ ...parse(hash) });
  else location.hash = hash;
}
