/** Who came without the link: what to do, or, over the network, the code that the messenger shows. */
import { Button, Empty, TextField } from "@allium/ui";
import { KeyRound, Smartphone } from "lucide-react";
import { type FormEvent, useState } from "react";
import { post, sentence } from "../api/client";
import { client } from "../api/queries";
import { t } from "../i18n";

function Pair() {
  const given = new URLSearchParams(location.hash.slice(1));
  const fingerprint = given.get("fingerprint");
  const [code, setCode] = useState(given.get("pair") ?? "");
  const [error, setError] = useState<string | null>(null);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    try {
      await post("pair", { code: code.trim() });
      // The code is of no use to whoever finds it in the history.
      history.replaceState(null, "", "/");
      await client.invalidateQueries();
    } catch (failure) {
      setError(sentence(failure));
    }
  };
  return (
    <form className="welcome" onSubmit={(event) => void submit(event)}>
      <Smartphone className="emblem" aria-hidden="true" />
      <h1>{t("pair.title")}</h1>
      <p className="muted">{t("pair.hint")}</p>
      <TextField
        label={t("pair.code")}
        error={error}
        inputMode="numeric"
        dir="ltr"
        autoFocus
        value={code}
        onChange={(event) => setCode(event.target.value)}
      />
      {fingerprint && (
        <p className="muted small wrap">
          {t("pair.fingerprint")} <code className="mono">{fingerprint}</code>
        </p>
      )}
      <Button type="submit" kind="primary" className="wide" disabled={!code.trim()}>
        {t("create.submit")}
      </Button>
    </form>
  );
}

export function Unauthorized() {
  return (
    <main className="splash">
      {/* Links are for this machine; what comes over the network comes by TLS, and with a code. */}
      {location.protocol === "http:" ? (
        <Empty icon={<KeyRound />} title={t("unauthorized.title")}>
          <p>{t("error.unauthorized")}</p>
          <p>
            <code className="mono">{t("unauthorized.command")}</code>
          </p>
        </Empty>
      ) : (
        <Pair />
      )}
    </main>
  );
}
