/** The head of a conversation: with whom, and what can be done with it. */
import { IconButton } from "@allium/ui";
import { ChevronLeft, Download, EllipsisVertical, Info, Search, Timer, X } from "lucide-react";
import { useState } from "react";
import { useGroup } from "../api/queries";
import type { Account, Conversation } from "../api/types";
import { CallButtons } from "../calls/buttons";
import { canBeCalled } from "../calls/state";
import { duration, t } from "../i18n";
import { conversationEntries } from "../list/actions";
import { Hit, useSearch } from "../list/search";
import { go } from "../route";
import { Heading } from "../shell/heading";
import { MenuButton } from "../shell/menu";
import { ConversationAvatar, Name, nameOfConversation } from "../shell/person";
import type { Chat } from "./context";

function Find({ chat, onClose }: { chat: Chat; onClose: () => void }) {
  const [text, setText] = useState("");
  const found = useSearch(chat.account, text.trim(), chat.id).data;
  return (
    <search className="find">
      <div className="find-line">
        <input
          className="input"
          type="search"
          dir="auto"
          aria-label={t("chat.findPlaceholder")}
          placeholder={t("chat.findPlaceholder")}
          autoFocus
          value={text}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={(event) => event.key === "Escape" && onClose()}
        />
        <IconButton label={t("common.close")} onClick={onClose}>
          <X />
        </IconButton>
      </div>
      {text.trim().length > 1 && found && (
        <ul className="find-hits">
          {found.messages.map((message) => (
            <Hit
              key={message.id}
              account={chat.account}
              me={chat.me}
              message={message}
              query={text.trim()}
              title={<Name of={message.sender} />}
              onOpen={onClose}
            />
          ))}
          {!found.messages.length && <li className="muted find-none">{t("list.noMatch")}</li>}
        </ul>
      )}
    </search>
  );
}

export function Head({ account, conversation, chat }: { account: Account; conversation: Conversation; chat: Chat }) {
  const [finding, setFinding] = useState(false);
  const group = useGroup(account.id, conversation.id).data;
  const details = () => chat.open({ what: "details" });
  const { timer } = conversation;
  return (
    <header className="chat-head">
      <div className="pane-head">
        <IconButton className="narrow-only" label={t("common.back")} onClick={() => go(account.id)}>
          <ChevronLeft className="flip" />
        </IconButton>
        <button type="button" className="account" onClick={details}>
          <ConversationAvatar of={conversation} size="small" />
          <span className="who">
            <Heading className="name ellipsis">
              <bdi>{nameOfConversation(conversation)}</bdi>
            </Heading>
            <span className="status">
              {conversation.typing ? (
                t("list.typing")
              ) : group ? (
                t("group.memberCount", { count: group.members.length })
              ) : timer ? (
                <>
                  <Timer size={13} aria-hidden="true" />
                  {duration(timer.seconds)}
                </>
              ) : null}
            </span>
          </span>
        </button>
        {canBeCalled(conversation) && <CallButtons account={account.id} contact={conversation.id} />}
        <IconButton label={t("menu.findHere")} onClick={() => setFinding(true)}>
          <Search />
        </IconButton>
        <MenuButton
          entries={[
            { label: t("menu.details"), icon: <Info />, run: details },
            ...(conversation.kind === "contact" || conversation.kind === "note" || group?.admin
              ? [{ label: t("menu.timer"), icon: <Timer />, run: details }]
              : []),
            { label: t("export.one"), icon: <Download />, run: () => chat.open({ what: "export" }) },
            ...conversationEntries(account.id, conversation),
          ]}
        >
          <IconButton label={t("menu.conversation")}>
            <EllipsisVertical />
          </IconButton>
        </MenuButton>
      </div>
      {finding && <Find chat={chat} onClose={() => setFinding(false)} />}
    </header>
  );
}
