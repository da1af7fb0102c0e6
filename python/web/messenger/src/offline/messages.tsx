/** Messages that are kept, to read: no more of each than is kept, and none whose time is over. */
import { File, Mic, Timer } from "lucide-react";
import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { notice } from "../conversation/notice";
import { bytes, clock, day, number, sameDay, t } from "../i18n";
import { RichText } from "../text/rich";
import { emojiOnly, safeName, shortId } from "../text/safe";
import { joined, type KeptConversation, type KeptList, type KeptMessage } from "./kept";
import type { Reader } from "./vault";

const TOGETHER = 5 * 60_000;
const LOOK = 1000;

function Body({ message, me }: { message: KeptMessage; me: string }) {
  if (message.deleted) {
    return (
      <div className="rich muted">
        <em>{t("chat.deleted")}</em>
      </div>
    );
  }
  const big = !message.files.length && !message.quote ? emojiOnly(message.text) : 0;
  return (
    <>
      {message.quote && (
        <div className="quote">
          {message.quote.name && (
            <b>
              <bdi>{safeName(message.quote.name)}</bdi>
            </b>
          )}
          <span className="quoted" dir="auto">
            {safeName(message.quote.text, t("file.attachment"))}
          </span>
        </div>
      )}
      {message.files.map((one, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: files of one message have no other name here.
        <div key={index} className="kept-file">
          {one.voice ? <Mic size={18} aria-hidden="true" /> : <File size={18} aria-hidden="true" />}
          <span>
            <bdi>{one.voice ? t("file.voice") : safeName(one.name, t("file.attachment"))}</bdi>{" "}
            <span className="muted small">{bytes(one.size)}</span>
          </span>
        </div>
      ))}
      {message.invitation !== null && (
        <div>
          {t("community.invitation")}: <bdi>{safeName(message.invitation)}</bdi>
        </div>
      )}
      {big > 0 ? (
        <div className="big-emoji">{message.text}</div>
      ) : (
        message.text && <RichText text={message.text} mentions={message.mentions} me={me} />
      )}
    </>
  );
}

function Bubble({
  message,
  before,
  me,
  named,
}: {
  message: KeptMessage;
  before?: KeptMessage;
  me: string;
  named: boolean;
}) {
  const starts =
    !before ||
    before.notice !== null ||
    before.outgoing !== message.outgoing ||
    before.sender.id !== message.sender.id ||
    message.timestamp - before.timestamp > TOGETHER;
  const name = message.outgoing ? t("common.you") : safeName(message.sender.name, shortId(message.sender.id));
  return (
    <article
      className={`message ${message.outgoing ? "mine" : "theirs"}`}
      data-starts={starts || undefined}
      aria-label={`${name}, ${clock(message.timestamp)}`}
    >
      <div className="stack">
        <div className="bubble">
          {named && starts && !message.outgoing && (
            <div className="sender" data-color={message.sender.color}>
              <bdi>{name}</bdi>
            </div>
          )}
          <Body message={message} me={me} />
          <span className="stamp">
            {message.expires !== null && <Timer aria-label={t("message.disappears")} />}
            <time dateTime={new Date(message.timestamp).toISOString()}>{clock(message.timestamp)}</time>
          </span>
        </div>
        {message.reactions.length > 0 && !message.deleted && (
          <ul className="reactions" aria-label={t("message.reactions")}>
            {message.reactions.map((one) => (
              <li key={one.emoji} className="reaction">
                {one.emoji} {one.count > 1 && number(one.count)}
              </li>
            ))}
          </ul>
        )}
      </div>
    </article>
  );
}

interface Properties {
  kept: Reader<KeptList>;
  conversation: KeptConversation;
  name: string;
  me: string;
}

export function KeptMessages({ kept, conversation, name, me }: Properties) {
  const [messages, setMessages] = useState<KeptMessage[] | null>(null);
  const [now, setNow] = useState(Date.now);
  const scroller = useRef<HTMLDivElement>(null);
  useEffect(() => {
    let left = false;
    kept.parts<KeptMessage[]>(conversation.slot).then(
      (found) => left || setMessages(joined(found)),
      () => left || setMessages([]),
    );
    return () => {
      left = true;
    };
  }, [kept, conversation]);
  const passing = messages?.some((one) => one.expires !== null) ?? false;
  useEffect(() => {
    if (!passing) return;
    const timer = setInterval(() => setNow(Date.now()), LOOK);
    return () => clearInterval(timer);
  }, [passing]);
  useLayoutEffect(() => {
    if (messages && scroller.current) scroller.current.scrollTop = scroller.current.scrollHeight;
  }, [messages]);
  const shown = (messages ?? []).filter((one) => one.expires === null || one.expires > now);
  const named = conversation.kind !== "contact" && conversation.kind !== "note";
  return (
    <div className="messages">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls and has no control in it is scrolled by keys. */}
      <section className="scroller kept-scroller" ref={scroller} aria-label={t("chat.log", { name })} tabIndex={0}>
        {messages && !shown.length && <p className="muted kept-none">{t("kept.none")}</p>}
        {shown.map((one, index) => {
          const before = shown[index - 1];
          const newDay = !before || !sameDay(before.timestamp, one.timestamp);
          return (
            <div className="entry" key={one.id}>
              {newDay && (
                <div className="day">
                  <time dateTime={new Date(one.timestamp).toISOString()}>{day(one.timestamp)}</time>
                </div>
              )}
              {one.notice ? (
                <div className="notice" role="note">
                  <bdi>{notice(one)}</bdi>
                </div>
              ) : (
                <Bubble message={one} before={newDay ? undefined : before} me={me} named={named} />
              )}
            </div>
          );
        })}
      </section>
    </div>
  );
}
