/** Deleting in three ways: here, on all of one's devices, for everyone. */
import { remove } from "../api/client";
import { attempt, of, reload, useGroup } from "../api/queries";
import type { Conversation, Message } from "../api/types";
import { t } from "../i18n";
import { roomOf } from "../people/moderation";
import { Ask } from "../shell/dialog";
import type { Chat } from "./context";

interface Properties {
  chat: Chat;
  conversation: Conversation;
  messages: Message[];
  onClose: () => void;
}

export function DeleteQuestion({ chat, conversation, messages, onClose }: Properties) {
  const group = useGroup(chat.account, conversation.id).data?.admin ?? false;
  const admin = group || roomOf(chat.account, conversation.id)?.moderator === true;
  const run = async (everywhere: boolean) => {
    chat.selected.set(null);
    for (const { id } of messages) {
      await attempt(remove(of(chat.account, `messages/${id}?everywhere=${everywhere}`)));
    }
    await chat.timeline.refresh();
    await reload(chat.account, "conversations");
  };
  const note = conversation.kind === "note";
  const everyone = messages.every((one) => !one.deleted && !one.notice && (one.outgoing || admin));
  const [first] = messages;
  const title = messages.length === 1 ? t("message.deleteTitle") : t("message.deleteMany", { count: messages.length });
  return (
    <Ask
      title={title}
      text={
        first?.deleted
          ? undefined
          : t(everyone ? (note ? "message.deleteMine" : "message.deleteAllHint") : "message.deleteHereHint")
      }
      choices={[
        { label: t("message.deleteHere"), danger: !everyone, run: () => void run(false) },
        ...(everyone
          ? [{ label: t(note ? "message.deleteMine" : "message.deleteAll"), danger: true, run: () => void run(true) }]
          : []),
      ]}
      onClose={onClose}
    />
  );
}
