/** What somebody who looks after a community can do about a message and its author. */
import { toast } from "@allium/ui";
import { Ban, Pin, ShieldCheck, ShieldOff, Undo2 } from "lucide-react";
import { useEffect } from "react";
import { client } from "../api/queries";
import type { Message } from "../api/types";
import { t } from "../i18n";
import { Ask } from "../shell/dialog";
import type { Entries } from "../shell/menu";
import { Store, useStore } from "../store";
import { safeName } from "../text/safe";
import { moderate, type Room, useRoom } from "./community";

const asked = new Store<{ account: string; message: Message } | null>(null);

export const roomOf = (account: string, id: string): Room | undefined =>
  client.getQueryData<Room>([account, "conversation", id, "room"]);

/** Entries for the menu of a message; none for who does not look after its room. */
export function moderationEntries(account: string, message: Message): Entries {
  const room = roomOf(account, message.conversation);
  if (!room?.moderator || message.deleted) return [];
  const { conversation, sender } = message;
  const run = (what: string, body: object, done: string) => async () => {
    if (await moderate(account, conversation, what, body)) toast(done);
  };
  const entries: Entries = [];
  if (room.admin) {
    const pin = run("pin", { message: message.id }, t("community.isPinned"));
    entries.push({ label: t("community.pin"), icon: <Pin />, run: () => void pin() });
  }
  if (message.outgoing) return entries;
  if (room.admin) {
    const body = { user: sender.id, admin: false, remove: sender.admin };
    const change = run("moderators", body, t("settings.saved"));
    entries.push({
      label: t(sender.admin ? "community.dismiss" : "community.appoint"),
      icon: sender.admin ? <ShieldOff /> : <ShieldCheck />,
      run: () => void change(),
    });
  }
  const unban = run("unban", { user: sender.id }, t("community.isUnbanned"));
  entries.push(
    { label: t("community.ban"), icon: <Ban />, danger: true, run: () => asked.set({ account, message }) },
    { label: t("community.unban"), icon: <Undo2 />, run: () => void unban() },
  );
  return entries;
}

const known = new Store<Room | null>(null);

/** Has who calls it drawn again when it becomes known who looks after the room. */
export const useModeration = (): Room | null => useStore(known);

/** Stands in every conversation, so that it is known there who looks after the room. */
export function BanQuestion({ account: of, room }: { account: string; room: string }) {
  const found = useRoom(of, room).data ?? null;
  useEffect(() => known.set(found), [found]);
  const question = useStore(asked);
  if (!question) return null;
  const { account, message } = question;
  const ban = async (all: boolean) => {
    const body = { user: message.sender.id, delete: all };
    if (await moderate(account, message.conversation, "ban", body)) toast(t("community.isBanned"));
  };
  return (
    <Ask
      title={t("community.banTitle", { name: safeName(message.sender.name) })}
      text={t("community.banText")}
      choices={[
        { label: t("community.ban"), danger: true, run: () => void ban(false) },
        { label: t("community.banAll"), danger: true, run: () => void ban(true) },
      ]}
      onClose={() => asked.set(null)}
    />
  );
}
