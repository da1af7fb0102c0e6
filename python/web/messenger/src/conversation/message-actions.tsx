/** What can be done with a message, as entries of a menu. */
import { Copy, Forward, Info, ListChecks, Reply, RotateCcw, SmilePlus, Trash2 } from "lucide-react";
import { post } from "../api/client";
import { attempt, of } from "../api/queries";
import type { Message } from "../api/types";
import { t } from "../i18n";
import { moderationEntries } from "../people/moderation";
import { copyText } from "../shell/copy";
import type { Entries } from "../shell/menu";
import type { Chat } from "./context";

export function entriesOf(chat: Chat, message: Message): Entries {
  if (message.deleted) {
    return [
      {
        label: t("common.delete"),
        icon: <Trash2 />,
        danger: true,
        run: () => chat.open({ what: "delete", messages: [message] }),
      },
    ];
  }
  const entries: Entries = [
    { label: t("message.reply"), icon: <Reply />, run: () => chat.reply.set(message) },
    { label: t("message.react"), icon: <SmilePlus />, run: () => chat.picking.set(message.id) },
  ];
  if (message.text) {
    entries.push({ label: t("message.copyText"), icon: <Copy />, run: () => void copyText(message.text) });
    const forward = () => chat.open({ what: "forward", messages: [message] });
    entries.push({ label: t("message.forward"), icon: <Forward />, run: forward });
  }
  entries.push({
    label: t("message.select"),
    icon: <ListChecks />,
    run: () => chat.selected.set(new Set([message.id])),
  });
  entries.push({ label: t("message.info"), icon: <Info />, run: () => chat.open({ what: "info", message }) });
  if (message.state === "failed" || message.state === "unsynced") {
    entries.push({ label: t("message.resend"), icon: <RotateCcw />, run: () => void resend(chat, message) });
  }
  entries.push(...moderationEntries(chat.account, message), null, {
    label: t("common.delete"),
    icon: <Trash2 />,
    danger: true,
    run: () => chat.open({ what: "delete", messages: [message] }),
  });
  return entries;
}

export async function resend(chat: Chat, message: Message): Promise<void> {
  await attempt(post(of(chat.account, `messages/${message.id}/resend`)));
}
