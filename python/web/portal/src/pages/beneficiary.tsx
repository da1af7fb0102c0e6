/** Where the rewards of somebody's stake go, and another address for them while the contract is open. */
import { Button, TextField } from "@allium/ui";
import { type FormEvent, useState } from "react";
import { type Address, getAddress, isAddress, zeroAddress } from "viem";
import { type PotView, Status } from "../chain/pot";
import { t } from "../i18n";
import { Fact, Who } from "../parts/show";
import { start } from "../steps/begin";
import type { Step } from "../steps/job";

interface BeneficiaryProperties {
  pot: PotView;
  now: Address;
  me: Address;
  via: Address | null;
}

function Change({ pot, now, via }: BeneficiaryProperties) {
  const [asked, setAsked] = useState(false);
  const [text, setText] = useState("");
  const given = text.trim();
  const to = isAddress(given) && given !== zeroAddress ? getAddress(given) : null;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!to || to === now) return;
    const step: Step = { kind: "beneficiary", pot: pot.address, beneficiary: to };
    start("job.beneficiary", {}, [via ? { ...step, via } : step]);
  };
  if (!asked) return <Button onClick={() => setAsked(true)}>{t("beneficiary.change")}</Button>;
  return (
    <form className="stack" onSubmit={submit} aria-label={t("beneficiary.change")}>
      <TextField
        label={t("beneficiary.other")}
        value={text}
        error={given && !to ? t("input.address") : to === now ? t("beneficiary.same") : null}
        hint={t("beneficiary.hint")}
        onChange={(event) => setText(event.target.value)}
      />
      <div className="actions">
        <Button onClick={() => setAsked(false)}>{t("operator.keep")}</Button>
        <Button kind="primary" type="submit" disabled={!to || to === now}>
          {t("beneficiary.send")}
        </Button>
      </div>
    </form>
  );
}

/** The contract allows it from the operator's stake on until the node joins; a node that has joined has no such call. */
export function Beneficiary(properties: BeneficiaryProperties) {
  const { pot, now, me } = properties;
  const open = pot.status === Status.open || pot.status === Status.full;
  if (!open && now === me) return null;
  return (
    <div className="stack beneficiary">
      <dl className="facts">
        <Fact label={t("register.beneficiary")}>
          <Who address={now} />
        </Fact>
      </dl>
      {open ? <Change {...properties} /> : <p className="muted">{t("beneficiary.fixed")}</p>}
    </div>
  );
}
