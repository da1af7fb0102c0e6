/** One conversation to take away: a zip to read, or sealed under a password. */
import { Button, TextField } from "@allium/ui";
import { type FormEvent, useState } from "react";
import type { Account, Conversation } from "../api/types";
import { number, t } from "../i18n";
import { useJob } from "../settings/backups";
import { Dialog } from "../shell/dialog";
import { nameOfConversation } from "../shell/person";

const SHORTEST = 6;

export default function Export({
  account,
  conversation,
  onClose,
}: {
  account: Account;
  conversation: Conversation;
  onClose: () => void;
}) {
  const plain = nameOfConversation(conversation).replace(/[^\p{L}\p{N}]+/gu, "-");
  const [path, setPath] = useState(`~/${plain.slice(0, 40) || "conversation"}.zip`);
  const [password, setPassword] = useState("");
  const { running, job, start } = useJob(account, "export.done");
  const write = (event: FormEvent) => {
    event.preventDefault();
    const sealed = password ? { password } : {};
    void start("exports", { format: "zip", path: path.trim(), conversation: conversation.id, ...sealed });
  };
  return (
    <Dialog title={t("export.one")} onClose={onClose}>
      <form className="stack-form" onSubmit={write}>
        <p className="muted">{t("export.oneHint")}</p>
        <TextField label={t("export.file")} dir="ltr" value={path} onChange={(event) => setPath(event.target.value)} />
        <TextField
          label={t("export.password")}
          hint={t("export.passwordHint")}
          type="password"
          autoComplete="new-password"
          value={password}
          onChange={(event) => setPassword(event.target.value)}
        />
        <Button
          type="submit"
          kind="primary"
          disabled={running || !path.trim() || (password !== "" && password.length < SHORTEST)}
        >
          {t(password ? "export.seal" : "export.write")}
        </Button>
        <p role="status">{running && job ? number(job.done) : ""}</p>
      </form>
    </Dialog>
  );
}
