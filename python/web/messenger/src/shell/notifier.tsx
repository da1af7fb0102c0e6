/** Tells of messages that nobody is looking at: to screen readers in the page, and through the system if wanted. */
import { useEffect, useState } from "react";
import { get } from "../api/client";
import { onFrame } from "../api/events";
import { client, of } from "../api/queries";
import type { Conversation, Message, State } from "../api/types";
import { t } from "../i18n";
import { preferences } from "../prefs";
import { address, route } from "../route";
import { plain } from "../text/rich";
import { safeName, shortId } from "../text/safe";
import { nameOfConversation } from "./person";

async function notify(account: string, message: Message): Promise<void> {
  const { notify: wanted, notifyContent } = preferences.get();
  if (!wanted || document.hasFocus() || !("Notification" in window) || Notification.permission !== "granted") return;
  // Of an account that is not shown, the list may not be here yet.
  const list = await client.ensureQueryData({
    queryKey: [account, "conversations"],
    queryFn: () => get<Conversation[]>(of(account, "conversations?hidden=true")),
  });
  const conversation = list?.find((one) => one.id === message.conversation);
  if (!conversation || conversation.muted_until > Date.now() || conversation.blocked) return;
  const title = (notifyContent === "none" ? t("app.name") : nameOfConversation(conversation)) + toAccount(account);
  const body = notifyContent === "full" ? plain(message.text, message.mentions, "") : t("notifications.new");
  const data = { hash: address(account, "c", message.conversation) };
  const options = { body, tag: message.conversation, icon: "/icon.svg", data };
  navigator.serviceWorker?.ready.then((worker) => worker.showNotification(title, options)).catch(() => undefined);
}

/** Of several accounts, the one that it is for. */
function toAccount(account: string): string {
  const accounts = client.getQueryData<State>(["state"])?.accounts ?? [];
  const own = accounts.find((one) => one.id === account);
  return accounts.length > 1 && own ? ` → ${safeName(own.display_name, shortId(own.account_id))}` : "";
}

export function Notifier() {
  const [text, setText] = useState("");
  useEffect(
    () =>
      onFrame((frame) => {
        if (frame.type !== "message_received" || !frame.message || !frame.account || frame.message.outgoing) return;
        const { message } = frame;
        notify(frame.account, message).catch(() => undefined);
        if (route().target === message.conversation) {
          setText(
            t("announce.received", { name: message.sender.name, text: plain(message.text, message.mentions, "") }),
          );
        }
      }),
    [],
  );
  return (
    <div className="visually-hidden" role="log" aria-live="polite">
      {text}
    </div>
  );
}
