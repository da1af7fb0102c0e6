/** Ctrl K: to any conversation, setting or action by a few letters. */
import { BookUser, Lock, NotebookPen, Plus, Settings, SunMoon, UsersRound } from "lucide-react";
import { type KeyboardEvent, type ReactNode, useId, useState } from "react";
import { post } from "../api/client";
import { attempt, useContacts, useConversations } from "../api/queries";
import type { Account } from "../api/types";
import { t } from "../i18n";
import { choose } from "../prefs";
import { go } from "../route";
import { SECTIONS } from "../settings/sections";
import { safeName } from "../text/safe";
import { Dialog } from "./dialog";
import { ConversationAvatar, nameOfConversation, PersonAvatar } from "./person";
import type { Overlay } from "./shell";

interface Entry {
  key: string;
  label: string;
  icon: ReactNode;
  run: () => void;
}

const SHOWN = 30;

/** How well a label fits: its beginning, the beginning of a word, anywhere; negative where it does not. */
function fit(label: string, wanted: string): number {
  const at = label.toLocaleLowerCase().indexOf(wanted);
  if (at < 0) return -1;
  return at === 0 ? 2 : /\s/.test(label[at - 1] ?? "") ? 1 : 0;
}

export function Palette({
  account,
  onClose,
  onOverlay,
}: {
  account: Account;
  onClose: () => void;
  onOverlay: (what: Overlay) => void;
}) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const id = useId();
  const conversations = useConversations(account.id).data ?? [];
  const contacts = useContacts(account.id).data ?? [];
  const known = new Set(conversations.map((one) => one.id));
  const dark = document.documentElement.dataset.theme === "dark";
  const all: Entry[] = [
    ...conversations
      .filter((one) => !one.request)
      .map((one) => ({
        key: one.id,
        label: nameOfConversation(one),
        icon: <ConversationAvatar of={one} size="small" />,
        run: () => go(account.id, "c", one.id),
      })),
    ...contacts
      .filter((one) => !known.has(one.id) && !one.blocked)
      .map((one) => ({
        key: one.id,
        label: safeName(one.name),
        icon: <PersonAvatar of={one} size="small" />,
        run: () => go(account.id, "c", one.id),
      })),
    { key: "new", label: t("list.new"), icon: <Plus />, run: () => onOverlay("new") },
    { key: "group", label: t("new.group"), icon: <UsersRound />, run: () => onOverlay("group") },
    { key: "community", label: t("new.community"), icon: <BookUser />, run: () => onOverlay("community") },
    { key: "note", label: t("list.note"), icon: <NotebookPen />, run: () => go(account.id, "c", account.account_id) },
    {
      key: "theme",
      label: t(dark ? "theme.light" : "theme.dark"),
      icon: <SunMoon />,
      run: () => void choose({ theme: dark ? "light" : "dark" }),
    },
    { key: "lock", label: t("lock.now"), icon: <Lock />, run: () => void attempt(post("lock")) },
    ...SECTIONS.map(({ id: section, label }) => ({
      key: `settings/${section}`,
      label: `${t("common.settings")}: ${t(label)}`,
      icon: <Settings />,
      run: () => go(account.id, "settings", section),
    })),
  ];
  const wanted = text.trim().toLocaleLowerCase();
  const fitting = all.map((one) => ({ one, rank: fit(one.label, wanted) })).filter(({ rank }) => rank >= 0);
  const shown = fitting
    .sort((a, b) => (wanted ? b.rank - a.rank : 0))
    .slice(0, SHOWN)
    .map(({ one }) => one);
  const chosen = shown[Math.min(at, shown.length - 1)];
  const run = (entry: Entry | undefined) => {
    if (!entry) return;
    onClose();
    entry.run();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown") setAt(Math.min(at + 1, shown.length - 1));
    else if (event.key === "ArrowUp") setAt(Math.max(0, at - 1));
    else if (event.key === "Enter") run(chosen);
    else return;
    event.preventDefault();
  };
  return (
    <Dialog title={t("palette.title")} onClose={onClose} className="palette">
      <input
        className="input"
        role="combobox"
        aria-expanded="true"
        aria-controls={`${id}-list`}
        aria-activedescendant={chosen ? `${id}-${shown.indexOf(chosen)}` : undefined}
        aria-label={t("palette.title")}
        placeholder={t("palette.hint")}
        dir="auto"
        autoFocus
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setAt(0);
        }}
        onKeyDown={onKeyDown}
      />
      <div id={`${id}-list`} role="listbox" aria-label={t("palette.title")} className="palette-list">
        {shown.map((entry, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the field takes the keys.
          // biome-ignore lint/a11y/useFocusableInteractive: the field keeps the focus and names the active option.
          <div
            key={entry.key}
            id={`${id}-${index}`}
            role="option"
            aria-selected={entry === chosen}
            className="palette-item"
            onClick={() => run(entry)}
            ref={(element) => {
              if (entry === chosen) element?.scrollIntoView({ block: "nearest" });
            }}
          >
            {entry.icon}
            <bdi className="ellipsis">{entry.label}</bdi>
          </div>
        ))}
        {!shown.length && <p className="muted">{t("list.noMatch")}</p>}
      </div>
    </Dialog>
  );
}
