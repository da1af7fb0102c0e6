/** What the page knows of calls before there is one: who has it, and that somebody wants to call. */
import { get, patch } from "../api/client";
import { attempt, client, of } from "../api/queries";
import type { Call, Conversation, Settings, State } from "../api/types";
import { Store } from "../store";

/** The name of this page among all that the service serves: a call is of the one that took it. */
export const owner: string = Array.from(crypto.getRandomValues(new Uint8Array(12)), (one) =>
  one.toString(16).padStart(2, "0"),
).join("");

export interface Wanted {
  account: string;
  contact: string;
  video: boolean;
}

/** Whom one wants to call. */
export const wanted = new Store<Wanted | null>(null);

export const canBeCalled = (one: Conversation): boolean =>
  one.kind === "contact" && one.approved && one.approved_me && !one.blocked && !one.request;

const settings = (account: string): Promise<Settings> =>
  client.ensureQueryData({ queryKey: [account, "settings"], queryFn: () => get<Settings>(of(account, "settings")) });

/** Calls; false where calls are off, which is to be asked first. */
export async function call(account: string, contact: string, video: boolean): Promise<boolean> {
  const set = await attempt(settings(account));
  if (!set) return true;
  if (!set.calls) return false;
  wanted.set({ account, contact, video });
  return true;
}

export async function turnOn(account: string): Promise<boolean> {
  const set = await attempt(patch<Settings>(of(account, "settings"), { calls: true }));
  if (set) client.setQueryData([account, "settings"], set);
  return Boolean(set);
}

/** The service has told of a call. */
export function setCall(account: string, call: Call): void {
  client.setQueryData<State>(["state"], (state) =>
    state
      ? {
          ...state,
          accounts: state.accounts.map((one) =>
            one.id === account ? { ...one, call: call.phase === "ended" ? null : call } : one,
          ),
        }
      : state,
  );
}
