/** All that is known of a message: when it went, how far it came, and why it is late. */
import type { ReactNode } from "react";
import type { Message } from "../api/types";
import { bytes, duration, type Key, moment, t } from "../i18n";
import { Dialog } from "../shell/dialog";
import { Name } from "../shell/person";

/** A message that took longer than this has a reason to be told. */
const LATE = 60_000;

const STATES: Record<Message["state"], Key> = {
  received: "message.received",
  sending: "message.sending",
  sent: "message.sent",
  failed: "message.failed",
  unsynced: "message.unsynced",
};

export default function Info({ message, onClose }: { message: Message; onClose: () => void }) {
  const late = message.outgoing ? 0 : message.received - message.timestamp;
  const rows: [Key, ReactNode][] = [
    ["message.from", <Name key="name" of={message.sender} />],
    [
      "contact.id",
      <code key="id" className="mono wrap">
        {message.sender.id}
      </code>,
    ],
    ["message.sentAt", moment(message.timestamp)],
  ];
  if (!message.outgoing && message.received) rows.push(["message.receivedAt", moment(message.received)]);
  rows.push(["message.state", t(message.outgoing && message.read ? "message.read" : STATES[message.state])]);
  if (message.stored_on) rows.push(["network.swarm", t("message.storedOn", { count: message.stored_on })]);
  if (message.expires) rows.push(["message.disappears", moment(message.expires)]);
  else if (message.timer) rows.push(["message.disappears", duration(message.timer.seconds)]);
  for (const one of message.attachments) rows.push(["message.size", `${one.type}, ${bytes(one.size)}`]);
  return (
    <Dialog title={t("message.info")} onClose={onClose}>
      <dl className="facts">
        {rows.map(([key, value], index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: rows never move.
          <div key={index}>
            <dt>{t(key)}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {late > LATE && <p className="muted">{t("message.late", { time: duration(late / 1000) })}</p>}
    </Dialog>
  );
}
