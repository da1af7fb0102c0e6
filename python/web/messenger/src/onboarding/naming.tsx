/** After an account was restored: its name comes from the network, or is given anew. */
import { Button, TextField } from "@allium/ui";
import { type FormEvent, useEffect, useState } from "react";
import { patch, sentence } from "../api/client";
import { reloadState, useService } from "../api/queries";
import { t } from "../i18n";
import { nameProblem } from "./create";

export function Naming({ account, onDone }: { account: string; onDone: () => void }) {
  const [name, setName] = useState("");
  const [error, setError] = useState<string | null>(null);
  const found = useService().data?.accounts.find((one) => one.id === account)?.display_name;
  useEffect(() => {
    if (found && !name) onDone();
  }, [found, name, onDone]);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const problem = nameProblem(name);
    setError(problem);
    if (problem) return;
    try {
      await patch(`accounts/${account}`, { display_name: name.trim() });
      await reloadState();
      onDone();
    } catch (failure) {
      setError(sentence(failure));
    }
  };
  return (
    <form className="welcome" onSubmit={(event) => void submit(event)}>
      <h1>{t("create.title")}</h1>
      <p className="muted" role="status">
        {t("restore.looking")}
      </p>
      <TextField
        label={t("create.name")}
        error={error}
        autoFocus
        value={name}
        onChange={(event) => setName(event.target.value)}
      />
      <Button type="submit" kind="primary" className="wide">
        {t("create.submit")}
      </Button>
    </form>
  );
}
