/** One conversation in the list. */
import { AtSign, BellOff, BellRing, Check, CheckCheck, CircleAlert, Clock, Pin, PinOff } from "lucide-react";
import { type KeyboardEvent, memo, type PointerEvent, useRef, useState } from "react";
import { changeConversation } from "../api/queries";
import type { Conversation, Message } from "../api/types";
import { notice } from "../conversation/notice";
import { number, shortMoment, t } from "../i18n";
import { address } from "../route";
import { ContextMenu } from "../shell/menu";
import { ConversationAvatar, nameOfConversation } from "../shell/person";
import { plain } from "../text/rich";
import { safeName } from "../text/safe";
import { conversationEntries, isMuted } from "./actions";
import { place, step } from "./order";

export function summary(message: Message, me: string): string {
  if (message.notice) return notice(message);
  if (message.deleted) return t("chat.deleted");
  const text = plain(message.text, message.mentions, me);
  if (text) return text;
  const [file] = message.attachments;
  if (file?.voice) return t("file.voice");
  if (file) return file.type.startsWith("image/") ? t("file.image") : safeName(file.name, t("file.attachment"));
  if (message.invitation) return t("community.invitation");
  return "";
}

function Delivery({ message }: { message: Message }) {
  if (!message.outgoing || message.notice || message.deleted) return null;
  const { state } = message;
  if (state === "failed") return <CircleAlert className="mini bad" aria-label={t("message.failed")} />;
  if (state === "unsynced") return <CircleAlert className="mini" aria-label={t("message.unsynced")} />;
  if (state === "sending") return <Clock className="mini" aria-label={t("message.sending")} />;
  return message.read ? (
    <CheckCheck className="mini" aria-label={t("message.read")} />
  ) : (
    <Check className="mini" aria-label={t("message.sent")} />
  );
}

/** How far a row is drawn aside before letting go does something. */
const SWIPE = 80;

const FARTHEST = 120;
const BEGINS = 24;

interface Properties {
  account: string;
  me: string;
  one: Conversation;
  open: boolean;
  /** Begins to drag it; not where the order cannot be seen. */
  begin?: ((event: PointerEvent, id: string) => void) | undefined;
  /** How far it is dragged. */
  drawn?: number | null;
  /** Where what is dragged would come to stand. */
  drop?: "above" | "below" | undefined;
}

export const Row = memo(function Row({ account, me, one, open, begin, drawn = null, drop }: Properties) {
  const start = useRef<number | null>(null);
  const [swiped, setSwiped] = useState(0);
  /** The same, up to the last move of the finger; what is drawn may lag behind. */
  const reached = useRef(0);
  const last = one.last_message;
  const unread = one.unread > 0 || one.marked_unread;
  const time = last?.timestamp ?? one.last_activity;
  const text = last ? summary(last, me) : "";
  const release = () => {
    const by = reached.current;
    if (by > SWIPE) void place(account, one.id, one.pinned ? null : Number.POSITIVE_INFINITY);
    else if (by < -SWIPE) {
      void changeConversation(account, one.id, { muted_until: isMuted(one) ? 0 : Date.now() + 86_400_000 });
    }
    cancel();
  };
  const cancel = () => {
    start.current = null;
    reached.current = 0;
    setSwiped(0);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (!begin || !event.altKey || (event.key !== "ArrowUp" && event.key !== "ArrowDown")) return;
    event.preventDefault();
    step(account, one.id, event.key === "ArrowUp" ? -1 : 1);
  };
  return (
    <ContextMenu entries={() => conversationEntries(account, one)}>
      <li
        className="row-item"
        data-unread={unread || undefined}
        data-row={one.id}
        data-pinned={one.pinned > 0 || undefined}
        data-dragged={drawn !== null || undefined}
        data-drop={drop}
      >
        {swiped !== 0 && (
          <span
            className="behind"
            data-side={swiped > 0 ? "left" : "right"}
            data-far={Math.abs(swiped) > SWIPE || undefined}
          >
            {swiped > 0 ? one.pinned ? <PinOff /> : <Pin /> : isMuted(one) ? <BellRing /> : <BellOff />}
          </span>
        )}
        <a
          className="row-link"
          href={address(account, "c", one.id)}
          aria-current={open ? "page" : undefined}
          aria-keyshortcuts={begin && "Alt+ArrowUp Alt+ArrowDown"}
          draggable={false}
          onKeyDown={onKeyDown}
          onPointerDown={(event) => begin?.(event, one.id)}
          onTouchStart={(event) => {
            start.current = event.touches[0]?.clientX ?? null;
          }}
          onTouchMove={(event) => {
            if (start.current === null) return;
            const by = (event.touches[0]?.clientX ?? 0) - start.current;
            reached.current = Math.abs(by) > BEGINS ? Math.max(-FARTHEST, Math.min(FARTHEST, by)) : 0;
            setSwiped(reached.current);
          }}
          onTouchEnd={release}
          onTouchCancel={cancel}
          style={drawn !== null ? { translate: `0 ${drawn}px` } : swiped ? { translate: `${swiped}px` } : undefined}
        >
          <ConversationAvatar of={one} />
          <span className="text">
            <span className="line">
              <span className="name ellipsis">
                <bdi>{nameOfConversation(one)}</bdi>
              </span>
              {one.pinned > 0 && <Pin className="mini" aria-label={t("list.pinned")} />}
              {isMuted(one) && <BellOff className="mini" aria-label={t("list.muted")} />}
              {time > 0 && <time dateTime={new Date(time).toISOString()}>{shortMoment(time)}</time>}
            </span>
            <span className="line">
              {one.typing ? (
                <span className="preview typing ellipsis">{t("list.typing")}</span>
              ) : one.draft && !open ? (
                <span className="preview ellipsis" dir="auto">
                  <span className="draft">{t("list.draft")}</span> <bdi>{safeName(one.draft, "")}</bdi>
                </span>
              ) : (
                <span className="preview ellipsis" dir="auto">
                  <bdi>{last?.outgoing && !last.notice && one.kind !== "note" ? t("list.you", { text }) : text}</bdi>
                </span>
              )}
              {one.mentioned && <AtSign className="mini" aria-label={t("list.mentioned")} />}
              {unread ? (
                <span className="badge" data-quiet={isMuted(one) || undefined}>
                  <span aria-hidden="true">{one.unread ? number(one.unread) : "•"}</span>
                  <span className="visually-hidden">{t("list.unread", { count: Math.max(1, one.unread) })}</span>
                </span>
              ) : (
                last && <Delivery message={last} />
              )}
            </span>
          </span>
        </a>
      </li>
    </ContextMenu>
  );
});
