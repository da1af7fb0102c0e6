/** What can be done with a conversation, for its menu in the list and at its head. */
import {
  ArrowDown,
  ArrowUp,
  Ban,
  BellOff,
  BellRing,
  Eye,
  EyeOff,
  LogOut,
  Mail,
  MailOpen,
  Pin,
  PinOff,
  Trash2,
} from "lucide-react";
import { patch, post, remove } from "../api/client";
import { attempt, changeConversation, markRead, of, reload, removeConversation } from "../api/queries";
import type { Conversation } from "../api/types";
import { t } from "../i18n";
import { go, route } from "../route";
import { Ask } from "../shell/dialog";
import type { Entries } from "../shell/menu";
import { Store, useStore } from "../store";
import { place, step } from "./order";

/** As far away as a time can be written. */
export const FOREVER = 253_402_300_799_000;

interface Question {
  account: string;
  conversation: Conversation;
  what: "clear" | "delete" | "contact";
}

const question = new Store<Question | null>(null);

export const isMuted = (one: Conversation): boolean => one.muted_until > Date.now();

export async function setBlocked(account: string, id: string, blocked: boolean): Promise<void> {
  await attempt(patch(of(account, `contacts/${id}`), { blocked }));
  await reload(account, "contacts", "conversations", "conversation", "requests");
}

export function conversationEntries(account: string, one: Conversation): Entries {
  const change = (changed: Partial<Conversation>) => void changeConversation(account, one.id, changed);
  const unread = one.unread > 0 || one.marked_unread;
  const entries: Entries = [
    one.pinned > 0
      ? { label: t("menu.unpin"), icon: <PinOff />, run: () => void place(account, one.id, null) }
      : { label: t("menu.pin"), icon: <Pin />, run: () => void place(account, one.id, Number.POSITIVE_INFINITY) },
    ...(one.pinned > 0
      ? [
          { label: t("menu.moveUp"), icon: <ArrowUp />, run: () => step(account, one.id, -1) },
          { label: t("menu.moveDown"), icon: <ArrowDown />, run: () => step(account, one.id, 1) },
        ]
      : []),
    isMuted(one)
      ? { label: t("menu.unmute"), icon: <BellRing />, run: () => change({ muted_until: 0 }) }
      : { label: t("menu.mute"), icon: <BellOff />, run: () => change({ muted_until: FOREVER }) },
    unread
      ? { label: t("menu.read"), icon: <MailOpen />, run: () => void markRead(account, one) }
      : { label: t("menu.unread"), icon: <Mail />, run: () => change({ marked_unread: true }) },
  ];
  if (one.kind === "note" || one.kind === "contact") {
    entries.push(
      one.hidden
        ? { label: t("menu.unhide"), icon: <Eye />, run: () => change({ hidden: false }) }
        : { label: t("menu.hide"), icon: <EyeOff />, run: () => change({ hidden: true, pinned: 0 }) },
    );
  }
  entries.push(null);
  if (one.kind === "contact") {
    entries.push({
      label: t(one.blocked ? "menu.unblock" : "menu.block"),
      icon: <Ban />,
      run: () => void setBlocked(account, one.id, !one.blocked),
    });
  }
  if (one.kind === "community") {
    const leave = async () => {
      if ((await attempt(post(of(account, `communities/${one.id}/leave`)))) === undefined) return;
      await reload(account, "conversations");
      if (route().target === one.id) go(account);
    };
    entries.push({ label: t("community.leave"), icon: <LogOut />, danger: true, run: () => void leave() });
  }
  const ask = (what: Question["what"]) => question.set({ account, conversation: one, what });
  entries.push({ label: t("menu.clear"), icon: <Trash2 />, danger: true, run: () => ask("clear") });
  if (one.kind === "contact") {
    entries.push({ label: t("menu.deleteConversation"), icon: <Trash2 />, danger: true, run: () => ask("delete") });
    entries.push({ label: t("menu.deleteContact"), icon: <Trash2 />, danger: true, run: () => ask("contact") });
  }
  return entries;
}

const TITLES = {
  clear: ["menu.clearTitle", "menu.clearText"],
  delete: ["menu.deleteConversationTitle", "menu.deleteConversationText"],
  contact: ["menu.deleteContactTitle", "menu.deleteContactText"],
} as const;

export function ConversationQuestion({ onCleared }: { onCleared: (account: string, id: string) => void }) {
  const asked = useStore(question);
  if (!asked) return null;
  const { account, conversation, what } = asked;
  const [title, text] = TITLES[what];
  const run = async () => {
    if (what === "contact") {
      await attempt(remove(of(account, `contacts/${conversation.id}`)));
      await reload(account, "conversations", "contacts");
    } else {
      await removeConversation(account, conversation.id, what === "clear");
    }
    if (what === "clear") onCleared(account, conversation.id);
    else if (route().target === conversation.id) go(account);
  };
  return (
    <Ask
      title={t(title)}
      text={t(text)}
      choices={[{ label: t("common.delete"), danger: true, run: () => void run() }]}
      onClose={() => question.set(null)}
    />
  );
}
