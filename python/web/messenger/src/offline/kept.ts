/** What is kept of a conversation: its latest messages, without files and without what disappears before long. */
import type { Account, Conversation, Message } from "../api/types";
import type { Part } from "./vault";

export const MOST_ACCOUNTS = 8;
export const MOST_CONVERSATIONS = 50;
export const MOST_MESSAGES = 100;
/** Characters of one conversation. */
const LONGEST = 200_000;

export type KeptConversation = Pick<
  Conversation,
  "id" | "kind" | "name" | "color" | "letters" | "pinned" | "last_activity" | "unread"
> & { slot: string };

export interface KeptAccount {
  id: string;
  account_id: string;
  display_name: string;
  color: number;
  letters: string;
  conversations: KeptConversation[];
}

export interface KeptList {
  accounts: KeptAccount[];
}

export type KeptMessage = Pick<
  Message,
  "id" | "outgoing" | "kind" | "text" | "timestamp" | "position" | "state" | "read" | "deleted" | "expires" | "notice"
> & {
  sender: { id: string; name: string; color: number };
  quote: { name: string; text: string } | null;
  files: { name: string; type: string; size: number; voice: boolean }[];
  reactions: { emoji: string; count: number }[];
  mentions: { id: string; name: string }[];
  invitation: string | null;
};

export function account(one: Account, conversations: KeptConversation[]): KeptAccount {
  const { id, account_id, display_name, color, letters } = one;
  return { id, account_id, display_name, color, letters, conversations };
}

export function conversation(one: Conversation, slot: string): KeptConversation {
  const { id, kind, name, color, letters, pinned, last_activity, unread } = one;
  return { id, kind, name, color, letters, pinned, last_activity, unread, slot };
}

const MOST_REACTIONS = 12;

function message(one: Message): KeptMessage {
  const { id, outgoing, kind, text, timestamp, position, state, read, deleted, expires, notice, sender, quote } = one;
  const quoted = quote && typeof quote.sender === "object" ? quote.sender?.name : "";
  return {
    ...{ id, outgoing, kind, text, timestamp, position, state, read, deleted, expires, notice },
    sender: { id: sender.id, name: sender.name, color: sender.color },
    quote: quote && { name: quoted ?? "", text: quote.text },
    files: one.attachments.map(({ name, type, size, voice }) => ({ name, type, size, voice })),
    reactions: one.reactions.slice(0, MOST_REACTIONS).map(({ emoji, count }) => ({ emoji, count })),
    mentions: one.mentions,
    invitation: one.invitation?.name ?? null,
  };
}

/**
 * When it disappears; `null` for never. One whose time has not begun ends as if it had with its writing: what disappears after
 * it was read is not kept before that, as reading it here would not begin it.
 */
function ends(one: Message): number | null {
  if (one.expires !== null || one.timer === null || one.notice) return one.expires;
  return one.outgoing || one.timer.kind === "after_send" ? one.timestamp + one.timer.seconds * 1000 : 0;
}

/** The latest that fit, the oldest first; those that disappear each for themselves, with their time. */
export function parts(messages: Message[], now: number): Part[] {
  const lasting: KeptMessage[] = [];
  const passing: Part[] = [];
  let length = 0;
  for (const one of messages.slice(-MOST_MESSAGES).reverse()) {
    const until = ends(one);
    if (until !== null && until <= now) continue;
    const kept = { ...message(one), expires: until };
    length += JSON.stringify(kept).length;
    if (length > LONGEST) break;
    if (until === null) lasting.push(kept);
    else passing.push({ value: [kept], until });
  }
  return [{ value: lasting.reverse() }, ...passing];
}

export const joined = (found: KeptMessage[][]): KeptMessage[] =>
  found.flat().sort((one, other) => one.position - other.position || one.id - other.id);
