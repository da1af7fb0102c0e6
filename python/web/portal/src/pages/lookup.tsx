/** `/address/ADDRESS`: stakes and rewards of anybody. */
import { Button, TextField } from "@allium/ui";
import { type FormEvent, useState } from "react";
import { getAddress, isAddress } from "viem";
import { t } from "../i18n";
import { Notice, Who } from "../parts/show";
import { go } from "../route";
import { Stakes } from "./mystakes";

export function LookupPage({ address }: { address: string }) {
  const [text, setText] = useState(address);
  const valid = isAddress(address, { strict: false });
  const wrong = text.trim() !== "" && !isAddress(text.trim(), { strict: false });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (text.trim() && !wrong) go(`/address/${getAddress(text.trim())}`);
  };
  return (
    <>
      <h1>{t("lookup.title")}</h1>
      <form className="card inline" onSubmit={submit}>
        <TextField
          label={t("lookup.address")}
          value={text}
          error={wrong ? t("input.address") : null}
          onChange={(event) => setText(event.target.value)}
        />
        <Button kind="primary" type="submit">
          {t("lookup.show")}
        </Button>
      </form>
      {address && !valid && <Notice kind="danger">{t("input.address")}</Notice>}
      {valid && (
        <>
          <p>
            <Who address={getAddress(address)} />
          </p>
          <Stakes who={getAddress(address)} />
        </>
      )}
    </>
  );
}
