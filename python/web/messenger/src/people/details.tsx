/** The page of a contact or a group: who it is, what was shared, what can be changed. */
import { Button, Field, Switch, TextField, toast } from "@allium/ui";
import { type FormEvent, useState } from "react";
import { patch } from "../api/client";
import { attempt, changeConversation, of, reload, useContacts, useGroup } from "../api/queries";
import type { Account, Conversation, Timer } from "../api/types";
import { duration, t } from "../i18n";
import { FOREVER, isMuted, setBlocked } from "../list/actions";
import { Dialog } from "../shell/dialog";
import { ConversationAvatar, nameOfConversation } from "../shell/person";
import { CommunityDetails } from "./community";
import { GiveAway } from "./give-away";
import { GroupDetails } from "./group";
import { Safety } from "./safety";
import { Shared } from "./shared";

const HOUR = 3600;
/** What the other apps offer (spec/messages §6). */
const AFTER_READ = [300, HOUR, 12 * HOUR, 24 * HOUR, 168 * HOUR, 336 * HOUR];
const AFTER_SEND = [12 * HOUR, 24 * HOUR, 168 * HOUR, 336 * HOUR];

function TimerChoice({ account, conversation }: { account: string; conversation: Conversation }) {
  const current = conversation.timer ? `${conversation.timer.kind}:${conversation.timer.seconds}` : "";
  const choose = (value: string) => {
    const [kind, seconds] = value.split(":");
    const timer = value ? ({ kind, seconds: Number(seconds) } as Timer) : null;
    void changeConversation(account, conversation.id, { timer });
  };
  return (
    <Field label={t("menu.timer")} hint={t("timer.hint")}>
      {(attributes) => (
        <select className="input" value={current} onChange={(event) => choose(event.target.value)} {...attributes}>
          <option value="">{t("timer.off")}</option>
          {conversation.kind === "contact" && (
            <optgroup label={t("timer.afterRead")}>
              {AFTER_READ.map((seconds) => (
                <option key={seconds} value={`after_read:${seconds}`}>
                  {duration(seconds)}
                </option>
              ))}
            </optgroup>
          )}
          <optgroup label={t("timer.afterSend")}>
            {AFTER_SEND.map((seconds) => (
              <option key={seconds} value={`after_send:${seconds}`}>
                {duration(seconds)}
              </option>
            ))}
          </optgroup>
        </select>
      )}
    </Field>
  );
}

function Nickname({ account, id }: { account: string; id: string }) {
  const contact = useContacts(account).data?.find((one) => one.id === id);
  const [name, setName] = useState<string | null>(null);
  const save = async (event: FormEvent) => {
    event.preventDefault();
    if ((await attempt(patch(of(account, `contacts/${id}`), { nickname: (name ?? "").trim() }))) === undefined) return;
    await reload(account, "contacts", "conversations");
    toast(t("settings.saved"));
  };
  return (
    <form className="inline-form" onSubmit={(event) => void save(event)}>
      <TextField
        label={t("contact.nickname")}
        hint={t("contact.nicknameHint")}
        maxLength={100}
        value={name ?? contact?.nickname ?? ""}
        onChange={(event) => setName(event.target.value)}
      />
      <Button type="submit" disabled={name === null}>
        {t("common.save")}
      </Button>
    </form>
  );
}

/** Whether one hears of it, and whether they can write at all. */
function Attention({ account, conversation }: { account: string; conversation: Conversation }) {
  return (
    <div>
      <Switch
        label={t("contact.notify")}
        checked={!isMuted(conversation)}
        onChange={(on) => void changeConversation(account, conversation.id, { muted_until: on ? 0 : FOREVER })}
      />
      {conversation.kind === "contact" && (
        <Switch
          label={t("menu.block")}
          hint={t("contact.blockHint")}
          checked={conversation.blocked}
          onChange={(blocked) => void setBlocked(account, conversation.id, blocked)}
        />
      )}
    </div>
  );
}

export default function Details({
  account,
  conversation,
  onClose,
}: {
  account: Account;
  conversation: Conversation;
  onClose: () => void;
}) {
  const { kind, id } = conversation;
  const group = useGroup(account.id, id).data;
  return (
    <Dialog
      title={t(kind === "group" ? "group.title" : kind === "contact" ? "contact.title" : "menu.details")}
      onClose={onClose}
    >
      <div className="portrait">
        <ConversationAvatar of={conversation} size="large" />
        <h2 className="wrap">
          <bdi>{nameOfConversation(conversation)}</bdi>
        </h2>
      </div>
      {(kind === "contact" || kind === "note") && <GiveAway title={t("contact.id")} text={id} />}
      {kind === "contact" && <Nickname account={account.id} id={id} />}
      {(kind === "contact" || kind === "note" || group?.admin) && (
        <TimerChoice account={account.id} conversation={conversation} />
      )}
      {group && <GroupDetails account={account} group={group} onClose={onClose} />}
      {kind === "community" && <CommunityDetails account={account.id} id={id} onGo={onClose} />}
      {kind !== "note" && <Attention account={account.id} conversation={conversation} />}
      {kind === "contact" && <Safety account={account.id} id={id} name={nameOfConversation(conversation)} />}
      <Shared account={account.id} id={id} onGo={onClose} />
    </Dialog>
  );
}
