/** `/stake`: contracts that want stakes. */
import { Empty, Switch, TextField } from "@allium/ui";
import { Sprout } from "lucide-react";
import { useState } from "react";
import { usePots } from "../api/queries";
import { basisPoints, percent } from "../chain/amount";
import { ofBackend, type PotView, remaining, Status, slots } from "../chain/pot";
import { number, t } from "../i18n";
import { Amount, Fact, Link, Loading } from "../parts/show";

const short = (text: string): string => `${text.slice(0, 10)}…${text.slice(-4)}`;

function Meter({ pot }: { pot: PotView }) {
  const share = (part: bigint) => Number((part * 1000n) / pot.requirement) / 10;
  return (
    <svg className="meter" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
      <rect className="rest" width="100" height="4" />
      <rect className="reserved" width={share(pot.total + pot.reserved)} height="4" />
      <rect className="staked" width={share(pot.total)} height="4" />
    </svg>
  );
}

function Card({ pot }: { pot: PotView }) {
  return (
    <li>
      <Link to={`/stake/${pot.address}`} className="card pot">
        <div className="row">
          <strong className="mono">{short(pot.pubkey)}</strong>
          <span className="tag">{t(`pot.status.${pot.status}` as "pot.status.0")}</span>
        </div>
        <Meter pot={pot} />
        <dl className="facts">
          <Fact label={t("pot.left")}>
            <Amount units={remaining(pot)} />
          </Fact>
          <Fact label={t("pot.minimum")}>{pot.minimum === null ? "–" : <Amount units={pot.minimum} />}</Fact>
          <Fact label={t("pot.fee")}>{percent(pot.fee)}</Fact>
          <Fact label={t("pot.slots")}>{t("pot.slotsOf", { free: slots(pot), all: pot.most })}</Fact>
        </dl>
      </Link>
    </li>
  );
}

export function StakePage() {
  const { data, isPending } = usePots();
  const [text, setText] = useState("");
  const [fee, setFee] = useState("");
  const [pending, setPending] = useState(false);
  if (!data) return isPending ? <Loading /> : null;
  const most = basisPoints(fee) ?? 10_000;
  const all = data.contracts.map((pot) => ofBackend(pot, data.network));
  const wanted = text.trim().toLowerCase();
  const shown = all
    .filter(({ status }) => status === Status.open || (pending && status === Status.operator))
    .filter((pot) => pot.fee <= most)
    .filter((pot) => [pot.address, pot.operator, pot.pubkey].some((one) => one.toLowerCase().includes(wanted)))
    .sort((one, other) => one.fee - other.fee || Number(remaining(one) - remaining(other)));
  return (
    <>
      <h1>{t("stake.title")}</h1>
      <p className="muted lead">{t("stake.lead")}</p>
      <div className="filters">
        <TextField label={t("stake.search")} value={text} onChange={(event) => setText(event.target.value)} />
        <TextField
          label={t("stake.fee")}
          value={fee}
          inputMode="decimal"
          placeholder="100"
          error={fee && basisPoints(fee) === null ? t("input.percent") : null}
          onChange={(event) => setFee(event.target.value)}
        />
        <Switch label={t("stake.pending")} checked={pending} onChange={setPending} />
      </div>
      <p className="muted" role="status">
        {all.length > 0 && t("stake.count", { count: shown.length, all: number(all.length) })}
      </p>
      {shown.length ? (
        <ul className="cards">
          {shown.map((pot) => (
            <Card key={pot.address} pot={pot} />
          ))}
        </ul>
      ) : (
        <Empty icon={<Sprout />} title={t("stake.none")}>
          <p>{t("stake.noneMore")}</p>
        </Empty>
      )}
    </>
  );
}
