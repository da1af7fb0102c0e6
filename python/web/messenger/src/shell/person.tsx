/** Names and avatars of people, conversations and accounts: safe to draw wherever they stand. */
import { Avatar } from "@allium/ui";
import { NotebookPen } from "lucide-react";
import type { Account, Conversation, Person } from "../api/types";
import { t } from "../i18n";
import { safeName, shortId } from "../text/safe";

export function Name({ of }: { of: { id?: string; name: string } }) {
  return <bdi>{safeName(of.name, shortId(of.id ?? ""))}</bdi>;
}

export const nameOfConversation = (one: Pick<Conversation, "id" | "kind" | "name">): string =>
  one.kind === "note" ? t("list.note") : safeName(one.name, shortId(one.id));

type Size = "small" | "medium" | "large";

export function PersonAvatar({ of, size }: { of: Person; size?: Size }) {
  return <Avatar letters={of.letters} color={of.color} picture={of.picture} size={size} />;
}

type Drawn = Pick<Conversation, "kind" | "letters" | "color" | "picture">;

export function ConversationAvatar({ of, size }: { of: Drawn; size?: Size }) {
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

export function AccountAvatar({ of, size }: { of: Account; size?: Size }) {
  return <Avatar letters={of.letters} color={of.color} picture={of.picture} size={size} />;
}
