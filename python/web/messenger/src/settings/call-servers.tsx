/** Servers by which calls find their way, a line each: the owner's own instead of the network's. */
import { Button, Field, toast } from "@allium/ui";
import { useState } from "react";
import type { IceServer } from "../api/types";
import { t } from "../i18n";

const written = (servers: IceServer[] | null): string =>
  (servers ?? []).map(({ url, username, credential }) => [url, username, credential].join(" ").trim()).join("\n");

function read(text: string): IceServer[] | null {
  const found = text
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([url]) => url)
    .map(([url = "", username = "", credential = ""]) => ({ url, username, credential }));
  return found.length ? found : null;
}

interface Properties {
  servers: IceServer[] | null;
  onChange: (to: IceServer[] | null) => Promise<boolean>;
}

export function CallServers({ servers, onChange }: Properties) {
  const [text, setText] = useState(written(servers));
  const keep = async () => {
    if (await onChange(read(text))) toast(t("privacy.callServersKept"));
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void keep();
      }}
    >
      <Field label={t("privacy.callServers")} hint={t("privacy.callServersHint")}>
        {(attributes) => (
          <textarea
            className="input"
            rows={3}
            dir="ltr"
            spellCheck={false}
            placeholder="turn:turn.example.org:3478 name password"
            value={text}
            onChange={(event) => setText(event.target.value)}
            {...attributes}
          />
        )}
      </Field>
      <div className="actions">
        <Button type="submit" disabled={text === written(servers)}>
          {t("common.save")}
        </Button>
      </div>
    </form>
  );
}
