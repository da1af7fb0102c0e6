/** Sends what others or oneself wrote to another conversation. */
import { post } from "../api/client";
import { attempt, of, useConversations } from "../api/queries";
import type { Message } from "../api/types";
import { t } from "../i18n";
import { Chooser } from "../people/chooser";
import { go } from "../route";
import { Dialog } from "../shell/dialog";
import type { Chat } from "./context";

export default function Forward({ chat, messages, onClose }: { chat: Chat; messages: Message[]; onClose: () => void }) {
  const targets = (useConversations(chat.account).data ?? []).filter(
    (one) => one.writable && !one.blocked && !one.request,
  );
  const send = async (id: string) => {
    onClose();
    chat.selected.set(null);
    for (const message of messages) {
      if (message.text || message.attachments.length) {
        await attempt(post(of(chat.account, `messages/${message.id}/forward`), { conversation: id }));
      }
    }
    go(chat.account, "c", id);
  };
  return (
    <Dialog title={t("message.forwardTo")} onClose={onClose}>
      <Chooser conversations={targets} onChoose={(id) => void send(id)} />
    </Dialog>
  );
}
