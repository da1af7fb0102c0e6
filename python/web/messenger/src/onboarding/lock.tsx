import { Button, TextField } from "@allium/ui";
import { LockKeyhole } from "lucide-react";
import { type FormEvent, useState } from "react";
import { ApiError, post, sentence } from "../api/client";
import { client, reloadState } from "../api/queries";
import { t } from "../i18n";
import { passwordIs } from "../offline/wishes";

export function Lock() {
  const [password, setPassword] = useState("");
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const unlock = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await post("unlock", { password });
      void passwordIs(password);
      await reloadState();
      await client.invalidateQueries();
    } catch (problem) {
      const wrong = problem instanceof ApiError && [400, 403, 423].includes(problem.status);
      setError(wrong ? t("lock.wrong") : sentence(problem));
    } finally {
      setBusy(false);
    }
  };
  return (
    <main className="splash">
      <form className="welcome" onSubmit={unlock}>
        <LockKeyhole className="emblem" aria-hidden="true" />
        <h1>{t("lock.title")}</h1>
        <p className="muted">{t("lock.text")}</p>
        <TextField
          label={t("lock.password")}
          type="password"
          autoComplete="current-password"
          autoFocus
          value={password}
          error={error}
          onChange={(event) => setPassword(event.target.value)}
        />
        <Button type="submit" kind="primary" className="wide" disabled={busy || !password}>
          {t("lock.unlock")}
        </Button>
      </form>
    </main>
  );
}
