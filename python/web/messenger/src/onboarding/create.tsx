import { Button, TextField } from "@allium/ui";
import { type FormEvent, useState } from "react";
import { post, sentence } from "../api/client";
import { reloadState } from "../api/queries";
import type { Account } from "../api/types";
import { t } from "../i18n";

/** Bytes of UTF-8 that a display name may have as all clients have it. */
const LONGEST = 100;

export function nameProblem(name: string): string | null {
  if (!name.trim()) return t("create.empty");
  return new TextEncoder().encode(name.trim()).length > LONGEST ? t("create.long") : null;
}

export function Create({ onBack, onDone }: { onBack: () => void; onDone: (account: string) => void }) {
  const [name, setName] = useState("");
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const problem = nameProblem(name);
    setError(problem);
    if (problem) return;
    setBusy(true);
    try {
      const account = await post<Account>("accounts", { display_name: name.trim() });
      onDone(account.id);
      await reloadState();
    } catch (failure) {
      setError(sentence(failure));
      setBusy(false);
    }
  };
  return (
    <form className="welcome" onSubmit={submit}>
      <h1>{t("create.title")}</h1>
      <TextField
        label={t("create.name")}
        hint={t("create.hint")}
        error={error}
        autoFocus
        value={name}
        onChange={(event) => setName(event.target.value)}
      />
      <Button type="submit" kind="primary" className="wide" disabled={busy}>
        {t("create.submit")}
      </Button>
      <Button kind="plain" className="wide" onClick={onBack}>
        {t("common.back")}
      </Button>
    </form>
  );
}
