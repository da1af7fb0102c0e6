/** A node that somebody staked for, and what they may do with it. */
import { Button } from "@allium/ui";
import { useState } from "react";
import { type Address, getAddress } from "viem";
import type { Network, Stake } from "../api/types";
import { big, percent } from "../chain/amount";
import { stateOf, whenHeight } from "../chain/node";
import { duration, moment, number, t } from "../i18n";
import { Amount, Fact, Pubkey, Who } from "../parts/show";
import { start } from "../steps/begin";

/** Who has staked less than a quarter may ask only so long after the registration. */
const SMALL_DELAY = 30 * 86_400;

function Actions({ node, network, who, via }: { node: Stake; network: Network; who: Address; via: Address | null }) {
  const [asked, setAsked] = useState(false);
  const state = stateOf(node);
  if (state === "ready" || state === "deregistered") {
    const exit = () => start("job.exit", {}, [{ kind: "exit", pubkey: node.pubkey_ed25519 }]);
    return (
      <Button kind="primary" onClick={exit}>
        {t("node.exit")}
      </Button>
    );
  }
  if (node.requested_unlock_height) return null;
  const own = node.contributors.find(({ address }) => getAddress(address) === who);
  if (!own) return null;
  const small = big(own.amount) * 4n < big(node.staking_requirement);
  const since = whenHeight(node.registration_height, network);
  const wait = small ? since + SMALL_DELAY - network.block_timestamp : 0;
  if (wait > 0) return <p className="muted">{t("node.small", { time: duration(wait) })}</p>;
  const request = () => {
    setAsked(false);
    const step = { kind: "request-exit", node: node.contract_id } as const;
    start("job.requestExit", { node: node.contract_id }, [via ? { ...step, via } : step]);
  };
  if (!asked) return <Button onClick={() => setAsked(true)}>{t("node.requestExit")}</Button>;
  return (
    <div className="stack" role="alert">
      <p>{t("node.requestSure")}</p>
      <div className="actions">
        <Button onClick={() => setAsked(false)}>{t("operator.keep")}</Button>
        <Button kind="danger" onClick={request}>
          {t("node.requestYes")}
        </Button>
      </div>
    </div>
  );
}

export function NodeCard({
  node,
  network,
  who,
  via = null,
  acts = false,
}: {
  node: Stake;
  network: Network;
  who: Address;
  via?: Address | null;
  acts?: boolean;
}) {
  const state = stateOf(node);
  const own = node.contributors
    .filter(({ address }) => getAddress(address) === who)
    .reduce((sum, { amount }) => sum + big(amount), 0n);
  const other = node.contributors.find(
    ({ address, beneficiary }) => getAddress(address) === who && getAddress(beneficiary) !== who,
  );
  const until = state === "leaving" ? whenHeight(node.requested_unlock_height, network) : null;
  return (
    <li className="card node" data-node={node.contract_id} data-state={state}>
      <div className="row">
        <Pubkey hex={node.pubkey_ed25519} />
        <span className={`tag ${state}`}>{t(`node.state.${state}`)}</span>
      </div>
      <dl className="facts">
        <Fact label={t("node.own")}>
          <Amount units={own} />
        </Fact>
        <Fact label={t("node.number")}>{number(node.contract_id)}</Fact>
        <Fact label={t("pot.fee")}>{percent(node.operator_fee)}</Fact>
        <Fact label={t("node.contributors")}>{number(node.contributors.length)}</Fact>
        {getAddress(node.operator_address) === who && <Fact label={t("node.role")}>{t("pot.operator")}</Fact>}
        {other && (
          <Fact label={t("register.beneficiary")}>
            <Who address={other.beneficiary} />
          </Fact>
        )}
        {until && <Fact label={t("node.leavesAt")}>{moment(until)}</Fact>}
        {state === "decommissioned" && (
          <Fact label={t("node.credit")}>{t("node.blocks", { count: node.earned_downtime_blocks })}</Fact>
        )}
        {state === "deregistered" && node.liquidation_height !== null && (
          <Fact label={t("node.liquidation")}>{moment(whenHeight(node.liquidation_height, network))}</Fact>
        )}
      </dl>
      {acts && <Actions node={node} network={network} who={who} via={via} />}
    </li>
  );
}
