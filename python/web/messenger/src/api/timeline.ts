/** The messages of one conversation that this page holds: one unbroken stretch, which grows at both ends. */
import { Store } from "../store";
import { get, sentence } from "./client";
import type { Message, Page } from "./types";

/** The number of the first message held; it falls as older ones come, as the virtual list wants it. */
const START = 1_000_000_000;
const SIZE = 100;
/** A stretch longer than this gives up its other end, so that memory does not grow with scrolling. */
const LONGEST = 1200;

export interface Stretch {
  messages: Message[];
  first: number;
  before: string | null;
  after: string | null;
  state: "loading" | "ready" | "failed";
  error: string;
  /** The message at which the list begins; the last one if null. */
  target: number | null;
  /** Counts loads from anew: the list starts over with each. */
  generation: number;
}

const NOTHING: Stretch = {
  messages: [],
  first: START,
  before: null,
  after: null,
  state: "loading",
  error: "",
  target: null,
  generation: 0,
};

const order = (one: Message, other: Message): number => one.position - other.position || one.id - other.id;

export class Timeline {
  readonly stretch = new Store<Stretch>(NOTHING);
  private busy = { before: false, after: false };
  private asked = 0;
  /** What events tell while messages are asked for, by each question: it is newer than the answer. */
  private readonly news = new Set<Map<number, Message | null>>();

  constructor(
    readonly account: string,
    readonly conversation: string,
  ) {}

  /** `use` takes the answer; what has changed since is put in after that. */
  private async fetch(parameters: string, use: (page: Page) => unknown): Promise<void> {
    const path = `accounts/${this.account}/conversations/${encodeURIComponent(this.conversation)}/messages`;
    const news = new Map<number, Message | null>();
    this.news.add(news);
    try {
      await use(await get<Page>(`${path}?limit=${SIZE}${parameters}`));
    } finally {
      this.news.delete(news);
    }
    for (const [id, message] of news) {
      if (message) this.apply(message);
      else this.drop(id);
    }
  }

  /** The newest messages, those around one, or the oldest. */
  async load(around?: number | "start" | null): Promise<void> {
    const asked = ++this.asked;
    const old = this.stretch.get();
    if (old.state === "failed") this.stretch.set({ ...old, state: "loading" });
    try {
      await this.fetch(around === "start" ? "&after=0,0" : around ? `&around=${around}` : "", (page) => {
        if (asked !== this.asked) return;
        const generation = this.stretch.get().generation + 1;
        const target = around === "start" ? (page.messages[0]?.id ?? null) : (around ?? null);
        this.stretch.set({ ...NOTHING, ...page, first: START, state: "ready", target, generation });
      });
    } catch (error) {
      if (asked === this.asked) this.stretch.set({ ...old, state: "failed", error: sentence(error) });
    }
  }

  /** What came while nobody listened: quietly, so that who is reading stays where they are. */
  async refresh(): Promise<void> {
    const { messages, after, state } = this.stretch.get();
    if (state !== "ready" || !messages.length) return this.load();
    if (after) return;
    try {
      await this.fetch("", async (page) => {
        const oldest = page.messages[0];
        const last = messages.at(-1);
        if (!oldest || !last || order(oldest, last) > 0) {
          await this.load();
          return;
        }
        const kept = messages.filter((one) => order(one, oldest) < 0);
        this.stretch.set({ ...this.stretch.get(), messages: [...kept, ...page.messages] });
      });
    } catch {
      // It is tried again when the service is back.
    }
  }

  async older(): Promise<void> {
    const { before, generation } = this.stretch.get();
    if (!before || this.busy.before) return;
    this.busy.before = true;
    try {
      await this.fetch(`&before=${encodeURIComponent(before)}`, (page) => {
        const now = this.stretch.get();
        if (now.generation !== generation) return;
        let messages = [...page.messages, ...now.messages];
        let after = now.after;
        if (messages.length > LONGEST) {
          messages = messages.slice(0, LONGEST);
          const last = messages.at(-1);
          after = last ? `${last.position},${last.id}` : null;
        }
        this.stretch.set({ ...now, messages, after, before: page.before, first: now.first - page.messages.length });
      });
    } catch {
      // Scrolling asks again.
    } finally {
      this.busy.before = false;
    }
  }

  async newer(): Promise<void> {
    const { after, generation } = this.stretch.get();
    if (!after || this.busy.after) return;
    this.busy.after = true;
    try {
      await this.fetch(`&after=${encodeURIComponent(after)}`, (page) => {
        const now = this.stretch.get();
        if (now.generation !== generation) return;
        const messages = [...now.messages, ...page.messages];
        const extra = Math.max(0, messages.length - LONGEST);
        const oldest = messages[extra];
        const before = extra && oldest ? `${oldest.position},${oldest.id}` : now.before;
        const first = now.first + extra;
        this.stretch.set({ ...now, messages: messages.slice(extra), before, first, after: page.after });
      });
    } catch {
      // Scrolling asks again.
    } finally {
      this.busy.after = false;
    }
  }

  /** A message that is new or has changed. */
  apply(message: Message): void {
    for (const each of this.news) each.set(message.id, message);
    const now = this.stretch.get();
    if (now.state !== "ready") return;
    const at = now.messages.findIndex((one) => one.id === message.id);
    const messages = at < 0 ? now.messages : now.messages.filter((_, index) => index !== at);
    let place = messages.length;
    while (place > 0 && order(messages[place - 1] as Message, message) > 0) place--;
    const beyond = (place === messages.length && now.after) || (place === 0 && now.before && messages.length > 0);
    if (at < 0 && beyond) return;
    this.stretch.set({ ...now, messages: messages.toSpliced(place, 0, message) });
  }

  /** A message that was just sent: what is known of it from events already is newer. */
  add(message: Message): void {
    if (!this.stretch.get().messages.some((one) => one.id === message.id)) this.apply(message);
  }

  drop(id: number): void {
    for (const each of this.news) each.set(id, null);
    const now = this.stretch.get();
    const messages = now.messages.filter((one) => one.id !== id);
    if (messages.length !== now.messages.length) this.stretch.set({ ...now, messages });
  }

  /** Changes one message where it stands, ahead of the service's word. */
  change(id: number, to: (message: Message) => Message): void {
    const now = this.stretch.get();
    this.stretch.set({ ...now, messages: now.messages.map((one) => (one.id === id ? to(one) : one)) });
  }
}

/** How many conversations keep what was loaded of them. */
const KEPT = 12;
const timelines = new Map<string, Timeline>();

export function timeline(account: string, conversation: string): Timeline {
  const key = `${account}/${conversation}`;
  const found = timelines.get(key) ?? new Timeline(account, conversation);
  timelines.delete(key);
  timelines.set(key, found);
  for (const oldest of timelines.keys()) {
    if (timelines.size <= KEPT) break;
    timelines.delete(oldest);
  }
  return found;
}

export const heldTimeline = (account: string, conversation: string) => timelines.get(`${account}/${conversation}`);
export const heldTimelines = (): Iterable<Timeline> => timelines.values();

/** After locking, nothing that was read stays in memory. */
export function forgetTimelines(): void {
  timelines.clear();
}
