/** The messages: a virtual list that grows at both ends and stays at the newest one while one is there. */
import { Button, Empty, IconButton } from "@allium/ui";
import { ArrowDown, MessageCircle } from "lucide-react";
import { type KeyboardEvent, type UIEvent, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { type ListRange, Virtuoso, type VirtuosoHandle } from "react-virtuoso";
import { useContacts, useGroup } from "../api/queries";
import type { Conversation, Message } from "../api/types";
import { day, number, sameDay, t } from "../i18n";
import { go } from "../route";
import { nameOfConversation } from "../shell/person";
import { useStore } from "../store";
import { Bubble } from "./bubble";
import type { Chat } from "./context";
import { focusMessage } from "./focus";
import { MessageMenu } from "./message-menu";
import { notice } from "./notice";

/** Messages of one person within this time of each other stand together. */
const TOGETHER = 5 * 60_000;
const NEAR_END = 120;
/** More messages are asked for while so many are still to come, so that who scrolls does not wait for them. */
const AHEAD = 80;
/** Pixels that are drawn beyond what is seen, and what a message takes before it is measured. */
const BEYOND = 700;
const USUAL = 58;
const PAGE = 10;
/** Frames in which a list that begins anew may have its messages. */
const FRAMES = 60;
/** Milliseconds from a touch, a key or a turn of the wheel in which what scrolls does so for it. */
const BY_HAND = 1000;

const STEPS: Record<string, number | undefined> = {
  ArrowUp: -1,
  ArrowDown: 1,
  PageUp: -PAGE,
  PageDown: PAGE,
  Home: Number.NEGATIVE_INFINITY,
  End: Number.POSITIVE_INFINITY,
};

const joins = (one: Message | undefined, other: Message | undefined): boolean =>
  Boolean(
    one &&
      other &&
      !one.notice &&
      !other.notice &&
      one.sender.id === other.sender.id &&
      one.outgoing === other.outgoing &&
      Math.abs(other.timestamp - one.timestamp) < TOGETHER &&
      sameDay(one.timestamp, other.timestamp),
  );

interface Properties {
  chat: Chat;
  conversation: Conversation;
  begun: { lastRead: number; unread: number } | null;
}

export function MessageList({ chat, conversation, begun }: Properties) {
  const { messages, first, before, after, state, error, target, generation } = useStore(chat.timeline.stretch);
  const jump = useStore(chat.jump);
  const list = useRef<VirtuosoHandle>(null);
  const frame = useRef<HTMLDivElement>(null);
  const [atEnd, setAtEnd] = useState(true);
  const [seen, setSeen] = useState(0);
  const [lit, setLit] = useState(0);
  const pinned = useRef<number | null>(null);
  const newest = messages.at(-1)?.position ?? 0;
  const missed = useMemo(() => {
    let count = 0;
    // Those that were not seen are the last ones.
    for (let at = messages.length - 1; at >= 0 && (messages[at]?.position ?? 0) > seen; at--) {
      if (!messages[at]?.outgoing) count++;
    }
    return count;
  }, [messages, seen]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: what was there when the list began is not news.
  useEffect(() => setSeen(newest), [generation]);
  useEffect(() => {
    if (atEnd && !after) setSeen(newest);
  }, [atEnd, after, newest]);
  const indexOf = useCallback(
    (id: number) => chat.timeline.stretch.get().messages.findIndex((one) => one.id === id),
    [chat],
  );
  // Whether the end is kept in view: from the beginning, until somebody leaves it. That rows grow is no leaving.
  const place = useRef({ generation: -1, kept: false, top: 0 });
  if (place.current.generation !== generation) {
    place.current = { generation, kept: target === null, top: 0 };
    pinned.current = target;
  }
  const touched = useRef(0);
  useEffect(() => {
    if (!jump) return;
    const index = indexOf(jump.id);
    if (index < 0) return;
    setLit(jump.id);
    place.current.kept = false;
    pinned.current = jump.id;
    // The list has to be there with its new messages before it can be moved.
    const moved = requestAnimationFrame(() => list.current?.scrollToIndex({ index, align: "center" }));
    return () => cancelAnimationFrame(moved);
  }, [jump, indexOf]);
  const last = messages.at(-1);
  const lastSeen = useRef(last?.id);
  useEffect(() => {
    // What one has just written is shown, wherever one was reading.
    if (last && lastSeen.current !== last.id && last.outgoing && !after) {
      pinned.current = null;
      list.current?.scrollToIndex({ index: "LAST", align: "end" });
    }
    lastSeen.current = last?.id;
  }, [last, after]);
  const onScroll = ({ currentTarget: { scrollTop: top, scrollHeight: height, clientHeight } }: UIEvent) => {
    const { current } = place;
    if (height - top - clientHeight <= NEAR_END) current.kept = true;
    // The list moves by itself too, as its rows get their heights.
    else if (top < current.top && performance.now() - touched.current < BY_HAND) current.kept = false;
    current.top = top;
  };
  /** Rows grow while they are drawn for the first time; the end stays the end. */
  const settle = () => {
    const at = pinned.current === null ? -1 : indexOf(pinned.current);
    if (at >= 0) return list.current?.scrollToIndex({ index: at, align: "center" });
    if (place.current.kept && !after) list.current?.scrollToIndex({ index: "LAST", align: "end" });
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: what is loaded around it moves it.
  useEffect(() => {
    if (pinned.current === null) return;
    const later = requestAnimationFrame(settle);
    return () => cancelAnimationFrame(later);
  }, [messages, first]);
  /** Where one has jumped stays in the middle while what is around it is loaded and drawn, until one moves on. */
  const moved = () => {
    pinned.current = null;
    touched.current = performance.now();
  };
  const toEnd = () => {
    pinned.current = null;
    chat.jump.set(null);
    setLit(0);
    if (after) void chat.timeline.load();
    else list.current?.scrollToIndex({ index: "LAST", align: "end", behavior: "auto" });
  };
  /** A list that begins anew has its messages some frames later. */
  const focusSoon = (id: number | undefined, left = FRAMES) => {
    const found = frame.current?.querySelector<HTMLElement>(`[data-message="${id}"]`);
    // It is drawn more than once before it stays; who has put the focus elsewhere keeps it there.
    const now = document.activeElement;
    const free = now === null || now === document.body || now === found;
    if (found && free) found.focus({ preventScroll: true });
    if (left > 0 && (free || !found)) requestAnimationFrame(() => focusSoon(id, left - 1));
  };
  /** Keys go from message to message; who has the focus keeps it when the list moves. */
  const onKeyDown = (event: KeyboardEvent) => {
    touched.current = performance.now();
    const by = STEPS[event.key];
    if (by === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    const current = (document.activeElement as HTMLElement | null)?.closest<HTMLElement>("[data-message]");
    if (!current || document.activeElement !== current) return;
    event.preventDefault();
    moved();
    const end = by === Number.POSITIVE_INFINITY;
    if (end ? after : by === Number.NEGATIVE_INFINITY && before) return void toTheEdge(end);
    const at = indexOf(Number(current.dataset.message)) + by;
    const index = Math.max(0, Math.min(messages.length - 1, at));
    const next = messages[index];
    if (!next) return;
    // The focus goes at once where it can: the next key may be for the message that it leads to.
    const focused = focusMessage(next.id);
    list.current?.scrollIntoView({ index, done: () => focused || focusMessage(next.id) });
  };
  /** What lies beyond what is held is loaded first. */
  const toTheEdge = async (end: boolean) => {
    await chat.timeline.load(end ? null : "start");
    const held = chat.timeline.stretch.get().messages;
    chat.jump.set(null);
    focusSoon(held.at(end ? -1 : 0)?.id);
  };
  const near = ({ startIndex, endIndex }: ListRange) => {
    if (startIndex - first < AHEAD) void chat.timeline.older();
    if (first + messages.length - endIndex < AHEAD) void chat.timeline.newer();
  };
  const contacts = useContacts(chat.account).data;
  const members = useGroup(chat.account, chat.id).data?.members;
  const known = (id: string) =>
    id === chat.me ? t("common.you") : [...(members ?? []), ...(contacts ?? [])].find((one) => one.id === id)?.name;
  const unreadFrom = useMemo(
    () =>
      begun && begun.unread > 0
        ? messages.find((one) => !one.outgoing && one.timestamp > begun.lastRead)?.id
        : undefined,
    [messages, begun],
  );
  if (state === "failed") {
    return (
      <div className="messages">
        <Empty icon={<MessageCircle />} title={error}>
          <Button onClick={() => void chat.timeline.load()}>{t("common.retry")}</Button>
        </Empty>
      </div>
    );
  }
  const name = nameOfConversation(conversation);
  if (state === "ready" && !messages.length) {
    return (
      <div className="messages">
        <Empty icon={<MessageCircle />} title={t("chat.empty")}>
          <p>{conversation.kind === "contact" && t("chat.emptyHint", { name })}</p>
        </Empty>
      </div>
    );
  }
  const row = (message: Message, index: number) => {
    const previous = messages[index - 1];
    const next = messages[index + 1];
    const newDay = (!previous && !before) || (previous && !sameDay(previous.timestamp, message.timestamp));
    const unread = message.id === unreadFrom;
    return (
      <div className="entry">
        {newDay && (
          <div className="day">
            <time dateTime={new Date(message.timestamp).toISOString()}>{day(message.timestamp)}</time>
          </div>
        )}
        {unread && <div className="unread-line">{t("chat.newMessages")}</div>}
        {message.notice ? (
          <div className="notice" data-message={message.id} tabIndex={-1} role="note">
            <bdi>{notice(message, known)}</bdi>
            {message.notice.state === "off" && (
              <Button kind="plain" onClick={() => go(chat.account, "settings", "privacy")}>
                {t("notice.callsOff")}
              </Button>
            )}
          </div>
        ) : (
          <Bubble
            message={message}
            starts={newDay || unread || !joins(previous, message)}
            ends={!joins(message, next)}
            named={
              conversation.kind === "group" || conversation.kind === "community" || conversation.kind === "legacy-group"
            }
            lit={lit === message.id}
            last={index === messages.length - 1}
          />
        )}
      </div>
    );
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the messages in it take the keys.
    <div
      className="messages"
      ref={frame}
      onKeyDown={onKeyDown}
      onWheel={moved}
      onTouchMove={moved}
      onPointerDown={moved}
    >
      {state === "ready" && (
        <MessageMenu chat={chat}>
          <Virtuoso
            key={generation}
            ref={list}
            className="scroller"
            role="region"
            aria-label={t("chat.log", { name })}
            tabIndex={-1}
            data={messages}
            firstItemIndex={first}
            initialTopMostItemIndex={
              target !== null && indexOf(target) >= 0
                ? { index: indexOf(target), align: "center" }
                : { index: messages.length - 1, align: "end" }
            }
            computeItemKey={(_, message) => message.id}
            itemContent={(index, message) => row(message, index - first)}
            startReached={() => void chat.timeline.older()}
            endReached={() => void chat.timeline.newer()}
            onScroll={onScroll}
            followOutput={() => (place.current.kept && !after ? "auto" : false)}
            atBottomThreshold={NEAR_END}
            atBottomStateChange={setAtEnd}
            totalListHeightChanged={settle}
            rangeChanged={near}
            defaultItemHeight={USUAL}
            increaseViewportBy={BEYOND}
            alignToBottom
            skipAnimationFrameInResizeObserver
          />
        </MessageMenu>
      )}
      {(!atEnd || after) && state === "ready" && (
        <div className="to-end">
          <IconButton
            label={missed ? `${t("chat.toEnd")}: ${t("chat.newCount", { count: missed })}` : t("chat.toEnd")}
            onClick={toEnd}
          >
            <ArrowDown />
          </IconButton>
          {missed > 0 && (
            <span className="badge" aria-hidden="true">
              {number(missed)}
            </span>
          )}
        </div>
      )}
    </div>
  );
}
