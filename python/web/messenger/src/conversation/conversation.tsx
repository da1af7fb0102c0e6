/** One conversation: its head, its messages, and where one writes. */
import { Button, Empty } from "@allium/ui";
import { CircleAlert } from "lucide-react";
import { lazy, Suspense, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { sentence } from "../api/client";
import { isRequest, markRead, useConversation } from "../api/queries";
import { timeline as timelineOf } from "../api/timeline";
import type { Account, Attachment, Conversation, Message } from "../api/types";
import { t } from "../i18n";
import { setBlocked } from "../list/actions";
import { accept, block, decline } from "../list/requests";
import { BanQuestion } from "../people/moderation";
import { nameOfConversation } from "../shell/person";
import { Store } from "../store";
import { Composer } from "./composer";
import { type Chat, ChatContext } from "./context";
import { DeleteQuestion } from "./delete";
import { DropZone } from "./drop";
import { Head } from "./head";
import { MessageList } from "./messages";
import { SelectionBar } from "./selection";
import { Staging } from "./staging";

const Viewer = lazy(() => import("./viewer"));
const PdfViewer = lazy(() => import("./pdf-viewer"));
const Info = lazy(() => import("./info"));
const Export = lazy(() => import("./export"));
const Forward = lazy(() => import("./forward"));
const Details = lazy(() => import("../people/details"));

export type Aside =
  | { what: "viewer"; attachment: Attachment; message: Message }
  | { what: "pdf"; attachment: Attachment; message: Message }
  | { what: "info"; message: Message }
  | { what: "forward"; messages: Message[] }
  | { what: "delete"; messages: Message[] }
  | { what: "export" }
  | { what: "details" }
  | null;

function RequestBar({ account, conversation }: { account: string; conversation: Conversation }) {
  const name = nameOfConversation(conversation);
  return (
    <div className="request-bar">
      <p>
        <bdi>{t(conversation.kind === "group" ? "request.group" : "request.text", { name })}</bdi>
      </p>
      <p className="muted">{t("request.hint")}</p>
      <div className="row">
        {conversation.kind === "contact" && (
          <Button kind="plain" onClick={() => void block(account, conversation)}>
            {t("menu.block")}
          </Button>
        )}
        <Button onClick={() => void decline(account, conversation)}>{t("request.decline")}</Button>
        <Button kind="primary" onClick={() => void accept(account, conversation)}>
          {t("request.accept")}
        </Button>
      </div>
    </div>
  );
}

function Foot({ account, conversation, chat }: { account: Account; conversation: Conversation; chat: Chat }) {
  if (isRequest(conversation)) return <RequestBar account={account.id} conversation={conversation} />;
  if (conversation.blocked) {
    return (
      <div className="request-bar">
        <p>{t("chat.blocked")}</p>
        <Button onClick={() => void setBlocked(account.id, conversation.id, false)}>{t("chat.unblock")}</Button>
      </div>
    );
  }
  if (!conversation.writable) return <div className="request-bar muted">{t("chat.notWritable")}</div>;
  return <Composer chat={chat} conversation={conversation} />;
}

export function ConversationView({ account, id, jump }: { account: Account; id: string; jump: number | null }) {
  const { conversation, error } = useConversation(account.id, id);
  const timeline = timelineOf(account.id, id);
  const [aside, setAside] = useState<Aside>(null);
  const trusted = Boolean(conversation?.approved && !isRequest(conversation) && !conversation.blocked);
  const held = useMemo<Omit<Chat, "trusted">>(
    () => ({
      account: account.id,
      me: account.account_id,
      id,
      timeline,
      reply: new Store<Message | null>(null),
      selected: new Store<ReadonlySet<number> | null>(null),
      picking: new Store<number | null>(null),
      jump: new Store<{ id: number; count: number } | null>(null),
      staging: new Staging(account.id),
      open: setAside,
    }),
    [account.id, account.account_id, id, timeline],
  );
  // Who becomes trusted meanwhile takes nothing away of what is being written to them.
  const chat = useMemo<Chat>(() => ({ ...held, trusted }), [held, trusted]);
  useEffect(() => () => held.staging.clear(), [held]);
  // Where reading begins is decided once: the line of new messages stays while they are being read.
  const begun = useRef<{ lastRead: number; unread: number } | null>(null);
  if (conversation && !begun.current) begun.current = { lastRead: conversation.last_read, unread: conversation.unread };
  useEffect(() => {
    if (jump !== null) void jumpTo(held, jump);
    else if (timeline.stretch.get().state === "ready" && !timeline.stretch.get().after) void timeline.refresh();
    else void timeline.load();
  }, [held, timeline, jump]);
  const unread = conversation?.unread ?? 0;
  const here = conversation !== undefined;
  const read = useCallback(() => {
    if (conversation && !isRequest(conversation) && document.visibilityState === "visible") {
      void markRead(account.id, conversation);
    }
  }, [account.id, conversation]);
  const latest = useRef(read);
  latest.current = read;
  // Opening it reads it; what is marked as unread while it is open stays marked.
  useEffect(() => {
    if (here) latest.current();
  }, [here]);
  useEffect(() => {
    const seen = () => unread > 0 && latest.current();
    seen();
    document.addEventListener("visibilitychange", seen);
    return () => document.removeEventListener("visibilitychange", seen);
  }, [unread]);
  if (error) {
    return (
      <Empty icon={<CircleAlert />} title={t("list.noMatch")}>
        <p>{sentence(error)}</p>
      </Empty>
    );
  }
  if (!conversation) return <div aria-busy="true" />;
  const close = () => setAside(null);
  return (
    <ChatContext value={chat}>
      <DropZone chat={chat} enabled={conversation.writable && !conversation.blocked && !isRequest(conversation)}>
        <Head account={account} conversation={conversation} chat={chat} />
        <MessageList chat={chat} conversation={conversation} begun={begun.current} />
        <SelectionBar chat={chat} />
        <Foot account={account} conversation={conversation} chat={chat} />
      </DropZone>
      <Suspense fallback={null}>
        {aside?.what === "viewer" && <Viewer chat={chat} attachment={aside.attachment} onClose={close} />}
        {aside?.what === "pdf" && <PdfViewer attachment={aside.attachment} onClose={close} />}
        {aside?.what === "info" && <Info account={account.id} message={aside.message} onClose={close} />}
        {aside?.what === "forward" && <Forward chat={chat} messages={aside.messages} onClose={close} />}
        {aside?.what === "export" && <Export account={account} conversation={conversation} onClose={close} />}
        {aside?.what === "details" && <Details account={account} conversation={conversation} onClose={close} />}
      </Suspense>
      <BanQuestion account={account.id} room={id} />
      {aside?.what === "delete" && (
        <DeleteQuestion chat={chat} conversation={conversation} messages={aside.messages} onClose={close} />
      )}
    </ChatContext>
  );
}

let jumps = 0;

/** Shows a message, wherever it is. */
export async function jumpTo(chat: Pick<Chat, "timeline" | "jump">, id: number): Promise<void> {
  const held = chat.timeline.stretch.get().messages.some((one) => one.id === id);
  if (!held) await chat.timeline.load(id);
  chat.jump.set({ id, count: ++jumps });
}
