/** What one is sent here with: a link that the system hands on, or what another program shares. */
import { Store } from "./store";
import { type Invitation, invitationIn } from "./text/invitations";

export type Arrival =
  | { what: "open"; to: Invitation | null }
  | { what: "new" }
  | { what: "share"; text: string; files: File[] };

/** It waits until somebody is let in. */
export const arrival = new Store<Arrival | null>(null);

/** What the composer of a conversation is to take up. */
export const handed = new Store<{ account: string; id: string; text: string; files: File[] } | null>(null);

const LONGEST = 100_000;

/** The service worker holds what was shared, as no address could. */
async function take(name: string): Promise<void> {
  const worker = (await navigator.serviceWorker.ready).active;
  navigator.serviceWorker.addEventListener("message", function taken({ data }) {
    if (!data || !("shared" in data)) return;
    navigator.serviceWorker.removeEventListener("message", taken);
    if (data.shared) arrival.set({ what: "share", text: data.shared.text.slice(0, LONGEST), files: data.shared.files });
  });
  navigator.serviceWorker.startMessages();
  worker?.postMessage({ take: name });
}

/** Looks at the address that the page was opened with, and takes what it says out of it. */
export function arrive(): void {
  const given = new URLSearchParams(location.search);
  if (!location.search) return;
  history.replaceState(null, "", `/${location.hash}`);
  const open = given.get("open");
  const share = given.get("share");
  if (open !== null) arrival.set({ what: "open", to: invitationIn(open) });
  else if (share && "serviceWorker" in navigator) void take(share);
  else if (given.has("new")) arrival.set({ what: "new" });
}
