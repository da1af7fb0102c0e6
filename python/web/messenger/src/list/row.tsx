/** One conversation in the list. */
import { AtSign, BellOff, Check, CheckCheck, CircleAlert, Clock, Pin } from "lucide-react";
import { memo, useRef, useState } from "react";
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

export const Row = memo(function Row({
  account,
  me,
  one,
  open,
}: {
  account: string;
  me: string;
  one: Conversation;
  open: boolean;
}) {
  const start = useRef<number | null>(null);
  const [drawn, setDrawn] = useState(0);
  const last = one.last_message;
  const unread = one.unread > 0 || one.marked_unread;
  const time = last?.timestamp ?? one.last_activity;
  const text = last ? summary(last, me) : "";
  const release = () => {
    if (Math.abs(drawn) > SWIPE) {
      void changeConversation(
        account,
        one.id,
        drawn > 0 ? { pinned: one.pinned ? 0 : 1 } : { muted_until: isMuted(one) ? 0 : Date.now() + 86_400_000 },
      );
    }
    start.current = null;
    setDrawn(0);
  };
  return (
    <ContextMenu entries={() => conversationEntries(account, one)}>
      <li className="row-item" data-unread={unread || undefined}>
        <a
          className="row-link"
          href={address(account, "c", one.id)}
          aria-current={open ? "page" : undefined}
          draggable={false}
          onTouchStart={(event) => {
            start.current = event.touches[0]?.clientX ?? null;
          }}
          onTouchMove={(event) => {
            if (start.current === null) return;
            const by = (event.touches[0]?.clientX ?? 0) - start.current;
            setDrawn(Math.abs(by) > 24 ? Math.max(-120, Math.min(120, by)) : 0);
          }}
          onTouchEnd={release}
          style={drawn ? { translate: `${drawn}px` } : undefined}
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
