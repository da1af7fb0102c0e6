/** Takes the steps of a job, one after the other; what was begun before a reload goes on. */
import { abis } from "virtual:contracts";
import { type Address, hexToNumber, parseEventLogs } from "viem";
import { ask } from "../api/client";
import { again } from "../api/queries";
import type { Stake } from "../api/types";
import { addresses, dataOf } from "../chain/contracts";
import { Problem, problemOf } from "../chain/problem";
import { config } from "../config";
import { t } from "../i18n";
import { connection } from "../wallet/connection";
import { callOf, type Surroundings } from "./calls";
import { Chain, type Receipt } from "./chain";
import { change, type Job, job, jobs, type Progress, progress } from "./job";

const POLL = 1_000;
/** Asked so often without an answer, a transaction is taken as forgotten. */
const FORGOTTEN = 5;
/** Gas beyond what was estimated: the state may change until it is included. */
const MARGIN = 120n;
const ALLOWANCE = "ERC20InsufficientAllowance";

const running = new Set<string>();
const pause = () => new Promise((done) => setTimeout(done, POLL));

export const isRunning = (id: string): boolean => running.has(id);

/** Goes on with a job until it is done, or until something is in the way, which the job then says. */
export async function run(id: string): Promise<void> {
  if (running.has(id)) return;
  running.add(id);
  change(id, { trouble: null });
  try {
    for (let place = 0; place < (job(id)?.steps.length ?? 0); place++) await take(id, place);
    if (job(id)) change(id, { finished: true });
  } catch (error) {
    const problem = problemOf(error);
    change(id, { trouble: { kind: problem.kind, text: problem.message, error: problem.error } });
  } finally {
    running.delete(id);
    void again();
  }
}

/** Once the wallet is there again: what was sent is waited for; whatever needs its owner waits for them. */
export function resume(): void {
  for (const one of jobs.get()) {
    const current = one.steps.find(({ state }) => state !== "done" && state !== "skipped");
    const waits = current && (["sent", "reorganised", "lost"].includes(current.state) || current.step.kind === "seen");
    const same = connection.get()?.account === one.account && connection.get()?.chain === one.chain;
    if (!one.finished && !one.trouble && waits && same) void run(one.id);
  }
}

function current(id: string): Job {
  const now = job(id);
  if (!now) throw new Problem("wallet", t("problem.gone"));
  return now;
}

/** The wallet, which has to be unlocked, on the right chain, and show the account that began. */
function ready(of: Job): Chain {
  const now = connection.get();
  if (!now?.account) throw new Problem("locked", t("problem.locked"));
  if (now.chain !== config.chain.id) throw new Problem("chain", t("problem.chain", { chain: config.chain.name }));
  if (now.account !== of.account) throw new Problem("account", t("problem.account", { account: of.account }));
  return new Chain(now.wallet.provider);
}

async function take(id: string, place: number): Promise<void> {
  const at = () => current(id).steps[place] as Progress;
  const set = (part: Partial<Progress>) => progress(id, place, part);
  if (at().state === "done" || at().state === "skipped") return;
  const { step } = at();
  if (step.kind === "seen") {
    set({ state: "sent" });
    await seen(step.pubkey);
    set({ state: "done" });
    return;
  }
  const chain = ready(current(id));
  if (at().state === "wallet") await adopt(id, place, chain);
  if (!at().hash) await send(id, place, chain);
  if (at().state === "skipped") return;
  const receipt = await included(id, place, chain);
  if (hexToNumber(receipt.status) !== 1) {
    set({ state: "waiting", hash: undefined });
    throw new Problem("revert", t("problem.reverted"));
  }
  const made = madeBy(receipt);
  if (made) change(id, { made });
  set({ state: "done" });
  void again();
}

function surroundings(id: string, places: Awaited<ReturnType<typeof addresses>>): Surroundings {
  const provider = connection.get()?.wallet.provider;
  if (!provider) throw new Problem("locked", t("problem.locked"));
  return { provider, addresses: places, job: current(id) };
}

/** Tries a step out, and has the wallet send it. */
async function send(id: string, place: number, chain: Chain): Promise<void> {
  const set = (part: Partial<Progress>) => progress(id, place, part);
  const { steps, account } = current(id);
  const step = steps[place]?.step;
  if (!step) return;
  set({ state: "checking" });
  try {
    const call = await callOf(step, surroundings(id, await addresses()));
    if (call === null) {
      set({ state: "skipped" });
      return;
    }
    const data = dataOf(call);
    if (step.kind === "approve") await tryNext(id, place, chain);
    await chain.simulate(account, call.address, data);
    const { gas, price } = await chain.gas(account, call.address, data);
    const limit = (gas * MARGIN) / 100n;
    const [nonce, from] = [await chain.nonce(account, true), await chain.height()];
    ready(current(id));
    set({ state: "wallet", gas: gas.toString(), gasPrice: price.toString(), nonce, from });
    const hash = await chain.send(account, call.address, data, limit);
    set({ state: "sent", hash });
  } catch (error) {
    set({ state: "waiting" });
    throw error;
  }
}

