/** What a search for moving pictures gives away, and the key without which nobody is asked. */
import { Button, TextField } from "@allium/ui";
import { type FormEvent, useState } from "react";
import { request } from "../api/client";
import { attempt, of, reload } from "../api/queries";
import { t } from "../i18n";

const KEY = /^[A-Za-z0-9_-]{8,128}$/;

export function GifConsent({ account, onDone }: { account: string; onDone: () => void }) {
  const [key, setKey] = useState("");
  const agree = async (event: FormEvent) => {
    event.preventDefault();
    // Keys of the composer around it are not meant.
    event.stopPropagation();
    const body = { key: key.trim(), agreed: true };
    if ((await attempt(request("PUT", of(account, "gif-search"), body))) === undefined) return;
    await reload(account, "settings");
    onDone();
  };
  return (
    <form className="stack-form" onSubmit={(event) => void agree(event)}>
      <p className="muted">{t("gif.consent")}</p>
      <TextField
        label={t("gif.key")}
        hint={t("gif.keyHint")}
        type="password"
        dir="ltr"
        spellCheck={false}
        value={key}
        onChange={(event) => setKey(event.target.value)}
      />
      <div className="actions">
        <Button kind="plain" onClick={onDone}>
          {t("common.cancel")}
        </Button>
        <Button type="submit" kind="primary" disabled={!KEY.test(key.trim())}>
          {t("gif.agree")}
        </Button>
      </div>
    </form>
  );
}
