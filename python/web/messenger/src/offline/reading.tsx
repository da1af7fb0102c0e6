/** The messenger is away: the conversations that this browser keeps, to read, and back by itself when it answers. */
import { Button, IconButton, TextField } from "@allium/ui";
import { ChevronLeft, Unplug } from "lucide-react";
import { type FormEvent, type ReactNode, useEffect, useState } from "react";
import { moment, t } from "../i18n";
import { byPlace } from "../list/order";
import { address, go, useRoute } from "../route";
import { Heading } from "../shell/heading";
import { LinkQuestion } from "../shell/links";
import { ConversationAvatar, nameOfConversation } from "../shell/person";
import { safeName, shortId } from "../text/safe";
import "./reading.css";
import type { KeptAccount, KeptConversation, KeptList } from "./kept";
import { KeptMessages } from "./messages";
import { isWritten, lockedBy, purge, type Reader, read, WrongPassword } from "./vault";

type Kept = Reader<KeptList>;

function Opening({ onOpened, otherwise }: { onOpened: (kept: Kept) => void; otherwise: ReactNode }) {
  const [password, setPassword] = useState("");
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const open = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    try {
      const kept = await read<KeptList>(password);
      if (kept) onOpened(kept);
    } catch (failure) {
      setError(t(failure instanceof WrongPassword ? "lock.wrong" : "error.generic"));
    } finally {
      setBusy(false);
    }
  };
  return (
    <div className="kept-opening">
      {otherwise}
      <form className="welcome" onSubmit={(event) => void open(event)}>
        <h3>{t("kept.open")}</h3>
        <TextField
          label={t("lock.password")}
          hint={t("kept.openHint")}
          type="password"
          autoComplete="current-password"
          value={password}
          error={error}
          onChange={(event) => setPassword(event.target.value)}
        />
        <Button type="submit" kind="primary" className="wide" disabled={busy || !password}>
          {t("kept.read")}
        </Button>
      </form>
    </div>
  );
}

/** No picture is asked of the service. */
const drawn = (one: KeptConversation) => ({ ...one, picture: null });

function Row({ account, one, open }: { account: string; one: KeptConversation; open: boolean }) {
  return (
    <li className="row-item">
      <a className="row-link" href={address(account, "c", one.id)} aria-current={open ? "page" : undefined}>
        <ConversationAvatar of={drawn(one)} />
        <span className="text">
          <span className="name ellipsis">
            <bdi>{nameOfConversation(one)}</bdi>
          </span>
          {one.last_activity > 0 && <time className="muted small">{moment(one.last_activity)}</time>}
        </span>
      </a>
    </li>
  );
}

function Sides({ kept }: { kept: Kept }) {
  const route = useRoute();
  const { accounts } = kept.list;
  const account = accounts.find((one) => one.id === route.account) ?? accounts[0];
  const open = route.view === "c" ? account?.conversations.find((one) => one.id === route.target) : undefined;
  return (
    <div className="shell" data-open={open ? "" : undefined}>
      <div className="strip" role="status">
        {kept.seen ? t("kept.since", { time: moment(kept.seen) }) : t("kept.away")}
      </div>
      <section className="sidebar" aria-label={t("shell.sidebar")}>
        <h1 className="visually-hidden">{t("app.name")}</h1>
        <Accounts accounts={accounts} chosen={account} />
        <div />
        <div className="list">
          <span />
          <nav aria-label={t("list.title")}>
            <ul>
              {[...(account?.conversations ?? [])].sort(byPlace).map((one) => (
                <Row key={one.id} account={account?.id ?? ""} one={one} open={one === open} />
              ))}
            </ul>
          </nav>
        </div>
      </section>
      <main id="main" tabIndex={-1} className="main">
        {open && account ? (
          <div className="chat" key={open.id}>
            <header className="chat-head">
              <div className="pane-head">
                <IconButton className="narrow-only" label={t("common.back")} onClick={() => go(account.id)}>
                  <ChevronLeft className="flip" />
                </IconButton>
                <ConversationAvatar of={drawn(open)} size="small" />
                <Heading className="ellipsis">
                  <bdi>{nameOfConversation(open)}</bdi>
                </Heading>
              </div>
            </header>
            <KeptMessages kept={kept} conversation={open} name={nameOfConversation(open)} me={account.account_id} />
            <p className="kept-foot muted small">{t("kept.foot")}</p>
          </div>
        ) : (
          <div className="empty">
            <div className="icon" aria-hidden="true">
              <Unplug />
            </div>
            <h2>{t("away.title")}</h2>
            <p>{t("kept.choose")}</p>
            <p>
              <code className="mono">{t("unauthorized.command")}</code>
            </p>
          </div>
        )}
      </main>
      <LinkQuestion />
    </div>
  );
}

function Accounts({ accounts, chosen }: { accounts: KeptAccount[]; chosen: KeptAccount | undefined }) {
  const name = (one: KeptAccount) => safeName(one.display_name, shortId(one.account_id));
  if (accounts.length < 2) {
    return (
      <div className="side-head kept-own">
        <bdi className="ellipsis">{chosen && name(chosen)}</bdi>
      </div>
    );
  }
  return (
    <fieldset className="filters kept-own" aria-label={t("kept.accounts")}>
      {accounts.map((one) => (
        <button key={one.id} type="button" className="chip" aria-pressed={one === chosen} onClick={() => go(one.id)}>
          <bdi>{name(one)}</bdi>
        </button>
      ))}
    </fieldset>
  );
}

/** `otherwise` is shown where nothing is kept. */
export default function Reading({ otherwise }: { otherwise: ReactNode }) {
  const [by, setBy] = useState<"looking" | "nothing" | "password">("looking");
  const [kept, setKept] = useState<Kept | null>(null);
  useEffect(() => {
    let left = false;
    const look = async () => {
      await purge();
      const found = (await isWritten()) ? await lockedBy() : "nothing";
      const opened = found === "key" ? await read<KeptList>(null) : null;
      if (left) return;
      setKept(opened);
      setBy(found === "password" ? "password" : "nothing");
    };
    look().catch(() => left || setBy("nothing"));
    return () => {
      left = true;
    };
  }, []);
  if (kept) return <Sides kept={kept} />;
  if (by === "looking") return <main className="splash" aria-busy="true" />;
  return by === "password" ? <Opening onOpened={setKept} otherwise={otherwise} /> : otherwise;
}
