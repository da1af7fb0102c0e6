/** What a search over everything has found; a message leads to its place. */
import { Empty } from "@allium/ui";
import { useQuery } from "@tanstack/react-query";
import { SearchX } from "lucide-react";
import type { ReactNode } from "react";
import { get } from "../api/client";
import { of, useConversations } from "../api/queries";
import type { Account, Found, Message } from "../api/types";
import { shortMoment, t } from "../i18n";
import { address } from "../route";
import { ConversationAvatar, Name, nameOfConversation, PersonAvatar } from "../shell/person";
import { plain } from "../text/rich";

export const useSearch = (account: string, query: string, conversation = "") =>
  useQuery({
    queryKey: [account, "search", query, conversation],
    queryFn: ({ signal }) => {
      const within = conversation && `&conversation=${encodeURIComponent(conversation)}`;
      return get<Found>(of(account, `search?limit=60&q=${encodeURIComponent(query)}${within}`), signal);
    },
    enabled: query.length > 1,
    staleTime: 0,
    placeholderData: (before) => before,
  });

/** The words that were looked for, marked. */
export function Marked({ text, query }: { text: string; query: string }): ReactNode {
  const words = query
    .split(/\s+/)
    .filter(Boolean)
    .map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const at = text.search(new RegExp(words.join("|"), "iu"));
  const shown = at > 40 ? `…${text.slice(at - 30)}` : text;
  return (
    shown
      .split(new RegExp(`(${words.join("|")})`, "iu"))
      // biome-ignore lint/suspicious/noArrayIndexKey: parts of one text have no other name.
      .map((part, index) => (index % 2 ? <mark key={index}>{part}</mark> : part))
  );
}

export function Hit({
  account,
  me,
  message,
  query,
  title,
  onOpen,
}: {
  account: string;
  me: string;
  message: Message;
  query: string;
  title: ReactNode;
  onOpen: () => void;
}) {
  return (
    <li className="row-item">
      <a className="row-link" href={address(account, "c", message.conversation, message.id)} onClick={onOpen}>
        <PersonAvatar of={message.sender} />
        <span className="text">
          <span className="line">
            <span className="name ellipsis">{title}</span>
            <time dateTime={new Date(message.timestamp).toISOString()}>{shortMoment(message.timestamp)}</time>
          </span>
          <span className="line">
            <span className="preview ellipsis">
              <bdi>
                <Marked text={plain(message.text, message.mentions, me)} query={query} />
              </bdi>
            </span>
          </span>
        </span>
      </a>
    </li>
  );
}

export function Results({ account, query, onOpen }: { account: Account; query: string; onOpen: () => void }) {
  const { data: found, isPending } = useSearch(account.id, query);
  const conversations = useConversations(account.id).data ?? [];
  const names = new Set(found?.conversations.map((one) => one.id));
  const contacts = found?.contacts.filter((one) => !names.has(one.id)) ?? [];
  const people = [...(found?.conversations ?? []), ...contacts];
  const nothing = found && !people.length && !found.messages.length;
  return (
    <div className="list">
      <span role="status" className="visually-hidden">
        {isPending ? t("common.loading") : nothing ? t("list.noMatch") : ""}
      </span>
      <nav aria-label={t("common.search")}>
        {nothing && <Empty icon={<SearchX />} title={t("list.noMatch")} />}
        {people.length > 0 && <h2 className="group-label">{t("search.people")}</h2>}
        <ul>
          {people.map((one) => (
            <li key={one.id} className="row-item">
              <a className="row-link" href={address(account.id, "c", one.id)} onClick={onOpen}>
                {"kind" in one ? <ConversationAvatar of={one} /> : <PersonAvatar of={one} />}
                <span className="name ellipsis">
                  {"kind" in one ? <bdi>{nameOfConversation(one)}</bdi> : <Name of={one} />}
                </span>
              </a>
            </li>
          ))}
        </ul>
        {found && found.messages.length > 0 && <h2 className="group-label">{t("search.messages")}</h2>}
        <ul>
          {found?.messages.map((message) => {
            const where = conversations.find((one) => one.id === message.conversation);
            const title = <bdi>{where ? nameOfConversation(where) : message.sender.name}</bdi>;
            return (
              <Hit
                key={message.id}
                account={account.id}
                me={account.account_id}
                message={message}
                query={query}
                title={title}
                onOpen={onOpen}
              />
            );
          })}
        </ul>
      </nav>
    </div>
  );
}
