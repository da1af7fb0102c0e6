/** One message. */

import { Check, CheckCheck, CircleAlert, Clock, CornerUpLeft, RotateCcw, Timer, Users } from "lucide-react";
import { type KeyboardEvent, memo, useCallback, useState, useSyncExternalStore } from "react";
import { attempt } from "../api/queries";
import type { Message } from "../api/types";
import { clock, moment, t } from "../i18n";
import { begin } from "../people/begin";
import { useModeration } from "../people/moderation";
import { go } from "../route";
import { copyText } from "../shell/copy";
import { openLink } from "../shell/links";
import { Name, PersonAvatar } from "../shell/person";
import { useStore } from "../store";
import { plain, RichText } from "../text/rich";
import { emojiOnly, safeName, shortId } from "../text/safe";
import { Attachments, isPicture } from "./attachments";
import { useChat } from "./context";
import { jumpTo } from "./conversation";
import { entriesOf, resend } from "./message-actions";
import { ReactionPicker, Reactions } from "./reactions";

function State({ message }: { message: Message }) {
  if (!message.outgoing || message.deleted) return null;
  switch (message.state) {
    case "sending":
      return <Clock aria-label={t("message.sending")} />;
    case "failed":
      return <CircleAlert className="bad" aria-label={t("message.failed")} />;
    case "unsynced":
      return <CircleAlert aria-label={t("message.unsynced")} />;
    default:
      return message.read ? <CheckCheck aria-label={t("message.read")} /> : <Check aria-label={t("message.sent")} />;
  }
}

function Quote({ message }: { message: Message }) {
  const chat = useChat();
  const { quote } = message;
  if (!quote) return null;
  const sender = typeof quote.sender === "string" ? { id: quote.sender, name: "" } : quote.sender;
  const target = quote.message;
  const name = sender?.id === chat.me ? t("common.you") : safeName(sender?.name, shortId(sender?.id ?? ""));
  return (
    <button
      type="button"
      className="quote"
      disabled={target === null}
      onClick={() => target !== null && void jumpTo(chat, target)}
    >
      <b>
        <bdi>{name}</bdi>
      </b>
      <span className="quoted" dir="auto">
        {target === null
          ? t("message.quoteMissing")
          : plain(quote.text, message.mentions, chat.me) || t("file.attachment")}
      </span>
    </button>
  );
}

function Invitation({ message }: { message: Message }) {
  const chat = useChat();
  if (!message.invitation) return null;
  const { name, url } = message.invitation;
  const join = async () => {
    const id = await attempt(begin(chat.account, "communities", { url }));
    if (id) go(chat.account, "c", id);
  };
  return (
    <div className="card">
      <Users aria-hidden="true" />
      <span>
        <b className="ellipsis">
          <bdi>{safeName(name)}</bdi>
        </b>
        <span className="muted small">{t("community.invitation")}</span>
      </span>
      <button type="button" className="button primary" onClick={() => void join()}>
        {t("community.join")}
      </button>
    </div>
  );
}

function Preview({ message }: { message: Message }) {
  if (!message.preview) return null;
  const { url, title, image } = message.preview;
  return (
    <button
      type="button"
      className="link-preview"
      aria-label={`${t("message.preview")}: ${title}`}
      onClick={() => openLink(url)}
    >
      {image && <img src={image} alt="" loading="lazy" />}
      <b>
        <bdi>{safeName(title)}</bdi>
      </b>
      <span className="muted ellipsis" dir="ltr">
        {safeName(url)}
      </span>
    </button>
  );
}

interface Properties {
  message: Message;
  /** Whether it is the first, the last of those of one person that stand together. */
  starts: boolean;
  ends: boolean;
  named: boolean;
  lit: boolean;
  last: boolean;
}

