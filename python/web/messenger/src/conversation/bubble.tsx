/** One message. */

import { toast } from "@allium/ui";
import {
  Check,
  CheckCheck,
  CircleAlert,
  Clock,
  Copy,
  CornerUpLeft,
  Forward,
  Info,
  ListChecks,
  Reply,
  RotateCcw,
  SmilePlus,
  Timer,
  Trash2,
  Users,
} from "lucide-react";
import { type KeyboardEvent, memo, useState } from "react";
import { post } from "../api/client";
import { attempt, of, reload } from "../api/queries";
import type { Conversation, Message } from "../api/types";
import { clock, moment, t } from "../i18n";
import { moderationEntries, useModeration } from "../people/moderation";
import { go } from "../route";
import { openLink } from "../shell/links";
import type { Entries } from "../shell/menu";
import { ContextMenu } from "../shell/menu";
import { Name, PersonAvatar } from "../shell/person";
import { useStore } from "../store";
import { plain, RichText } from "../text/rich";
import { emojiOnly, safeName, shortId } from "../text/safe";
import { Attachments } from "./attachments";
import { type Chat, useChat } from "./context";
import { jumpTo } from "./conversation";
import { ReactionPicker, Reactions } from "./reactions";

export function entriesOf(chat: Chat, message: Message, react: () => void): Entries {
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
    { label: t("message.react"), icon: <SmilePlus />, run: react },
  ];
  if (message.text) {
    const copy = async () => {
      await navigator.clipboard.writeText(message.text);
      toast(t("common.copied"));
    };
    entries.push({ label: t("message.copyText"), icon: <Copy />, run: () => void copy() });
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

async function resend(chat: Chat, message: Message): Promise<void> {
  await attempt(post(of(chat.account, `messages/${message.id}/resend`)));
}

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
      <span className="quoted">
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
    const joined = await attempt(post<Conversation>(of(chat.account, "communities"), { url }));
    if (!joined) return;
    await reload(chat.account, "conversations");
    go(chat.account, "c", joined.id);
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
  const [picking, setPicking] = useState(false);
  const react = () => setPicking(true);
  useModeration();
  const entries = () => entriesOf(chat, message, react);
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
    else if (event.key.toLowerCase() === "e" && !event.ctrlKey) react();
    else if (event.key === "Delete") chat.open({ what: "delete", messages: [message] });
    else if (event.key === "c" && shift && message.text) void navigator.clipboard.writeText(message.text);
    else return;
    event.preventDefault();
  };
  const name = message.outgoing ? t("common.you") : safeName(message.sender.name, shortId(message.sender.id));
  const stamp = (
    <span className="stamp">
      {(message.expires !== null || message.timer) && <Timer aria-label={t("message.disappears")} />}
      <time dateTime={new Date(message.timestamp).toISOString()} title={moment(message.timestamp)}>
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
    <ContextMenu entries={entries}>
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
          <div className={`bubble ${big ? "bare" : ""}`}>
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
        {!selected && (
          <ReactionPicker message={message} open={picking} onOpen={setPicking} entries={entries}>
            <CornerUpLeft />
          </ReactionPicker>
        )}
      </article>
    </ContextMenu>
  );
});
