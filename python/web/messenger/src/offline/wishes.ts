/** Whether this browser is to keep recent messages, and how that stands. What is kept, and how, is loaded when needed. */
import type { State } from "../api/types";
import { Store } from "../store";

const KEY = "kept";

/** `waiting`: wanted, and nothing is kept until the password is entered here. */
export type Keeping = "off" | "on" | "waiting";

function wanted(): boolean {
  try {
    return localStorage.getItem(KEY) !== null;
  } catch {
    return false;
  }
}

export const keeping = new Store<Keeping>(wanted() ? "waiting" : "off");

// Another tab has put everything away.
window.addEventListener("storage", ({ key, newValue }) => {
  if (key === KEY) keeping.set(newValue === null ? "off" : "waiting");
});

function want(on: boolean): void {
  try {
    if (on) localStorage.setItem(KEY, "1");
    else localStorage.removeItem(KEY);
  } catch {
    // A browser that keeps nothing keeps no messages either.
  }
}

/** One after the other: what is put away must not be there again because something older ended later. */
let last: Promise<unknown> = Promise.resolve();

function next<T>(work: () => Promise<T>): Promise<T> {
  const result = last.then(work);
  last = result.catch(() => undefined);
  return result;
}

/** Everything that was kept is gone, with its key; it is asked for no longer. */
export function stopKeeping(): Promise<void> {
  return next(async () => {
    const kept = wanted();
    want(false);
    keeping.set("off");
    if (kept) await (await import("./keeper")).end();
  });
}

/** From now on, under this password if the messenger has one. Both are the page's from then on, and not before. */
export function startKeeping(password: string | null): Promise<void> {
  return next(async () => {
    want(true);
    await (await import("./keeper")).begin(password);
    keeping.set("on");
  });
}

/** A password was entered or set here: what is kept is kept under it. */
export async function passwordIs(password: string): Promise<void> {
  if (wanted()) await startKeeping(password).catch(() => keeping.set("waiting"));
}

/** An account was cleared: nothing of it stays, and of the others what may. */
export function keepAnew(): Promise<void> {
  return next(async () => {
    if (!wanted()) return;
    keeping.set("waiting");
    await (await import("./keeper")).end();
  });
}

/** What the service has just said of itself; `null` if this browser may not come in any more. */
export function heard(state: State | null): void {
  if (!wanted()) return;
  if (!state || (!state.locked && !state.accounts.length)) void stopKeeping().catch(() => undefined);
  else {
    void next(async () => {
      if (!wanted()) return;
      keeping.set(await (await import("./keeper")).follow(state));
    }).catch(() => undefined);
  }
}