export const Bubble = memo(function Bubble({ message, starts, ends, named, lit, last }: Properties) {
  const chat = useChat();
  const selected = useStore(chat.selected);
  const picking = useSyncExternalStore(
    chat.picking.watch,
    useCallback(() => chat.picking.get() === message.id, [chat, message.id]),
  );
  // What stands beside a message is made once it is wanted: most are only scrolled by.
  const [near, setNear] = useState(false);
  useModeration();
  const big = !message.attachments.length && !message.quote && !message.preview ? emojiOnly(message.text) : 0;
  const isSelected = selected?.has(message.id) ?? false;
  const toggle = () => {
    const next = new Set(selected);
    if (!next.delete(message.id)) next.add(message.id);
    chat.selected.set(next);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.target !== event.currentTarget) return;
    const shift = event.shiftKey || event.ctrlKey;
    if (selected && (event.key === " " || event.key === "Enter")) toggle();
    else if (event.key.toLowerCase() === "r" && !event.ctrlKey) chat.reply.set(message);
    else if (event.key.toLowerCase() === "e" && !event.ctrlKey) chat.picking.set(message.id);
    else if (event.key === "Delete") chat.open({ what: "delete", messages: [message] });
    else if (event.key === "c" && shift && message.text) void copyText(message.text);
    else return;
    event.preventDefault();
  };
  const name = message.outgoing ? t("common.you") : safeName(message.sender.name, shortId(message.sender.id));
  const stamp = (
    <span className="stamp">
      {(message.expires !== null || message.timer) && <Timer aria-label={t("message.disappears")} />}
      <time dateTime={new Date(message.timestamp).toISOString()} title={near ? moment(message.timestamp) : undefined}>
        {clock(message.timestamp)}
      </time>
      <State message={message} />
    </span>
  );
  const body = message.deleted ? (
    <div className="rich muted">
      <em>{t("chat.deleted")}</em>
    </div>
  ) : (
    <>
      <Quote message={message} />
      <Attachments message={message} />
      <Invitation message={message} />
      <Preview message={message} />
      {big > 0 ? (
        <div className="big-emoji">{message.text}</div>
      ) : (
        message.text && <RichText text={message.text} mentions={message.mentions} me={chat.me} />
      )}
    </>
  );
  return (
    <article
      className={`message ${message.outgoing ? "mine" : "theirs"}`}
      data-message={message.id}
      data-starts={starts || undefined}
      data-ends={ends || undefined}
      data-lit={lit || undefined}
      data-selected={isSelected || undefined}
      data-state={message.state}
      aria-label={`${name}, ${clock(message.timestamp)}`}
      tabIndex={last ? 0 : -1}
      onKeyDown={onKeyDown}
      onPointerMove={near ? undefined : () => setNear(true)}
      onFocus={near ? undefined : () => setNear(true)}
    >
      {selected && (
        <input
          type="checkbox"
          className="pick-box"
          aria-label={`${t("message.select")}: ${name}, ${clock(message.timestamp)}`}
          checked={isSelected}
          onChange={toggle}
        />
      )}
      {named && !message.outgoing && (
        <span className="face">{ends && <PersonAvatar of={message.sender} size="small" />}</span>
      )}
      <div className="stack">
        <div className={`bubble ${big ? "bare" : ""}`} data-picture={message.attachments.some(isPicture) || undefined}>
          {named && starts && !message.outgoing && (
            <div className="sender" data-color={message.sender.color}>
              <Name of={message.sender} />
              {message.sender.admin && (
                <span className="muted">
                  {" "}
                  {t(message.conversation.startsWith("c-") ? "community.moderator" : "group.admin")}
                </span>
              )}
            </div>
          )}
          {body}
          {stamp}
        </div>
        <Reactions message={message} />
        {message.state === "failed" && (
          <button type="button" className="failed" onClick={() => void resend(chat, message)}>
            <RotateCcw size={14} aria-hidden="true" />
            {t("message.failed")}. {t("message.resend")}
          </button>
        )}
      </div>
      {!selected && (near || picking) && (
        <ReactionPicker
          message={message}
          open={picking}
          onOpen={(open) => chat.picking.set(open ? message.id : null)}
          entries={() => entriesOf(chat, message)}
        >
          <CornerUpLeft />
        </ReactionPicker>
      )}
    </article>
  );
});
