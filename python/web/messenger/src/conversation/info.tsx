/** All that is known of a message: when it went, how far it came, which nodes have it, and why it is late. */
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { get } from "../api/client";
import { of } from "../api/queries";
import { timeline } from "../api/timeline";
import type { Message, MessageInfo } from "../api/types";
import { bytes, duration, type Key, moment, t } from "../i18n";
import { Dialog } from "../shell/dialog";
import { Name } from "../shell/person";
import { useStore } from "../store";
import { safeName } from "../text/safe";

/** A message that took longer than this has a reason to be told. */
const LATE = 60_000;
const MOST_NODES = 30;

const STATES: Record<Message["state"], Key> = {
  received: "message.received",
  sending: "message.sending",
  sent: "message.sent",
  failed: "message.failed",
  unsynced: "message.unsynced",
};

interface Step {
  what: string;
  when?: number | undefined;
  more?: ReactNode;
}

/** What has become of it so far, one after the other. */
function steps(message: Message, info: MessageInfo | undefined): Step[] {
  const found: Step[] = [{ what: t("message.written"), when: message.timestamp }];
  if (!message.outgoing) {
    if (message.received) found.push({ what: t("message.reached"), when: message.received });
    if (info?.fetched) found.push({ what: t("message.fetched"), when: info.fetched });
    return found;
  }
  if (info?.waiting_for_files) found.push({ what: t("message.waitingForFiles") });
  for (const way of info?.ways ?? []) {
    if (way.state === "stored") continue;
    const purpose = t(way.purpose === "copy" ? "message.wayCopy" : "message.wayOther");
    const next = way.next ? ` ${t("message.nextTry", { time: moment(way.next) })}` : "";
    const more = way.attempts ? t("message.tries", { count: way.attempts }) + next : undefined;
    const when = (way.state === "failed" && way.purpose !== "copy" && info?.failed) || undefined;
    found.push({ what: `${purpose}: ${t(way.state === "failed" ? "message.failed" : "message.sending")}`, when, more });
    if (way.error) found.push({ what: safeName(way.error, "") });
  }
  if (info?.failed && message.state !== "failed") found.push({ what: t("message.failed"), when: info.failed });
  const on = info?.stored_on ?? message.stored_on;
  if (on !== null) {
    // What older versions have sent is known of for as long as the outbox remembers it.
    const way = info?.ways.find((one) => one.stored && one.purpose !== "copy")?.stored;
    const asked = info?.asked;
    found.push({
      what: asked ? t("message.storedOf", { count: on, asked }) : t("message.storedOn", { count: on }),
      when: info?.stored ?? way ?? undefined,
      more: info && info.nodes.length > 0 && <Nodes nodes={info.nodes} />,
    });
  }
  if (info?.copied) found.push({ what: t("message.copied"), when: info.copied });
  if (message.read) found.push({ what: t("message.read"), when: info?.read ?? undefined });
  return found;
}

function Nodes({ nodes }: { nodes: MessageInfo["nodes"] }) {
  return (
    <details>
      <summary>{t("message.whichNodes")}</summary>
      <ul className="nodes">
        {nodes.slice(0, MOST_NODES).map((one) => (
          <li key={one.pubkey}>
            <code className="mono" title={one.pubkey}>
              {one.ip || `${one.pubkey.slice(0, 16)}…`}
            </code>
          </li>
        ))}
      </ul>
    </details>
  );
}

/** Where the time went that it took. */
function reasons(message: Message, info: MessageInfo | undefined): string[] {
  if (message.outgoing || !message.received) return [];
  const found: string[] = [];
  const before = message.received - message.timestamp;
  const after = info?.fetched ? info.fetched - message.received : 0;
  if (before > LATE) found.push(t("message.lateBefore", { time: duration(before / 1000) }));
  if (after > LATE) found.push(t("message.lateAfter", { time: duration(after / 1000) }));
  return found;
}

export default function Info({
  account,
  message: opened,
  onClose,
}: {
  account: string;
  message: Message;
  onClose: () => void;
}) {
  const { messages } = useStore(timeline(account, opened.conversation).stretch);
  // It goes on while one looks at it.
  const message = messages.find((one) => one.id === opened.id) ?? opened;
  const info = useQuery({
    // What was said of it is asked anew whenever the message changes.
    queryKey: [account, "info", message.id, message.state, message.stored_on, message.read],
    queryFn: () => get<MessageInfo>(of(account, `messages/${message.id}/info`)),
    gcTime: 0,
  }).data;
  const rows: [Key, ReactNode][] = [
    ["message.from", <Name key="name" of={message.sender} />],
    [
      "contact.id",
      <code key="id" className="mono wrap">
        {message.sender.id}
      </code>,
    ],
    ["message.state", t(message.outgoing && message.read ? "message.read" : STATES[message.state])],
  ];
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
      <h3>{t("message.history")}</h3>
      <ol className="history" aria-busy={!info}>
        {steps(message, info).map(({ what, when, more }, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: steps never move.
          <li key={index}>
            <span>{what}</span>
            {when !== undefined && <time dateTime={new Date(when).toISOString()}>{moment(when)}</time>}
            {more && <div className="muted small">{more}</div>}
          </li>
        ))}
      </ol>
      {reasons(message, info).map((one) => (
        <p key={one} className="muted">
          {one}
        </p>
      ))}
    </Dialog>
  );
}
