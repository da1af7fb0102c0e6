/** Reactions to a message, and what is at hand beside it: reply, react, all else. */
import { IconButton } from "@allium/ui";
import * as Popover from "@radix-ui/react-popover";
import { EllipsisVertical, SmilePlus } from "lucide-react";
import { lazy, type ReactNode, Suspense, useState } from "react";
import { remove, request } from "../api/client";
import { attempt, of } from "../api/queries";
import type { Message } from "../api/types";
import { listed, number, t } from "../i18n";
import { moved } from "../shell/focus";
import { type Entries, MenuButton } from "../shell/menu";
import { safeName } from "../text/safe";
import { type Chat, useChat } from "./context";
import { focusMessage } from "./focus";

const EmojiPicker = lazy(() => import("./emoji-picker"));
const FIRST = ["😂", "🥰", "😢", "😡", "😮", "😈"];
const SHOWN = 12;
const NAMES = 30;

async function react(chat: Chat, message: Message, emoji: string): Promise<void> {
  const mine = message.reactions.some((one) => one.emoji === emoji && one.me);
  const path = of(chat.account, `messages/${message.id}/reactions/${encodeURIComponent(emoji)}`);
  chat.timeline.change(message.id, (now) => {
    const others = now.reactions.filter((one) => one.emoji !== emoji);
    const old = now.reactions.find((one) => one.emoji === emoji);
    const count = (old?.count ?? 0) + (mine ? -1 : 1);
    const changed = { emoji, count, me: !mine, senders: old?.senders ?? [] };
    const reactions = old ? now.reactions.map((one) => (one === old ? changed : one)) : [...others, changed];
    return { ...now, reactions: reactions.filter((one) => one.count > 0) };
  });
  const failed = (await attempt(mine ? remove(path) : request("PUT", path))) === undefined;
  if (failed) chat.timeline.change(message.id, (now) => ({ ...now, reactions: message.reactions }));
}

export function Reactions({ message }: { message: Message }) {
  const chat = useChat();
  const [all, setAll] = useState(false);
  if (!message.reactions.length || message.deleted) return null;
  const shown = all ? message.reactions : message.reactions.slice(0, SHOWN);
  return (
    <ul className="reactions" aria-label={t("message.reactions")}>
      {shown.map((one) => {
        const names = listed(one.senders.slice(0, NAMES).map((name) => safeName(name)));
        const label = names ? t("message.reactionBy", { emoji: one.emoji, names }) : one.emoji;
        return (
          <li key={one.emoji}>
            <button
              type="button"
              className="reaction"
              aria-pressed={one.me}
              aria-label={`${label} ${number(one.count)}`}
              title={label}
              onClick={() => void react(chat, message, one.emoji)}
            >
              <span aria-hidden="true">{one.emoji}</span>
              {one.count > 1 && <span aria-hidden="true">{number(one.count)}</span>}
            </button>
          </li>
        );
      })}
      {shown.length < message.reactions.length && (
        <li>
          <button type="button" className="reaction" aria-label={t("common.more")} onClick={() => setAll(true)}>
            +{number(message.reactions.length - shown.length)}
          </button>
        </li>
      )}
    </ul>
  );
}

interface Properties {
  message: Message;
  open: boolean;
  onOpen: (open: boolean) => void;
  entries: () => Entries;
  children: ReactNode;
}

export function ReactionPicker({ message, open, onOpen, entries, children }: Properties) {
  const chat = useChat();
  const [more, setMore] = useState(false);
  const pick = (emoji: string) => {
    onOpen(false);
    setMore(false);
    void react(chat, message, emoji);
  };
  const change = (next: boolean) => {
    onOpen(next);
    if (!next) setMore(false);
  };
  return (
    <div className="beside" data-open={open || undefined}>
      {!message.deleted && (
        <>
          <IconButton label={t("message.reply")} onClick={() => chat.reply.set(message)} tabIndex={-1}>
            {children}
          </IconButton>
          <Popover.Root open={open} onOpenChange={change}>
            <Popover.Trigger asChild>
              <IconButton label={t("message.react")} tabIndex={-1}>
                <SmilePlus />
              </IconButton>
            </Popover.Trigger>
            <Popover.Portal>
              <Popover.Content
                className="menu picker"
                side="top"
                collisionPadding={10}
                aria-label={t("message.react")}
                onCloseAutoFocus={(event) => {
                  event.preventDefault();
                  if (!moved()) focusMessage(message.id);
                }}
              >
                {more ? (
                  <Suspense fallback={<div className="emoji-picker" aria-busy="true" />}>
                    <EmojiPicker onPick={pick} />
                  </Suspense>
                ) : (
                  <div className="quick">
                    {FIRST.map((emoji) => (
                      <button
                        key={emoji}
                        type="button"
                        className="quick-emoji"
                        aria-label={t("message.addReaction", { emoji })}
                        onClick={() => pick(emoji)}
                      >
                        {emoji}
                      </button>
                    ))}
                    <IconButton label={t("message.moreReactions")} onClick={() => setMore(true)}>
                      <EllipsisVertical />
                    </IconButton>
                  </div>
                )}
              </Popover.Content>
            </Popover.Portal>
          </Popover.Root>
        </>
      )}
      <MenuButton entries={entries()} align={message.outgoing ? "end" : "start"}>
        <IconButton label={t("message.actions")} tabIndex={-1}>
          <EllipsisVertical />
        </IconButton>
      </MenuButton>
    </div>
  );
}
