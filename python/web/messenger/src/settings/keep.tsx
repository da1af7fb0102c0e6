/** Whether recent messages stay readable in this browser while the messenger is away. */
import { Button, Switch, TextField, toast } from "@allium/ui";
import { type FormEvent, useState } from "react";
import { request, sentence } from "../api/client";
import { t } from "../i18n";
import { keeping, startKeeping, stopKeeping } from "../offline/wishes";
import { Dialog } from "../shell/dialog";
import { useStore } from "../store";

/** The messenger says whether it is its password: what is kept must not have another. */
function PasswordQuestion({ onClose }: { onClose: () => void }) {
  const [password, setPassword] = useState("");
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const begin = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    try {
      await request("PUT", "password", { old: password, new: password });
      await startKeeping(password);
      onClose();
    } catch (failure) {
      setError(sentence(failure));
      setBusy(false);
    }
  };
  return (
    <Dialog title={t("keep.title")} onClose={onClose}>
      <form className="stack-form" onSubmit={(event) => void begin(event)}>
        <p className="muted">{t("keep.password")}</p>
        <TextField
          label={t("lock.password")}
          type="password"
          autoComplete="current-password"
          autoFocus
          value={password}
          error={error}
          onChange={(event) => setPassword(event.target.value)}
        />
        <div className="actions">
          <Button kind="plain" onClick={onClose}>
            {t("common.cancel")}
          </Button>
          <Button type="submit" kind="primary" disabled={busy || !password}>
            {t("keep.begin")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

export function KeepReadable({ locked }: { locked: boolean }) {
  const now = useStore(keeping);
  const [asking, setAsking] = useState(false);
  if (!("locks" in navigator) || !crypto.subtle) return null;
  const begin = () => {
    if (locked) setAsking(true);
    else startKeeping(null).catch(() => toast(t("error.generic")));
  };
  const change = (on: boolean) => (on ? begin() : void stopKeeping().catch(() => toast(t("error.generic"))));
  return (
    <section>
      <Switch
        label={t("keep.title")}
        hint={t(locked ? "keep.hintLocked" : "keep.hint")}
        checked={now !== "off"}
        onChange={change}
      />
      {now === "waiting" && locked && (
        <p className="muted">
          {t("keep.waiting")} <Button onClick={begin}>{t("keep.begin")}</Button>
        </p>
      )}
      {asking && <PasswordQuestion onClose={() => setAsking(false)} />}
    </section>
  );
}
