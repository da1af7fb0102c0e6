/** What the operator of a contract may do with it. */
import { Button, Switch, TextField } from "@allium/ui";
import { type FormEvent, useState } from "react";
import type { Address } from "viem";
import { basisPoints, typed } from "../chain/amount";
import { Status } from "../chain/pot";
import { type OwnPart, useAddresses } from "../chain/reads";
import { t } from "../i18n";
import { Amount } from "../parts/show";
import { start } from "../steps/begin";
import { type PlaceInput, Places, placesOf } from "./places";

function Fee({ address, now }: { address: Address; now: number }) {
  const [text, setText] = useState((now / 100).toString());
  const points = basisPoints(text);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (points !== null) start("job.fee", {}, [{ kind: "fee", pot: address, points }]);
  };
  return (
    <form className="inline" onSubmit={submit}>
      <TextField
        label={t("register.fee")}
        value={text}
        inputMode="decimal"
        error={points === null ? t("input.percent") : null}
        onChange={(event) => setText(event.target.value)}
      />
      <Button type="submit" disabled={points === null || points === now}>
        {t("operator.setFee")}
      </Button>
    </form>
  );
}

function Reserve({ own }: { own: OwnPart }) {
  const { pot } = own;
  const kept = pot.places.filter(({ address }) => address !== pot.operator);
  const [places, setPlaces] = useState<PlaceInput[]>(
    kept.map(({ address, amount }) => ({ id: address, address, amount: typed(amount) })),
  );
  const [amount, setAmount] = useState(() => {
    const first = pot.places.find(({ address }) => address === pot.operator);
    return first ? typed(first.amount) : "";
  });
  const checked = placesOf(places, amount || null, pot.operator);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (checked) start("job.reserve", {}, [{ kind: "reserve", pot: pot.address, places: checked }]);
  };
  return (
    <form className="stack" onSubmit={submit}>
      <Places places={places} onChange={setPlaces} most={pot.most - 1} />
      {places.length > 0 && (
        <TextField
          label={t("register.ownAmount")}
          value={amount}
          inputMode="decimal"
          onChange={(event) => setAmount(event.target.value)}
        />
      )}
      <Button type="submit" disabled={checked === null}>
        {t("operator.setPlaces")}
      </Button>
    </form>
  );
}

/** Begins anew: everybody gets their stake back. */
function Cancel({ own }: { own: OwnPart }) {
  const [asked, setAsked] = useState(false);
  const { pot } = own;
  if (pot.status === Status.joined || (pot.status === Status.operator && !pot.places.length)) return null;
  const cancel = () => {
    setAsked(false);
    start("job.cancel", {}, [{ kind: pot.parts.length ? "withdraw" : "reset", pot: pot.address }]);
  };
  if (!asked)
    return (
      <Button kind="danger" onClick={() => setAsked(true)}>
        {t("operator.cancel")}
      </Button>
    );
  return (
    <div className="stack" role="alert">
      <p>{t("operator.cancelSure", { count: pot.parts.length })}</p>
      <div className="actions">
        <Button onClick={() => setAsked(false)}>{t("operator.keep")}</Button>
        <Button kind="danger" onClick={cancel}>
          {t("operator.cancelYes")}
        </Button>
      </div>
    </div>
  );
}

export function OperatorTools({ own }: { own: OwnPart }) {
  const { data: at } = useAddresses();
  const { pot } = own;
  const { address } = pot;
  const idle = pot.status === Status.operator;
  const rescue = own.held > 0n && (idle || pot.status === Status.joined);
  return (
    <section className="card stack" aria-label={t("operator.title")}>
      <h2>{t("operator.title")}</h2>
      {pot.status === Status.full && (
        <Button
          kind="primary"
          onClick={() =>
            start("job.finalize", {}, [
              { kind: "finalize", pot: address },
              { kind: "seen", pubkey: pot.pubkey },
            ])
          }
        >
          {t("operator.finalize")}
        </Button>
      )}
      {pot.status !== Status.joined && (
        <Switch
          label={t("register.automatic")}
          hint={t("register.automaticHint")}
          checked={!pot.manual}
          onChange={(wanted) => start("job.manual", {}, [{ kind: "manual", pot: address, value: !wanted }])}
        />
      )}
      {idle && <Fee address={address} now={pot.fee} />}
      {idle && <Reserve own={own} />}
      {rescue && at && (
        <Button onClick={() => start("job.rescue", {}, [{ kind: "rescue", pot: address, token: at.SESH }])}>
          {t("operator.rescue")} <Amount units={own.held} />
        </Button>
      )}
      <Cancel own={own} />
    </section>
  );
}
