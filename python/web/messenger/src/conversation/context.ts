/** What the parts of an open conversation share. */
import { createContext, useContext } from "react";
import type { Timeline } from "../api/timeline";
import type { Message } from "../api/types";
import type { Store } from "../store";
import type { Aside } from "./conversation";
import type { Staging } from "./staging";

export interface Chat {
  account: string;
  /** The own Account ID. */
  me: string;
  /** Whether one writes to them: their files are fetched without being asked for. */
  trusted: boolean;
  id: string;
  timeline: Timeline;
  reply: Store<Message | null>;
  /** Messages that are selected; `null` while none can be. */
  selected: Store<ReadonlySet<number> | null>;
  /** The message whose picker of reactions is open. */
  picking: Store<number | null>;
  jump: Store<{ id: number; count: number } | null>;
  staging: Staging;
  open: (aside: Aside) => void;
}

export const ChatContext = createContext<Chat | null>(null);

export function useChat(): Chat {
  const chat = useContext(ChatContext);
  if (!chat) throw new Error("outside of a conversation");
  return chat;
}
