/** A list of conversations to choose one of, with a field that narrows it. */
import { TextField } from "@allium/ui";
import { useState } from "react";
import type { Conversation } from "../api/types";
import { t } from "../i18n";
import { ConversationAvatar, nameOfConversation } from "../shell/person";

export function Chooser({
  conversations,
  onChoose,
}: {
  conversations: Conversation[];
  onChoose: (id: string) => void;
}) {
  const [text, setText] = useState("");
  const wanted = text.trim().toLocaleLowerCase();
  const shown = conversations.filter((one) => nameOfConversation(one).toLocaleLowerCase().includes(wanted));
  return (
    <>
      <TextField
        label={t("common.search")}
        type="search"
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
      <ul className="choices">
        {shown.map((one) => (
          <li key={one.id}>
            <button type="button" className="menu-item" onClick={() => onChoose(one.id)}>
              <ConversationAvatar of={one} size="small" />
              <bdi className="ellipsis">{nameOfConversation(one)}</bdi>
            </button>
          </li>
        ))}
      </ul>
      {!shown.length && <p className="muted">{t("list.noMatch")}</p>}
    </>
  );
}
