/** `/register/KEY`: one prepared node, by oneself or with others, at once or step by step (`spec/portal` §3.1). */
import { Button } from "@allium/ui";
import { useState } from "react";
import { type Address, getAddress } from "viem";
import { useBlsKeys, useNode, useNodePot, useRegistrations } from "../api/queries";
import type { Network, Registration } from "../api/types";
import { big } from "../chain/amount";
import { ofBackend, type PotView, Status } from "../chain/pot";
import { useMoney, useWallet } from "../chain/reads";
import { moment, t } from "../i18n";
import { Amount, Fact, Link, Loading, Notice, Pubkey, Who } from "../parts/show";
import type { Signed } from "../steps/job";
import { MultiForm, SoloForm } from "./registration-forms";
import { useActing } from "./vesting";

export interface Prepared {
  signed: Signed;
  network: Network;
  /** What the wallet, or the vesting contract, holds. */
  held: bigint;
  via: Address | null;
  /** A contract for it that waits for its operator, with the BLS key that it has. */
  there: (PotView & { bls: string | null }) | null;
}

type Way = "solo" | "multi";

function Ways({ made }: { made: Prepared }) {
  const [way, setWay] = useState<Way | null>(null);
  const [guided, setGuided] = useState(false);
  const requirement = big(made.network.staking_requirement);
  const choose = (next: Way, slow: boolean) => {
    setWay(next);
    setGuided(slow);
  };
  if (way === "solo") return <SoloForm made={made} guided={guided} onBack={() => setWay(null)} />;
  if (way === "multi") return <MultiForm made={made} guided={guided} onBack={() => setWay(null)} />;
  return (
    <div className="columns">
      <section className="card stack">
        <h2>{t("register.solo")}</h2>
        <p>
          {t("register.soloMore")} <Amount units={requirement} />
        </p>
        <div className="actions">
          <Button kind="primary" onClick={() => choose("solo", false)}>
            {t("register.soloExpress")}
          </Button>
          <Button onClick={() => choose("solo", true)}>{t("register.guided")}</Button>
        </div>
      </section>
      <section className="card stack">
        <h2>{t("register.multi")}</h2>
        {made.via ? (
          <p>{t("register.noMulti")}</p>
        ) : (
          <>
            <p>
              {t("register.multiMore")} <Amount units={big(made.network.min_operator_contribution)} />
            </p>
            <div className="actions">
              <Button kind="primary" onClick={() => choose("multi", false)}>
                {t("register.multiExpress")}
              </Button>
              <Button onClick={() => choose("multi", true)}>{t("register.guided")}</Button>
            </div>
          </>
        )}
      </section>
    </div>
  );
}

function Checked({ registration, network }: { registration: Registration; network: Network }) {
  const wallet = useWallet();
  const acting = useActing();
  const money = useMoney();
  const known = useBlsKeys();
  const node = useNode(registration.pubkey_ed25519);
  const pot = useNodePot(registration.pubkey_ed25519);
  if (!known.data || !node.data || !pot.data) return <Loading />;
  if (known.data.bls_keys[registration.pubkey_bls] !== undefined || node.data.stakes.length)
    return <Notice action={<Link to="/mystakes">{t("nav.my")}</Link>}>{t("register.already")}</Notice>;
  const operator = getAddress(registration.operator);
  const collecting = pot.data.contract;
  const own = collecting && getAddress(collecting.operator_address) === operator ? collecting : null;
  const idle = own?.status === Status.operator && !own.contributors.some(({ amount }) => big(amount) > 0n);
  if (own && own.status < Status.joined && !idle)
    return (
      <Notice action={<Link to={`/stake/${getAddress(own.address)}`}>{t("register.toContract")}</Link>}>
        {t("register.contractThere")}
      </Notice>
    );
  if (!wallet) return <Notice>{t("register.connect")}</Notice>;
  if (operator !== wallet.account && operator !== acting)
    return <Notice kind="warning">{t("register.notOperator", { operator })}</Notice>;
  const signed: Signed = {
    ed25519: registration.pubkey_ed25519,
    bls: registration.pubkey_bls,
    signature: registration.sig_ed25519,
    possession: registration.sig_bls,
  };
  const via = operator === acting ? acting : null;
  const there = own && idle ? { ...ofBackend(own, network), bls: own.pubkey_bls } : null;
  return (
    <>
      {there && (
        <Notice action={<Link to={`/stake/${there.address}`}>{t("register.toContract")}</Link>}>
          {t("register.contractIdle")}
        </Notice>
      )}
      {/* Asked anew when the contract is made, or gone on with. */}
      <Ways key={there?.address ?? ""} made={{ signed, network, held: money.data?.sesh ?? 0n, via, there }} />
    </>
  );
}

export function RegistrationPage({ pubkey }: { pubkey: string }) {
  const { data } = useRegistrations(pubkey.toLowerCase());
  if (!data) return <Loading />;
  const [registration] = data.registrations;
  return (
    <>
      <h1>{t("register.title")}</h1>
      {registration ? (
        <>
          <section className="card">
            <dl className="facts">
              <Fact label={t("pot.node")}>
                <Pubkey hex={registration.pubkey_ed25519} />
              </Fact>
              <Fact label={t("pot.operator")}>
                <Who address={registration.operator} />
              </Fact>
              <Fact label={t("register.signed")}>{moment(registration.timestamp)}</Fact>
            </dl>
          </section>
          <Checked registration={registration} network={data.network} />
        </>
      ) : (
        <Notice kind="warning">{t("register.unknown")}</Notice>
      )}
    </>
  );
}
