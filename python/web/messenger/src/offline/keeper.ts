/** Keeps what is newest for when the service is away: in one tab at a time, as the stream of events says that it changes. */
import { get } from "../api/client";
import { connected, onFrame } from "../api/events";
import { at, isRequest, of } from "../api/queries";
import type { Conversation, Frame, Page, State } from "../api/types";
import { byPlace } from "../list/order";
import * as kept from "./kept";
import * as vault from "./vault";

/** Milliseconds in which changes are gathered, and between two looks for what has disappeared. */
const TOGETHER = 1000;
const PURGE = 20_000;
/** These change nothing of what is kept. */
const PASSING = new Set([
  "typing_received",
  "attachment_progress",
  "connection_changed",
  "job_changed",
  "call_received",
]);

let running: AbortController | null = null;

function stop(): void {
  running?.abort();
  running = null;
}

function start(): void {
  if (running) return;
  const control = new AbortController();
  running = control;
  void keepOn(control).finally(() => {
    if (running === control) running = null;
  });
}

/** New keys, and everything from the beginning. */
export async function begin(password: string | null): Promise<void> {
  stop();
  await vault.renew(password);
  start();
}

/** Nothing is kept any more. */
export async function end(): Promise<void> {
  stop();
  await vault.wipe();
}

/** Keeps as the service's state allows: nothing while it is locked, and nothing without its password. */
export async function follow(state: State): Promise<"on" | "waiting"> {
  const by = await vault.lockedBy();
  const fits = !state.locked && by === (state.password ? "password" : "key");
  if (!fits) {
    stop();
    if (by !== "nothing") await vault.wipe();
    if (state.locked || state.password) return "waiting";
    await vault.renew(null);
  }
  start();
  return "on";
}

async function keepOn({ signal }: AbortController): Promise<void> {
  let more = true;
  while (more && !signal.aborted) {
    try {
      // The tab that has it writes; the others wait until it is closed.
      more = await navigator.locks.request("kept", { signal }, async () => {
        const writer = await vault.Writer.begin();
        if (!writer) return false;
        await new Round(writer, signal).run();
        return true;
      });
    } catch {
      return;
    }
  }
}

class Round {
  /** The slot of each conversation that is kept. */
  private slots = new Map<string, string>();
  private stale = new Set<string>();
  private everything = true;
  private due = true;
  private wake: () => void = () => undefined;
  private failure: unknown = null;

  constructor(
    private readonly writer: vault.Writer,
    private readonly signal: AbortSignal,
  ) {}

  /** Returns when it is stopped, or when another tab has made new keys. */
  async run(): Promise<void> {
    const left = [
      onFrame((frame) => this.take(frame)),
      connected.watch(() => {
        if (!connected.get()) void vault.seen(Date.now()).catch(() => undefined);
      }),
    ];
    const hidden = () => {
      if (document.hidden && connected.get()) void vault.seen(Date.now()).catch(() => undefined);
    };
    const ended = () => this.wake();
    document.addEventListener("visibilitychange", hidden);
    this.signal.addEventListener("abort", ended);
    const timer = setInterval(() => void vault.purge().catch(() => undefined), PURGE);
    try {
      await vault.purge();
      while (!this.signal.aborted && !this.failure) {
        if (!this.due) await new Promise<void>((resolve) => (this.wake = resolve));
        await new Promise((resolve) => setTimeout(resolve, TOGETHER));
        if (this.signal.aborted || this.failure) break;
        this.due = false;
        await this.write();
      }
    } finally {
      clearInterval(timer);
      this.signal.removeEventListener("abort", ended);
      document.removeEventListener("visibilitychange", hidden);
      for (const leave of left) leave();
    }
    if (this.failure && !(this.failure instanceof vault.Superseded)) throw this.failure;
  }

  private take({ type, account, conversation, message, resumed }: Frame): void {
    if (PASSING.has(type)) return;
    if (type === "hello" && !resumed) this.everything = true;
    const id = message?.conversation ?? conversation;
    if (account && id) {
      const key = `${account}/${id}`;
      this.stale.add(key);
      if (type === "message_deleted") {
        this.writer.drop(this.slots.get(key)).catch((error) => {
          this.failure = error;
          this.wake();
        });
      }
    }
    this.due = true;
    this.wake();
  }

  /** Whether all was written; what was not is tried again when the service says anything. */
  private async write(): Promise<void> {
    const { everything, stale } = this;
    this.everything = false;
    this.stale = new Set();
    try {
      await this.put(everything, stale);
    } catch (error) {
      if (error instanceof vault.Superseded || error instanceof DOMException) this.failure = error;
      this.everything ||= everything;
      for (const each of stale) this.stale.add(each);
    }
  }

  private async put(everything: boolean, stale: ReadonlySet<string>): Promise<void> {
    const state = await get<State>("state");
    if (state.locked) return;
    const slots = new Map<string, string>();
    const written = new Map<string, vault.Part[]>();
    const accounts: kept.KeptAccount[] = [];
    for (const account of state.accounts.filter((one) => one.open).slice(0, kept.MOST_ACCOUNTS)) {
      const found = await get<Conversation[]>(of(account.id, "conversations"), this.signal);
      const shown = found.filter((one) => !one.hidden && !one.blocked && !isRequest(one)).sort(byPlace);
      const conversations: kept.KeptConversation[] = [];
      for (const one of shown.slice(0, kept.MOST_CONVERSATIONS)) {
        const key = `${account.id}/${one.id}`;
        const known = this.slots.get(key);
        const slot = known ?? crypto.randomUUID();
        slots.set(key, slot);
        conversations.push(kept.conversation(one, slot));
        if (known && !everything && !stale.has(key)) continue;
        const { messages } = await get<Page>(
          at(account.id, one.id, `messages?limit=${kept.MOST_MESSAGES}`),
          this.signal,
        );
        written.set(slot, kept.parts(messages, Date.now()));
      }
      accounts.push(kept.account(account, conversations));
    }
    const names = new Map([...slots].map(([key, slot]) => [slot, key]));
    const gone = [...this.slots.values()].filter((slot) => !names.has(slot));
    await this.writer.write(written, gone, { accounts }, (slot) => this.stale.has(names.get(slot) ?? ""));
    this.slots = slots;
  }
}
