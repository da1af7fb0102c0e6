/** `/register`: nodes that are prepared for the account in the wallet. */
import { Button, Empty, TextField } from "@allium/ui";
import { Plus } from "lucide-react";
import { type FormEvent, useState } from "react";
import { useRegistrations } from "../api/queries";
import { useWallet } from "../chain/reads";
import { moment, t } from "../i18n";
import { Link, Notice } from "../parts/show";
import { go } from "../route";
import { useActing } from "./vesting";

export const isKey = (text: string): boolean => /^[0-9a-fA-F]{64}$/.test(text);

function Prepared() {
  const wallet = useWallet();
  const acting = useActing();
  const { data } = useRegistrations(acting ?? wallet?.account ?? null);
  if (!wallet) return <Notice>{t("register.connect")}</Notice>;
  if (!data) return null;
  if (!data.registrations.length)
    return (
      <Empty icon={<Plus />} title={t("register.none")}>
        <p>{t("register.noneMore")}</p>
      </Empty>
    );
  return (
    <ul className="cards">
      {data.registrations.map((one) => (
        <li key={one.pubkey_ed25519}>
          <Link to={`/register/${one.pubkey_ed25519}`} className="card pot">
            <strong className="mono">{`${one.pubkey_ed25519.slice(0, 16)}…`}</strong>
            <p className="muted">{t("register.made", { when: moment(one.timestamp) })}</p>
          </Link>
        </li>
      ))}
    </ul>
  );
}

export function RegisterPage() {
  const [text, setText] = useState("");
  const wrong = text.trim() !== "" && !isKey(text.trim());
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (isKey(text.trim())) go(`/register/${text.trim().toLowerCase()}`);
  };
  return (
    <>
      <h1>{t("register.title")}</h1>
      <section className="card">
        <h2>{t("register.how")}</h2>
        <p>{t("register.howNode")}</p>
        <pre className="mono command">{`allium node register ADDRESS --portal ${location.origin}`}</pre>
        <p className="muted">{t("register.howMore")}</p>
      </section>
      <h2>{t("register.prepared")}</h2>
      <Prepared />
      <form className="card inline" onSubmit={submit}>
        <TextField
          label={t("register.key")}
          value={text}
          error={wrong ? t("input.key") : null}
          onChange={(event) => setText(event.target.value)}
        />
        <Button type="submit">{t("lookup.show")}</Button>
      </form>
    </>
  );
}
