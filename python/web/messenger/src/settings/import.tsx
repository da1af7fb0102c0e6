/** A conversation that was taken away, added again. */
import { Button, TextField } from "@allium/ui";
import { type FormEvent, useState } from "react";
import type { Account } from "../api/types";
import { t } from "../i18n";
import { Heading } from "../shell/heading";
import { useJob } from "./backups";

export function Import({ account }: { account: Account }) {
  const [path, setPath] = useState("");
  const [password, setPassword] = useState("");
  const { running, start } = useJob(account, "import.done");
  const read = (event: FormEvent) => {
    event.preventDefault();
    void start("imports", { path: path.trim(), ...(password && { password }) });
  };
  return (
    <form className="stack-form" onSubmit={read}>
      <Heading level={4}>{t("import.title")}</Heading>
      <p className="muted">{t("import.hint")}</p>
      <TextField label={t("import.path")} dir="ltr" value={path} onChange={(event) => setPath(event.target.value)} />
      <TextField
        label={t("import.password")}
        type="password"
        autoComplete="off"
        value={password}
        onChange={(event) => setPassword(event.target.value)}
      />
      <Button type="submit" disabled={running || !path.trim()}>
        {t("import.read")}
      </Button>
    </form>
  );
}
