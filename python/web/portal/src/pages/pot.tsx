/** `/stake/ADDRESS`: one contract, and all that one may do with it. */
import { Button, TextField, useStore } from "@allium/ui";
import { type FormEvent, useState } from "react";
import { type Address, getAddress, isAddress } from "viem";
import { usePots } from "../api/queries";
import { atomic, percent, typed } from "../chain/amount";
import { ofBackend, type PotView, remaining, Status, slots } from "../chain/pot";
import { type OwnPart, usePot, useWallet } from "../chain/reads";
import { duration, t } from "../i18n";
import { Amount, Fact, Loading, Notice, Pubkey, Who } from "../parts/show";
import { start } from "../steps/begin";
import { jobs, type Step } from "../steps/job";
import { connection } from "../wallet/connection";
import { Beneficiary } from "./beneficiary";
import { OperatorTools } from "./pot-operator";
import { useActing } from "./vesting";

function People({ pot }: { pot: PotView }) {
  const waiting = pot.places.filter(({ received }) => !received);
  if (!pot.parts.length && !waiting.length) return null;
  return (
    <section className="card">
      <h2>{t("pot.people")}</h2>
      <ul className="people">
        {pot.parts.map(({ address, amount }) => (
          <li key={address}>
            <Who address={address} />
            {address === pot.operator && <span className="tag">{t("pot.operator")}</span>}
            <Amount units={amount} />
          </li>
        ))}
        {waiting.map(({ address, amount }) => (
          <li key={`kept ${address}`}>
            <Who address={address} />
            <span className="tag">{t("pot.reservedTag")}</span>
            <Amount units={amount} />
          </li>
        ))}
      </ul>
    </section>
  );
}

/** What may be staked at least and at most by who looks at it. */
function limits({ pot, amount, place }: OwnPart, own: Address): { least: bigint; most: bigint } | null {
  const operator = pot.operator === own;
  if (pot.status > Status.open || (pot.status === Status.operator && !operator)) return null;
  const most = remaining(pot) + place;
  if (most <= 0n) return null;
  if (place > 0n) return { least: place, most };
  if (amount > 0n) return { least: 1n, most };
  return pot.minimum === null ? null : { least: pot.minimum, most };
}

function Contribute({ own, me, via }: { own: OwnPart; me: Address; via: Address | null }) {
  const [text, setText] = useState("");
  const [beneficiary, setBeneficiary] = useState("");
  const bounds = limits(own, me);
  if (!bounds) return null;
  const { least, most } = bounds;
  const amount = atomic(text);
  const reasons: [boolean, string][] = [
    [amount === null, t("input.amount")],
    [(amount ?? 0n) < least, t("pot.tooLittle")],
    [(amount ?? 0n) > most, t("pot.tooMuch")],
    [(amount ?? 0n) > own.sesh, t("pot.notEnough")],
  ];
  const error = text ? (reasons.find(([wrong]) => wrong)?.[1] ?? null) : null;
  const other = beneficiary.trim();
  const otherError = other && !isAddress(other) ? t("input.address") : null;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (amount === null || error || otherError) return;
    const to = other ? getAddress(other) : null;
    const { address: pot } = own.pot;
    const contribute: Step = { kind: "contribute", pot, amount: amount.toString(), beneficiary: to };
    start(
      "job.contribute",
      { amount: text.trim() },
      via ? [{ ...contribute, via }] : [{ kind: "approve", spender: pot, amount: amount.toString() }, contribute],
    );
    setText("");
  };
  return (
    <form className="card" onSubmit={submit} aria-label={t("pot.contribute")}>
      <h2>{own.amount > 0n ? t("pot.topUp") : t("pot.contribute")}</h2>
      <TextField
        label={t("pot.amount")}
        value={text}
        inputMode="decimal"
        error={error}
        hint={
          <>
            {own.place > 0n ? t("pot.placeIs") : own.amount > 0n ? t("pot.anyAmount") : t("pot.minimum")}{" "}
            {!(own.amount > 0n && own.place === 0n) && <Amount units={least} />} · {t("pot.most")}{" "}
            <Amount units={most} /> · {t("pot.have")} <Amount units={own.sesh} />
          </>
        }
        onChange={(event) => setText(event.target.value)}
      />
      <div className="actions">
        {least > 1n && <Button onClick={() => setText(typed(least))}>{t("pot.useMinimum")}</Button>}
        <Button onClick={() => setText(typed(most))}>{t("pot.useMost")}</Button>
      </div>
      <TextField
        label={t("pot.beneficiary")}
        value={beneficiary}
        error={otherError}
        hint={own.amount > 0n ? t("pot.beneficiaryAgain") : t("pot.beneficiaryHint")}
        onChange={(event) => setBeneficiary(event.target.value)}
      />
      <Button kind="primary" type="submit" disabled={amount === null || Boolean(error || otherError)}>
        {t("pot.stake")}
      </Button>
    </form>
  );
}

