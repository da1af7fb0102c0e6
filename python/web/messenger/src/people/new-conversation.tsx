/** The beginnings: a message to an Account ID, a group, a community, and the own id to give away. */
import { Avatar, Button, Field, TextField } from "@allium/ui";
import { NotebookPen, ScanLine, Share2, Users, UsersRound } from "lucide-react";
import { type FormEvent, lazy, Suspense, useState } from "react";
import { get, sentence } from "../api/client";
import { at, useContacts } from "../api/queries";
import type { Account, Conversation } from "../api/types";
import { t } from "../i18n";
import { go } from "../route";
import { Dialog } from "../shell/dialog";
import { Name, PersonAvatar } from "../shell/person";
import type { Overlay } from "../shell/shell";
import { invitationIn, isCommunity } from "../text/invitations";
import { begin } from "./begin";
import { GiveAway } from "./give-away";
import { RoomList } from "./rooms";

const Scanner = lazy(() => import("./scan"));

interface Properties {
  account: Account;
  onClose: () => void;
}

export function OwnId({ account }: { account: Account }) {
  return (
    <GiveAway title={t("new.mine")} hint={t("new.mineHint")} text={account.account_id} code={t("new.qr")}>
      {"share" in navigator && (
        <Button onClick={() => void navigator.share({ text: account.account_id }).catch(() => undefined)}>
          <Share2 size={18} />
          {t("group.invite")}
        </Button>
      )}
    </GiveAway>
  );
}

interface NewMessageProperties extends Properties {
  given: string;
  onTurn: (to: Overlay, given?: string) => void;
}

function NewMessage({ account, given, onClose, onTurn }: NewMessageProperties) {
  const [text, setText] = useState(given);
  const [scanning, setScanning] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const contacts = (useContacts(account.id).data ?? []).filter((one) => one.approved && !one.blocked);
  const open = (id: string) => {
    onClose();
    go(account.id, "c", id);
  };
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (!(await follow(text))) setError(t("new.invalid"));
  };
  /** Goes where an id or a link leads; false if that is nowhere. */
  const follow = async (to: string): Promise<boolean> => {
    const found = invitationIn(to);
    if (found?.kind === "community") onTurn("community", found.url);
    if (found?.kind !== "account") return found !== null;
    try {
      await get<Conversation>(at(account.id, found.id));
      open(found.id);
    } catch (failure) {
      setError(sentence(failure));
    }
    return true;
  };
  const scanned = (code: string): boolean => {
    if (!invitationIn(code)) return false;
    setScanning(false);
    void follow(code);
    return true;
  };
  return (
    <>
      <form className="stack-form" onSubmit={(event) => void submit(event)}>
        <Field label={t("new.id")} hint={t("new.idHint")} error={error}>
          {(attributes) => (
            <textarea
              className="input mono short"
              rows={2}
              dir="ltr"
              spellCheck={false}
              autoCapitalize="none"
              autoFocus
              value={text}
              onChange={(event) => {
                setText(event.target.value);
                setError(null);
              }}
              onKeyDown={(event) => {
                if (event.key === "Enter") void submit(event);
              }}
              {...attributes}
            />
          )}
        </Field>
        <div className="row start">
          <Button type="submit" kind="primary" className="grow" disabled={!text.trim()}>
            {t("new.open")}
          </Button>
          <Button onClick={() => setScanning(!scanning)} aria-pressed={scanning}>
            <ScanLine size={18} />
            {t("scan.open")}
          </Button>
        </div>
      </form>
      {scanning && (
        <Suspense fallback={null}>
          <Scanner onFound={scanned} />
        </Suspense>
      )}
      <ul className="choices">
        <li>
          <button type="button" className="menu-item" onClick={() => onTurn("group")}>
            <UsersRound />
            {t("new.group")}
          </button>
        </li>
        <li>
          <button type="button" className="menu-item" onClick={() => onTurn("community")}>
            <Users />
            {t("new.community")}
          </button>
        </li>
        <li>
          <button type="button" className="menu-item" onClick={() => open(account.account_id)}>
            <NotebookPen />
            {t("list.note")}
          </button>
        </li>
        {contacts.map((one) => (
          <li key={one.id}>
            <button type="button" className="menu-item" onClick={() => open(one.id)}>
              <PersonAvatar of={one} size="small" />
              <span className="ellipsis">
                <Name of={one} />
              </span>
            </button>
          </li>
        ))}
      </ul>
      <OwnId account={account} />
    </>
  );
}

