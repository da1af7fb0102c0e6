/** What the service sends: see docs/api/messenger.md. Times are Unix milliseconds. */
export interface Account {
  id: string;
  account_id: string;
  display_name: string;
  picture: string | null;
  open: boolean;
  unread: number;
  online: boolean;
  phrase_seen: boolean;
  color: number;
  letters: string;
  /** Of one that could not be opened: what to do. */
  error: string | null;
  /** The call that there is. */
  call?: Call | null;
}

export interface Call {
  id: string;
  contact: Person;
  outgoing: boolean;
  phase: "calling" | "ringing" | "connecting" | "connected" | "ended";
  /** Which page has it; empty if none has yet. */
  owner: string;
  wanted: boolean;
  /** How many the other side has sent. */
  signals: number;
  outcome: string | null;
}

export type Signal =
  | { kind: "offer" | "answer"; sdp: string }
  | { kind: "candidates"; candidates: { candidate: string; line_index: number; mid: string }[] };

export interface IceServer {
  url: string;
  username: string;
  credential: string;
}

export interface Ice {
  servers: IceServer[];
  relay_only: boolean;
}

export interface State {
  version: string;
  locked: boolean;
  network: "mainnet" | "devnet";
  accounts: Account[];
  /** Whether there is a password that locks. */
  password: boolean;
}

export interface Timer {
  kind: "after_read" | "after_send";
  seconds: number;
}

export interface Conversation {
  id: string;
  kind: "note" | "contact" | "group" | "legacy-group" | "community" | "blinded";
  name: string;
  picture: string | null;
  draft: string;
  pinned: number;
  hidden: boolean;
  muted_until: number;
  marked_unread: boolean;
  unread: number;
  mentioned: boolean;
  last_read: number;
  last_activity: number;
  last_message: Message | null;
  timer: Timer | null;
  approved: boolean;
  approved_me: boolean;
  blocked: boolean;
  request: boolean;
  typing: boolean;
  writable: boolean;
  color: number;
  letters: string;
}

export interface Person {
  id: string;
  name: string;
  color: number;
  letters: string;
  picture: string | null;
  admin?: boolean;
}

export interface Attachment {
  id: string | number;
  name: string;
  type: string;
  size: number;
  width: number | null;
  height: number | null;
  caption: string | null;
  voice: boolean;
  state: "remote" | "pending" | "here" | "failed";
  progress: number;
  url: string;
}

export interface Reaction {
  emoji: string;
  count: number;
  me: boolean;
  senders: string[];
}

export type MessageState = "received" | "sending" | "sent" | "failed" | "unsynced";

export interface Message {
  id: number;
  conversation: string;
  sender: Person;
  outgoing: boolean;
  kind: string;
  text: string;
  timestamp: number;
  received: number;
  position: number;
  state: MessageState;
  stored_on: number | null;
  read: boolean;
  deleted: 0 | 1 | 2;
  expires: number | null;
  timer: Timer | null;
  quote: { message: number | null; sender: Person | string; text: string } | null;
  attachments: Attachment[];
  reactions: Reaction[];
  preview: { url: string; title: string; image: string | null } | null;
  invitation: { name: string; url: string } | null;
  notice: ({ kind?: string } & Record<string, unknown>) | null;
  mentions: { id: string; name: string }[];
  snippet?: string;
}

export interface Page {
  messages: Message[];
  before: string | null;
  after: string | null;
}

export interface Contact extends Person {
  nickname: string;
  approved: boolean;
  approved_me: boolean;
  blocked: boolean;
}

export interface Member extends Person {
  admin: boolean;
  state: string;
}

export interface Group {
  id: string;
  name: string;
  description: string;
  admin: boolean;
  invited: boolean;
  kicked: boolean;
  destroyed: boolean;
  members: Member[];
  timer: Timer | null;
}

export interface Settings {
  read_receipts: boolean;
  typing_indicators: boolean;
  calls: boolean;
  relay_only: boolean;
  /** Null for those of the network. */
  ice_servers: IceServer[] | null;
  link_previews: boolean;
  gif_search: boolean;
  community_requests: boolean;
  auto_lock_minutes: number;
}

export interface Found {
  messages: Message[];
  conversations: Conversation[];
  contacts: Contact[];
  next: string | null;
}

export interface Upload {
  id: string;
  name: string;
  type: string;
  size: number;
}

/** A moving picture of a conversation, known by its name wherever it is. */
export interface OwnGif {
  name: string;
  file: Attachment;
}

export interface FoundGif {
  id: string;
  title: string;
  width: number;
  height: number;
  preview: string;
}

/** How a message came, or why it is late. */
export interface MessageInfo {
  fetched: number | null;
  asked: number | null;
  stored_on: number | null;
  stored: number | null;
  copied: number | null;
  failed: number | null;
  read: number | null;
  nodes: { pubkey: string; ip: string }[];
  waiting_for_files: boolean;
  ways: {
    purpose: string;
    state: "queued" | "sending" | "stored" | "failed";
    attempts: number;
    next: number | null;
    stored: number | null;
    error: string;
  }[];
}

export interface Job {
  done: number;
  total: number | null;
  state: string;
  error: string | null;
}

/** A frame of the stream of events; what else it has depends on its type. */
export interface Frame {
  cursor?: number;
  account?: string;
  type: string;
  resumed?: boolean;
  conversation?: string;
  message?: Message;
  message_id?: number;
  started?: boolean;
  online?: boolean;
  attachment?: string | number;
  call?: Call;
  progress?: number;
}
