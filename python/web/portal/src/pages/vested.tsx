/** `/vested-stakes`: stakes of a vesting contract, and vesting mode. */
import { Button, TextField } from "@allium/ui";
import { type FormEvent, useState } from "react";
import { getAddress, isAddress } from "viem";
import { useWallet } from "../chain/reads";
import { moment, t } from "../i18n";
import { Amount, Fact, Notice, Who } from "../parts/show";
import { start } from "../steps/begin";
import { Stakes } from "./mystakes";
import { choose, useChosen, useVested, type Vested } from "./vesting";

function Choice() {
  const [text, setText] = useState("");
  const wrong = text.trim() !== "" && !isAddress(text.trim());
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (isAddress(text.trim())) choose(getAddress(text.trim()));
  };
  return (
    <form className="card inline" onSubmit={submit}>
      <TextField
        label={t("vested.address")}
        value={text}
        error={wrong ? t("input.address") : null}
        onChange={(event) => setText(event.target.value)}
      />
      <Button kind="primary" type="submit">
        {t("vested.use")}
      </Button>
    </form>
  );
}

function Contract({ vested }: { vested: Vested }) {
  const due = vested.now >= vested.end && !vested.revoked && vested.held > 0n;
  return (
    <section className="card stack">
      <dl className="facts">
        <Fact label={t("vested.contract")}>
          <Who address={vested.address} />
        </Fact>
        <Fact label={t("vested.held")}>
          <Amount units={vested.held} />
        </Fact>
        <Fact label={t("vested.start")}>{moment(vested.start)}</Fact>
        <Fact label={t("vested.end")}>{moment(vested.end)}</Fact>
      </dl>
      <div className="actions">
        {due && (
          <Button kind="primary" onClick={() => start("job.vested", {}, [{ kind: "vested", vesting: vested.address }])}>
            {t("vested.release")}
          </Button>
        )}
        <Button onClick={() => choose(null)}>{t("vested.leave")}</Button>
      </div>
    </section>
  );
}

export function VestedPage() {
  const wallet = useWallet();
  const address = useChosen();
  const { data, error } = useVested(address);
  const none = address && (error || data === null);
  return (
    <>
      <h1>{t("vested.title")}</h1>
      <p className="muted lead">{t("vested.lead")}</p>
      {!wallet && <Notice>{t("my.connect")}</Notice>}
      {wallet && (!address || none) && (
        <>
          {none && <Notice kind="warning">{t("vested.none")}</Notice>}
          <Choice />
        </>
      )}
      {wallet && data && (
        <>
          {!data.mine && <Notice kind="warning">{t("vested.notYours")}</Notice>}
          {data.mine && data.now < data.start && <Notice>{t("vested.early", { when: moment(data.start) })}</Notice>}
          <Contract vested={data} />
          <Stakes who={data.address} via={data.address} acts={data.mine} />
        </>
      )}
    </>
  );
}