function NewGroup({ account, onClose }: Properties) {
  const [name, setName] = useState("");
  const [members, setMembers] = useState<ReadonlySet<string>>(new Set());
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const known = useContacts(account.id).data;
  const contacts = (known ?? []).filter((one) => one.approved && !one.blocked && one.id.startsWith("05"));
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (!name.trim()) return setError(t("group.needsName"));
    if (!members.size) return setError(t("group.needsMembers"));
    setBusy(true);
    try {
      const id = await begin(account.id, "groups", { name: name.trim(), members: [...members] });
      onClose();
      go(account.id, "c", id);
    } catch (failure) {
      setError(sentence(failure));
      setBusy(false);
    }
  };
  return (
    <form className="stack-form" onSubmit={(event) => void submit(event)}>
      <TextField
        label={t("group.name")}
        error={error}
        maxLength={100}
        autoFocus
        value={name}
        onChange={(event) => setName(event.target.value)}
      />
      {known && <PeoplePicker contacts={contacts} chosen={members} onChange={setMembers} />}
      <Button type="submit" kind="primary" disabled={busy}>
        {t("group.create")}
      </Button>
    </form>
  );
}

interface PickerProperties {
  contacts: { id: string; name: string; color: number; letters: string; picture: string | null }[];
  chosen: ReadonlySet<string>;
  onChange: (chosen: ReadonlySet<string>) => void;
}

export function PeoplePicker({ contacts, chosen, onChange }: PickerProperties) {
  if (!contacts.length) return <p className="muted">{t("group.nobody")}</p>;
  return (
    <fieldset className="people">
      <legend>{t("group.pick")}</legend>
      {contacts.map((one) => (
        <label key={one.id} className="menu-item">
          <input
            type="checkbox"
            checked={chosen.has(one.id)}
            onChange={(event) => {
              const next = new Set(chosen);
              if (event.target.checked) next.add(one.id);
              else next.delete(one.id);
              onChange(next);
            }}
          />
          <Avatar letters={one.letters} color={one.color} picture={one.picture} size="small" />
          <span className="ellipsis">
            <Name of={one} />
          </span>
        </label>
      ))}
    </fieldset>
  );
}

function Community({ account, given, onClose }: Properties & { given: string }) {
  const [url, setUrl] = useState(given);
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (!isCommunity(url)) return setError(t("community.invalid"));
    await join(url.trim());
  };
  const join = async (wanted: string) => {
    setBusy(true);
    try {
      const id = await begin(account.id, "communities", { url: wanted });
      onClose();
      go(account.id, "c", id);
    } catch (failure) {
      setError(sentence(failure));
      setBusy(false);
    }
  };
  return (
    <form className="stack-form" onSubmit={(event) => void submit(event)}>
      <TextField
        label={t("community.url")}
        hint={t("community.urlHint")}
        error={error}
        dir="ltr"
        autoFocus
        value={url}
        onChange={(event) => setUrl(event.target.value)}
      />
      <Button type="submit" kind="primary" disabled={busy || !url.trim()}>
        {t("community.join")}
      </Button>
      <RoomList
        account={account.id}
        url={isCommunity(url) ? url.trim() : ""}
        busy={busy}
        onJoin={(to) => void join(to)}
      />
    </form>
  );
}

interface BeginProperties extends Properties {
  first: Overlay;
  /** What a link or a code has brought. */
  given?: string;
}

export default function NewConversation({ account, first, given = "", onClose }: BeginProperties) {
  const [what, setWhat] = useState(first);
  const [url, setUrl] = useState(given);
  const turn = (to: Overlay, brought = "") => {
    setUrl(brought);
    setWhat(to);
  };
  const titles = { group: t("group.newTitle"), community: t("new.community"), new: t("new.title"), palette: "" };
  return (
    <Dialog title={titles[what ?? "new"]} onClose={onClose}>
      {what === "group" ? (
        <NewGroup account={account} onClose={onClose} />
      ) : what === "community" ? (
        <Community account={account} given={url} onClose={onClose} />
      ) : (
        <NewMessage account={account} given={url} onClose={onClose} onTurn={turn} />
      )}
    </Dialog>
  );
}