function Own({ own, me, via }: { own: OwnPart; me: Address; via: Address | null }) {
  if (own.amount === 0n) return null;
  const { pot } = own;
  const part = pot.parts.find(({ address }) => address === me);
  const operator = pot.operator === me;
  const left = own.since + own.delay - own.now;
  const step: Step = { kind: "withdraw", pot: pot.address };
  const withdraw = () => start("job.withdraw", {}, [via ? { ...step, via } : step]);
  return (
    <section className="card">
      <h2>{t("pot.own")}</h2>
      <p className="big">
        <Amount units={own.amount} />
      </p>
      {part && <Beneficiary key={part.beneficiary} pot={pot} now={part.beneficiary} me={me} via={via} />}
      {pot.status < Status.joined && !operator && (
        <>
          {left > 0 && <p className="muted">{t("pot.withdrawIn", { time: duration(left) })}</p>}
          <Button disabled={left > 0} onClick={withdraw}>
            {t("pot.withdraw")}
          </Button>
        </>
      )}
      {pot.status === Status.joined && <p className="muted">{t("pot.inNode")}</p>}
    </section>
  );
}

function Facts({ pot }: { pot: PotView }) {
  return (
    <section className="card">
      <div className="row">
        <h2>{t("pot.terms")}</h2>
        <span className="tag">{t(`pot.status.${pot.status}` as "pot.status.0")}</span>
      </div>
      <dl className="facts">
        <Fact label={t("pot.left")}>
          <Amount units={remaining(pot)} />
        </Fact>
        <Fact label={t("pot.minimum")}>{pot.minimum === null ? "–" : <Amount units={pot.minimum} />}</Fact>
        <Fact label={t("pot.staked")}>
          <Amount units={pot.total} />
        </Fact>
        <Fact label={t("pot.reserved")}>
          <Amount units={pot.reserved} />
        </Fact>
        <Fact label={t("pot.requirement")}>
          <Amount units={pot.requirement} />
        </Fact>
        <Fact label={t("pot.fee")}>{percent(pot.fee)}</Fact>
        <Fact label={t("pot.slots")}>{t("pot.slotsOf", { free: slots(pot), all: pot.most })}</Fact>
        <Fact label={t("pot.activation")}>{pot.manual ? t("pot.byHand") : t("pot.byItself")}</Fact>
        <Fact label={t("pot.operator")}>
          <Who address={pot.operator} />
        </Fact>
        <Fact label={t("pot.node")}>
          <Pubkey hex={pot.pubkey} />
        </Fact>
        <Fact label={t("pot.contract")}>
          <Who address={pot.address} />
        </Fact>
      </dl>
    </section>
  );
}

export function PotPage({ address }: { address: string }) {
  const valid = isAddress(address, { strict: false });
  const place = (valid ? getAddress(address) : address) as Address;
  const wallet = useWallet();
  const now = useStore(connection);
  const acting = useActing();
  const { data: told } = usePots();
  const chain = usePot(place, acting);
  const busy = useStore(jobs).some((job) => !job.finished && !job.trouble);
  const listed = told?.contracts.find((one) => getAddress(one.address) === place);
  if (!valid) return <Notice kind="danger">{t("input.address")}</Notice>;
  // Anybody can make a contract that looks like one of the network's.
  if (told && !listed && !chain.data)
    return (
      <>
        <h1>{t("pot.contract")}</h1>
        <Notice kind="warning">{t("pot.unknown")}</Notice>
      </>
    );
  const pot = chain.data?.pot ?? (told && listed ? ofBackend(listed, told.network) : null);
  if (!pot) return <Loading />;
  const me = acting ?? wallet?.account ?? null;
  return (
    <>
      <h1>{t("pot.title", { node: `${pot.pubkey.slice(0, 8)}…` })}</h1>
      {told && !listed && <Notice kind="warning">{t("pot.unknown")}</Notice>}
      {!now && <Notice>{t("pot.connect")}</Notice>}
      <div className="columns">
        <div className="stack">
          {wallet && me && chain.data && listed && !busy && (
            <>
              <Contribute own={chain.data} me={me} via={acting} />
              <Own own={chain.data} me={me} via={acting} />
              {pot.operator === wallet.account && <OperatorTools own={chain.data} />}
            </>
          )}
          <People pot={pot} />
        </div>
        <Facts pot={pot} />
      </div>
    </>
  );
}
