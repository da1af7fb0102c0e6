/** What somebody has begun: a list of transactions, of which each is kept in the browser until all are done. */
import { Store } from "@allium/ui";
import type { Address, Hex } from "viem";
import type { Kind } from "../chain/problem";
import type { Key, Values } from "../i18n";

/** One step. Amounts are strings of digits: JSON has no others that are exact. */
export type Step =
  | { kind: "approve"; spender: Address; amount: string }
  /** For the contract that the step before has made. */
  | { kind: "approve-made"; amount: string }
  | { kind: "contribute"; pot: Address; amount: string; beneficiary: Address | null; via?: Address }
  | { kind: "contribute-made"; amount: string; beneficiary: Address | null }
  | { kind: "withdraw"; pot: Address; via?: Address }
  | { kind: "reset"; pot: Address }
  | { kind: "finalize"; pot: Address }
  | { kind: "fee"; pot: Address; points: number }
  | { kind: "reserve"; pot: Address; places: { addr: Address; amount: string }[] }
  | { kind: "manual"; pot: Address; value: boolean }
  | { kind: "beneficiary"; pot: Address; beneficiary: Address; via?: Address }
  | { kind: "rescue"; pot: Address; token: Address }
  | { kind: "release" }
  | { kind: "update"; who: Address }
  | { kind: "claim"; amount: string | null; via?: Address }
  | { kind: "request-exit"; node: number; via?: Address }
  | { kind: "exit"; pubkey: string }
  | { kind: "register"; signed: Signed; beneficiary: Address; via?: Address }
  | { kind: "deploy"; signed: Signed; fee: number; places: { addr: Address; amount: string }[]; manual: boolean }
  /** Of a contract that is there already: other settings, and the operator's stake. */
  | {
      kind: "reopen";
      pot: Address;
      signed: Signed;
      fee: number;
      places: { addr: Address; amount: string }[];
      manual: boolean;
      amount: string;
      beneficiary: Address | null;
    }
  | { kind: "flush" }
  | { kind: "vested"; vesting: Address }
  /** No transaction: until the network knows the node. */
  | { kind: "seen"; pubkey: string };

/** What a node has signed to be registered, hex. */
export interface Signed {
  ed25519: string;
  bls: string;
  signature: string;
  possession: string;
}

export type State =
  /** Its turn has not come. */
  | "waiting"
  /** It is tried out. */
  | "checking"
  /** The wallet asks its owner. */
  | "wallet"
  | "sent"
  /** The block that it was in is none any more. */
  | "reorganised"
  /** Nobody knows it any more. */
  | "lost"
  | "done"
  /** It was not needed. */
  | "skipped";

export interface Progress {
  step: Step;
  state: State;
  hash?: Hex;
  nonce?: number;
  /** The first block that it can be in. */
  from?: number;
  /** Where its receipt says that it is. */
  block?: number;
  blocks?: number;
  /** Gas that it is expected to take, and its price in wei. */
  gas?: string;
  gasPrice?: string;
  replaced?: boolean;
}

export interface Trouble {
  kind: Kind;
  text: string;
  error: string | null;
}

export interface Job {
  id: string;
  title: Key;
  values: Values;
  account: Address;
  chain: number;
  steps: Progress[];
  trouble: Trouble | null;
  /** The contract that a step has made. */
  made?: Address;
  finished: boolean;
}

const KEY = "jobs.1";
/** A text's key: at this time there are no texts yet. */
export const ASKED = "problem.reloaded" satisfies Key;
const MOST = 20;

/** What was under way when the page was left, and not sent, waits for its owner. */
function reloaded(one: Job): Job {
  const steps = one.steps.map((at): Progress => (at.state === "checking" ? { ...at, state: "waiting" } : at));
  const asked = steps.some(({ state }) => state === "wallet");
  return { ...one, steps, trouble: asked ? { kind: "wallet", text: ASKED, error: null } : one.trouble };
}

function kept(): Job[] {
  try {
    const told = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(told) ? told.map(reloaded) : [];
  } catch {
    return [];
  }
}

export const jobs = new Store<readonly Job[]>(kept());

function keep(next: readonly Job[]): void {
  jobs.set(next);
  try {
    localStorage.setItem(KEY, JSON.stringify(next));
  } catch {
    // A browser that keeps nothing forgets the steps over a reload; what was sent is on the chain.
  }
}

export const job = (id: string): Job | undefined => jobs.get().find((one) => one.id === id);

export function begin(made: Pick<Job, "title" | "values" | "account" | "chain">, steps: Step[]): Job {
  const begun: Job = {
    ...made,
    id: crypto.randomUUID?.() ?? String(Math.random()),
    steps: steps.map((step) => ({ step, state: "waiting" })),
    trouble: null,
    finished: false,
  };
  keep([begun, ...jobs.get()].slice(0, MOST));
  return begun;
}

export function change(id: string, part: Partial<Job>): void {
  keep(jobs.get().map((one) => (one.id === id ? { ...one, ...part } : one)));
}

export function progress(id: string, place: number, part: Partial<Progress>): void {
  const now = job(id);
  if (now) change(id, { steps: now.steps.map((one, at) => (at === place ? { ...one, ...part } : one)) });
}

export const remove = (id: string): void => keep(jobs.get().filter((one) => one.id !== id));