/** What the contract has against the step that an approval is for, but that it is not approved yet. */
async function tryNext(id: string, place: number, chain: Chain): Promise<void> {
  const { steps, account } = current(id);
  const step = steps[place + 1]?.step;
  if (!step || !("pot" in step || step.kind === "register")) return;
  const call = await callOf(step, surroundings(id, await addresses()));
  if (!call) return;
  try {
    await chain.simulate(account, call.address, dataOf(call));
  } catch (error) {
    const problem = problemOf(error);
    if (problem.error !== ALLOWANCE) throw problem;
  }
}

/** After a reload while the wallet asked: whether it was sent meanwhile. */
async function adopt(id: string, place: number, chain: Chain): Promise<void> {
  const { account, steps } = current(id);
  const { nonce = 0, from = 0 } = steps[place] ?? {};
  const found = (await chain.nonce(account)) > nonce ? await chain.withNonce(account, nonce, from) : null;
  progress(id, place, found ? { state: "sent", hash: found.hash } : { state: "waiting" });
}

/** The receipt, once the transaction is in as many blocks as are wanted. */
async function included(id: string, place: number, chain: Chain): Promise<Receipt> {
  const at = () => current(id).steps[place] as Progress;
  const set = (part: Partial<Progress>) => progress(id, place, part);
  let unknown = 0;
  for (;;) {
    const { hash } = at();
    if (!hash) throw new Problem("lost", t("problem.lost"));
    const receipt = await chain.receipt(hash);
    if (receipt) {
      unknown = 0;
      const block = hexToNumber(receipt.blockNumber);
      const blocks = (await chain.height()) - block + 1;
      if (at().block !== block || at().blocks !== blocks || at().state !== "sent")
        set({ state: "sent", block, blocks });
      // Asked again: it could have been taken back while the height was.
      if (blocks >= config.chain.confirmations && (await chain.receipt(hash))?.blockHash === receipt.blockHash)
        return receipt;
    } else {
      if (at().block !== undefined) set({ state: "reorganised", block: undefined, blocks: undefined });
      const known = await chain.transaction(hash);
      unknown = known ? 0 : unknown + 1;
      if (known && at().nonce !== hexToNumber(known.nonce)) set({ nonce: hexToNumber(known.nonce) });
      if (known && at().state === "lost") set({ state: "sent" });
      if (!known) await replacement(id, place, chain);
      if (unknown >= FORGOTTEN && at().hash === hash && at().state !== "lost") set({ state: "lost" });
    }
    await pause();
  }
}

/** Looks whether another transaction has taken the place of one, as wallets make them to speed up or to cancel. */
async function replacement(id: string, place: number, chain: Chain): Promise<void> {
  const { account, steps } = current(id);
  const { nonce, from = 0, hash } = steps[place] as Progress;
  if (nonce === undefined || (await chain.nonce(account)) <= nonce) return;
  const found = await chain.withNonce(account, nonce, from);
  if (!found || found.hash === hash) return;
  const call = await callOf((steps[place] as Progress).step, surroundings(id, await addresses())).catch(() => null);
  const same = call && found.to?.toLowerCase() === call.address.toLowerCase() && found.input === dataOf(call);
  if (same || call === null) {
    progress(id, place, { hash: found.hash, replaced: true, state: "sent" });
    return;
  }
  progress(id, place, { state: "waiting", hash: undefined, block: undefined });
  throw new Problem("rejected", t("problem.cancelled"));
}

/** The contract that a factory has made. */
function madeBy(receipt: Receipt): Address | null {
  const logs = receipt.logs as unknown as Parameters<typeof parseEventLogs>[0]["logs"];
  const [found] = parseEventLogs({ abi: abis.ServiceNodeContributionFactory, logs });
  const args = found && "args" in found ? (found.args as { contributorContract?: Address }) : {};
  return args.contributorContract ?? null;
}

async function seen(pubkey: string): Promise<void> {
  for (;;) {
    const { stakes } = await ask<{ stakes: Stake[] }>(`/stakes/${pubkey}`);
    if (stakes.length) return;
    await pause();
  }
}

/** Gives a transaction up that nobody knows any more, so that its step can be taken anew. */
export function giveUp(id: string): void {
  const place = current(id).steps.findIndex(({ state }) => state === "lost");
  if (place >= 0) progress(id, place, { state: "waiting", hash: undefined, block: undefined });
}
