/** The members of a group, and what its admins can do. */
import { Button, IconButton, Switch, TextField, toast } from "@allium/ui";
import { EllipsisVertical, LogOut, Trash2, UserPlus } from "lucide-react";
import { type FormEvent, useState } from "react";
import { patch, post } from "../api/client";
import { attempt, of, reload, useContacts } from "../api/queries";
import type { Account, Group, Member } from "../api/types";
import { type Key, t } from "../i18n";
import { go } from "../route";
import { Ask } from "../shell/dialog";
import { type Entries, MenuButton } from "../shell/menu";
import { Name, PersonAvatar } from "../shell/person";
import { PeoplePicker } from "./new-conversation";

const STATES: [RegExp, Key][] = [
  [/fail/, "group.state.failed"],
  [/promot/, "group.state.promoted"],
  [/remov/, "group.state.removed"],
  [/invit|pending/, "group.state.invited"],
];

function stateOf(member: Member): string {
  if (member.admin) return t("group.admin");
  const found = STATES.find(([pattern]) => pattern.test(member.state) && !/accepted|joined/.test(member.state));
  return found ? t(found[1]) : "";
}

function useChange(account: Account, group: Group) {
  return async (what: string, body: object = {}): Promise<boolean> => {
    const done = (await attempt(post(of(account.id, `groups/${group.id}/${what}`), body))) !== undefined;
    await reload(account.id, "group", "conversations");
    return done;
  };
}

function MemberRow({ account, group, member }: { account: Account; group: Group; member: Member }) {
  const change = useChange(account, group);
  const me = member.id === account.account_id;
  const only = { members: [member.id] };
  const entries: Entries = [];
  if (!me) entries.push({ label: t("new.open"), run: () => go(account.id, "c", member.id) });
  if (group.admin && !me && !member.admin) {
    entries.push({ label: t("group.makeAdmin"), run: () => void change("promote", only) });
    entries.push({ label: t("group.resendInvite"), run: () => void change("resend", only) });
    entries.push(null);
    entries.push({ label: t("group.removeMember"), danger: true, run: () => void change("remove", only) });
    entries.push({
      label: t("group.removeWithMessages"),
      danger: true,
      run: () => void change("remove", { ...only, messages: true }),
    });
  }
  return (
    <li className="member">
      <PersonAvatar of={member} size="small" />
      <span className="ellipsis grow">{me ? t("common.you") : <Name of={member} />}</span>
      <span className="muted small">{stateOf(member)}</span>
      {entries.length > 0 && (
        <MenuButton entries={entries}>
          <IconButton label={`${t("common.more")}: ${member.name}`}>
            <EllipsisVertical />
          </IconButton>
        </MenuButton>
      )}
    </li>
  );
}

function Naming({ account, group }: { account: Account; group: Group }) {
  const [name, setName] = useState(group.name);
  const [description, setDescription] = useState(group.description);
  const save = async (event: FormEvent) => {
    event.preventDefault();
    if ((await attempt(patch(of(account.id, `groups/${group.id}`), { name: name.trim(), description }))) === undefined)
      return;
    await reload(account.id, "group", "conversations");
    toast(t("settings.saved"));
  };
  return (
    <form className="stack-form" onSubmit={(event) => void save(event)}>
      <TextField
        label={t("group.name")}
        maxLength={100}
        value={name}
        onChange={(event) => setName(event.target.value)}
      />
      <TextField
        label={t("group.description")}
        maxLength={200}
        value={description}
        onChange={(event) => setDescription(event.target.value)}
      />
      <Button type="submit" disabled={!name.trim() || (name === group.name && description === group.description)}>
        {t("common.save")}
      </Button>
    </form>
  );
}

function Invite({ account, group, onDone }: { account: Account; group: Group; onDone: () => void }) {
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [history, setHistory] = useState(false);
  const change = useChange(account, group);
  const inside = new Set(group.members.map((one) => one.id));
  const contacts = (useContacts(account.id).data ?? []).filter(
    (one) => one.approved && !one.blocked && one.id.startsWith("05") && !inside.has(one.id),
  );
  const invite = async () => {
    if (await change("invite", { members: [...chosen], history })) onDone();
  };
  return (
    <div className="stack-form">
      <PeoplePicker contacts={contacts} chosen={chosen} onChange={setChosen} />
      <Switch label={t("group.withHistory")} checked={history} onChange={setHistory} />
      <Button kind="primary" disabled={!chosen.size} onClick={() => void invite()}>
        {t("group.invite")}
      </Button>
    </div>
  );
}

export function GroupDetails({ account, group, onClose }: { account: Account; group: Group; onClose: () => void }) {
  const [inviting, setInviting] = useState(false);
  const [asking, setAsking] = useState<"leave" | "destroy" | null>(null);
  const change = useChange(account, group);
  const finish = async (what: "leave" | "destroy") => {
    if (!(await change(what))) return;
    onClose();
    go(account.id);
  };
  return (
    <>
      {group.admin ? (
        <Naming account={account} group={group} />
      ) : (
        group.description && (
          <p className="wrap" dir="auto">
            {group.description}
          </p>
        )
      )}
      <section>
        <h3>{t("group.memberCount", { count: group.members.length })}</h3>
        <ul>
          {group.members.map((one) => (
            <MemberRow key={one.id} account={account} group={group} member={one} />
          ))}
        </ul>
        {group.admin && !inviting && (
          <Button onClick={() => setInviting(true)}>
            <UserPlus size={18} />
            {t("group.invite")}
          </Button>
        )}
        {inviting && <Invite account={account} group={group} onDone={() => setInviting(false)} />}
      </section>
      <div className="row start">
        <Button onClick={() => setAsking("leave")}>
          <LogOut size={18} />
          {t("group.leave")}
        </Button>
        {group.admin && (
          <Button onClick={() => setAsking("destroy")}>
            <Trash2 size={18} />
            {t("group.destroy")}
          </Button>
        )}
      </div>
      {asking && (
        <Ask
          title={t(asking === "leave" ? "group.leaveTitle" : "group.destroyTitle")}
          text={asking === "leave" ? t("group.leaveText") : t("data.confirm")}
          choices={[
            {
              label: t(asking === "leave" ? "group.leave" : "common.delete"),
              danger: true,
              run: () => void finish(asking),
            },
          ]}
          onClose={() => setAsking(null)}
        />
      )}
    </>
  );
}
