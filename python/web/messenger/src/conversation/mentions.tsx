/** Completion of names after an @: the field keeps the focus, arrows choose. */
import { type RefObject, useEffect, useMemo, useRef, useState } from "react";
import { useContacts, useGroup } from "../api/queries";
import type { Conversation, Person } from "../api/types";
import { t } from "../i18n";
import { PersonAvatar } from "../shell/person";
import { safeName, shortId } from "../text/safe";
import type { Chat } from "./context";

export interface Mention {
  id: string;
  name: string;
}

const SHOWN = 8;

/** The piece of a name that is being typed before the caret. */
export function mentionAt(text: string, caret: number): { start: number; query: string } | null {
  const match = /(?:^|\s)@([^\s@]{0,30})$/u.exec(text.slice(0, caret));
  return match ? { start: caret - (match[1]?.length ?? 0) - 1, query: match[1] ?? "" } : null;
}

/** Who can be mentioned here. */
export function useMentionable(chat: Chat, conversation: Conversation): Person[] {
  const group = useGroup(chat.account, conversation.id).data;
  const contacts = useContacts(chat.account).data;
  return useMemo(() => {
    const known = new Map<string, Person>(contacts?.map((one) => [one.id, one]));
    if (group) {
      return group.members.filter((one) => one.id !== chat.me).map((one) => known.get(one.id) ?? one);
    }
    if (conversation.kind === "contact")
      return known.has(conversation.id) ? [known.get(conversation.id) as Person] : [];
    const seen = new Map<string, Person>();
    for (const { sender } of chat.timeline.stretch.get().messages)
      if (sender.id !== chat.me) seen.set(sender.id, sender);
    return [...seen.values()];
  }, [group, contacts, conversation.kind, conversation.id, chat]);
}

interface Properties {
  people: Person[];
  query: string;
  onChoose: (person: Mention) => void;
  field: RefObject<HTMLTextAreaElement | null>;
}

export function Mentions({ people, query, onChoose, field }: Properties) {
  const [at, setAt] = useState(0);
  const named = people.map((person) => ({ person, name: safeName(person.name, shortId(person.id)) }));
  const wanted = query.toLocaleLowerCase();
  const found = named.filter(({ name }) => name.toLocaleLowerCase().includes(wanted)).slice(0, SHOWN);
  const chosen = found[Math.min(at, found.length - 1)];
  const keys = useRef<(event: KeyboardEvent) => void>(() => undefined);
  keys.current = (event) => {
    if (!chosen) return;
    if (event.key === "ArrowDown") setAt((at + 1) % found.length);
    else if (event.key === "ArrowUp") setAt((at + found.length - 1) % found.length);
    else if (event.key === "Enter" || event.key === "Tab") onChoose({ id: chosen.person.id, name: chosen.name });
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  useEffect(() => {
    const area = field.current;
    const listen = (event: KeyboardEvent) => keys.current(event);
    // Before the field's own keys: Enter chooses here, and does not send.
    area?.addEventListener("keydown", listen, { capture: true });
    return () => area?.removeEventListener("keydown", listen, { capture: true });
  }, [field]);
  if (!found.length) return null;
  return (
    <ul className="menu mentions" aria-label={t("chat.mentions")}>
      {found.map(({ person, name }) => (
        <li key={person.id}>
          <button
            type="button"
            className="menu-item"
            aria-current={person === chosen?.person}
            data-highlighted={person === chosen?.person || undefined}
            onMouseDown={(event) => event.preventDefault()}
            onClick={() => onChoose({ id: person.id, name })}
          >
            <PersonAvatar of={person} size="small" />
            <bdi className="ellipsis">{name}</bdi>
          </button>
        </li>
      ))}
      <li className="visually-hidden" role="status">
        {chosen?.name}
      </li>
    </ul>
  );
}
