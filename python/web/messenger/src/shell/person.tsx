/** Names and avatars of people, conversations and accounts: safe to draw wherever they stand. */
import { Avatar } from "@allium/ui";
import { NotebookPen } from "lucide-react";
import type { Account, Conversation, Person } from "../api/types";
import { t } from "../i18n";
import { safeName, shortId } from "../text/safe";

export function Name({ of }: { of: { id?: string; name: string } }) {
  return <bdi>{safeName(of.name, shortId(of.id ?? ""))}</bdi>;
}

export const nameOfConversation = (one: Conversation): string =>
  one.kind === "note" ? t("list.note") : safeName(one.name, shortId(one.id));

type Size = "small" | "medium" | "large";

export function PersonAvatar({ of, size }: { of: Person; size?: Size }) {
  return <Avatar letters={of.letters} color={of.color} picture={of.picture} size={size} />;
}

export function ConversationAvatar({ of, size }: { of: Conversation; size?: Size }) {
  return (
    <Avatar
      letters={of.letters}
      color={of.color}
      picture={of.picture}
      size={size}
      icon={of.kind === "note" ? <NotebookPen /> : undefined}
    />
  );
}

/** Two letters of a name, as features.md (row 30) has them, for accounts of which the service names none. */
export function lettersOf(name: string, id: string): string {
  const words = safeName(name, "")
    .split(/[\s._-]+/)
    .filter((word) => /[\p{L}\p{N}]/u.test(word));
  if (!words.length) return id.charAt(2);
  const [one = "", two] = words;
  return (two ? [...one][0] + ([...two][0] ?? "") : [...one].slice(0, 2).join("")).toLocaleUpperCase();
}

export function AccountAvatar({ of, size }: { of: Account; size?: Size }) {
  const letters = of.letters ?? lettersOf(of.display_name, of.account_id);
  return <Avatar letters={letters} color={of.color ?? 0} picture={of.picture} size={size} />;
}
