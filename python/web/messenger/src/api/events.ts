/** The stream of events: it keeps what the page knows fresh, and comes back by itself after every break. */
import { setCall } from "../calls/state";
import { Store } from "../store";
import { client, reloadState } from "./queries";
import { forgetTimelines, heldTimeline, heldTimelines } from "./timeline";
import type { Conversation, Frame, Message } from "./types";

/** Whether the service answers. */
export const connected = new Store(true);
/** How far each attachment is that is on its way. */
export const progress = new Store<ReadonlyMap<string, number>>(new Map());

type Listener = (frame: Frame) => void;
const listeners = new Set<Listener>();

export function onFrame(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

const LONGEST_WAIT = 5000;
const TYPING_SHOWN = 15_000;
/** Lists are asked for at most this often, however many events come. */
const TOGETHER = 120;

let cursor: number | null = null;
let wait = 250;
let socket: WebSocket | null = null;
const stale = new Set<string>();
const typing = new Map<string, ReturnType<typeof setTimeout>>();

function refresh(account: string, what: string): void {
  const key = `${account}/${what}`;
  if (stale.has(key)) return;
  stale.add(key);
  setTimeout(() => {
    stale.delete(key);
    void client.invalidateQueries({ queryKey: [account, what] });
  }, TOGETHER);
}

/** Accounts and their counts of what is unread. */
function refreshState(): void {
  if (stale.has("state")) return;
  stale.add("state");
  setTimeout(() => {
    stale.delete("state");
    void reloadState();
  }, TOGETHER);
}

function everything(): void {
  void client.invalidateQueries();
  for (const timeline of heldTimelines()) void timeline.refresh();
}

function setTyping(account: string, id: string, started: boolean): void {
  const key = `${account}/${id}`;
  clearTimeout(typing.get(key));
  client.setQueryData<Conversation[]>([account, "conversations"], (list) =>
    list?.map((one) => (one.id === id ? { ...one, typing: started } : one)),
  );
  if (started)
    typing.set(
      key,
      setTimeout(() => setTyping(account, id, false), TYPING_SHOWN),
    );
}

function newest(account: string, message: Message): void {
  client.setQueryData<Conversation[]>([account, "conversations"], (list) =>
    list?.map((one) => {
      const last = one.last_message;
      const replaces =
        one.id === message.conversation && (!last || message.id === last.id || message.position > last.position);
      return replaces
        ? { ...one, last_message: message, last_activity: Math.max(one.last_activity, message.timestamp) }
        : one;
    }),
  );
}

function take(frame: Frame): void {
  if (frame.type === "hello") {
    if (!frame.resumed) everything();
    return;
  }
  const { account, conversation, message } = frame;
  if (frame.type === "locked") {
    forgetTimelines();
    client.removeQueries({ predicate: (query) => query.queryKey[0] !== "state" });
    void reloadState();
    return;
  }
  if (!account) return;
  if (message) {
    heldTimeline(account, message.conversation)?.apply(message);
    newest(account, message);
    if (frame.type === "message_received") setTyping(account, message.conversation, false);
  }
  switch (frame.type) {
    case "message_deleted":
      if (message) break;
      if (conversation && frame.message_id) heldTimeline(account, conversation)?.drop(frame.message_id);
      refresh(account, "conversations");
      break;
    case "typing_received":
      if (conversation) setTyping(account, conversation, Boolean(frame.started));
      return;
    case "attachment_progress":
      progress.set(new Map(progress.get()).set(String(frame.attachment), frame.progress ?? 0));
      return;
    case "call_changed":
      if (frame.call) setCall(account, frame.call);
      return;
    case "settings_changed":
      refresh(account, "settings");
      return;
    case "connection_changed":
    case "account_changed":
      void reloadState();
      return;
    case "request_received":
      refresh(account, "requests");
      break;
    case "group_changed":
      refresh(account, "group");
      break;
    case "contact_changed":
    case "config_changed":
      refresh(account, "contacts");
      refresh(account, "requests");
      refresh(account, "settings");
      void reloadState();
      break;
    case "reaction_received":
    case "receipt_received":
      if (conversation && !message) void heldTimeline(account, conversation)?.refresh();
      break;
  }
  refresh(account, "conversations");
  refresh(account, "conversation");
  refreshState();
}

export function connect(): void {
  if (socket) return;
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/api/events${cursor === null ? "" : `?after=${cursor}`}`);
  socket.onopen = () => {
    wait = 250;
    if (!connected.get()) void client.invalidateQueries();
    connected.set(true);
  };
  socket.onmessage = (event) => {
    let frame: Frame;
    try {
      frame = JSON.parse(event.data);
    } catch {
      return;
    }
    if (typeof frame.cursor === "number") cursor = frame.cursor;
    take(frame);
    for (const listener of listeners) listener(frame);
  };
  socket.onclose = () => {
    socket = null;
    connected.set(false);
    // Whoever is let in no longer learns it here, as a refused socket says nothing.
    void reloadState();
    setTimeout(connect, wait);
    wait = Math.min(LONGEST_WAIT, wait * 2);
  };
}
