/** `/mystakes`, and what others see of it at `/address/ADDRESS`. */
import { Empty } from "@allium/ui";
import { Sprout } from "lucide-react";
import { type Address, getAddress } from "viem";
import { useDays, useRewards, useStakes } from "../api/queries";
import type { Network, Rewards, Stake } from "../api/types";
import { big } from "../chain/amount";
import { read } from "../chain/contracts";
import { ofBackend, Status } from "../chain/pot";
import { useChain, useWallet } from "../chain/reads";
import { number, t } from "../i18n";
import { Amount, Fact, Link, Loading, Notice } from "../parts/show";
import { Chart, daily } from "./chart";
import { Claim } from "./claim";
import { NodeCard } from "./node-card";

/** What all nodes of the network get in 120 seconds (`spec/economics` §4). */
const useRate = () =>
  useChain(["rate"], (provider, _account, at) =>
    read<bigint>(provider, {
      contract: "RewardRatePool",
      address: at.RewardRatePool,
      function: "rewardRate",
      args: [],
    }),
  );

/** 120-second parts of a day. */
const PARTS = 720n;

function Modules({
  rewards,
  stakes,
  network,
  who,
}: {
  rewards: Rewards;
  stakes: Stake[];
  network: Network;
  who: Address;
}) {
  const rate = useRate();
  const days = useDays(who);
  const last = daily(days.data?.rewards ?? []).at(-1);
  const unclaimed = big(rewards.lifetime_rewards) - big(rewards.claimed_rewards);
  const back =
    big(rewards.lifetime_unlocked_stakes) - big(rewards.lifetime_liquidated_stakes) - big(rewards.claimed_stakes);
  const perNode = network.node_count && rate.data ? (rate.data / BigInt(network.node_count)) * PARTS : null;
  return (
    <dl className="modules">
      <Fact label={t("my.staked")}>
        <Amount units={big(rewards.locked_stakes)} />
      </Fact>
      <Fact label={t("my.nodes")}>{number(stakes.length)}</Fact>
      <Fact label={t("my.lifetime")}>
        <Amount units={big(rewards.lifetime_rewards)} />
      </Fact>
      <Fact label={t("my.unclaimed")}>
        <Amount units={unclaimed} />
      </Fact>
      <Fact label={t("my.unclaimedStakes")}>
        <Amount units={back} />
      </Fact>
      <Fact label={t("my.unlocking")}>
        <Amount units={big(rewards.timelocked_stakes)} />
      </Fact>
      {last && (
        <Fact label={t("my.day")}>
          <Amount units={last.earned} />
        </Fact>
      )}
      {perNode !== null && (
        <Fact label={t("my.perNode")}>
          <Amount units={perNode} />
        </Fact>
      )}
    </dl>
  );
}

/** All that is known of an address; with `acts`, what its owner may do. */
export function Stakes({ who, via = null, acts = false }: { who: Address; via?: Address | null; acts?: boolean }) {
  const stakes = useStakes(who);
  const rewards = useRewards(who);
  const days = useDays(who);
  if (!stakes.data || !rewards.data) return stakes.error ? null : <Loading />;
  const { network } = stakes.data;
  const nodes = stakes.data.stakes;
  const pots = stakes.data.contracts
    .map((pot) => ofBackend(pot, network))
    .filter(({ status }) => status < Status.joined);
  return (
    <>
      <Modules rewards={rewards.data.rewards} stakes={nodes} network={network} who={who} />
      <div className="columns">
        <div className="stack">
          {acts && <Claim rewards={rewards.data.rewards} who={who} via={via} />}
          <Chart days={days.data?.rewards ?? []} />
        </div>
        <div className="stack">
          <h2>{t("my.running")}</h2>
          {nodes.length === 0 && pots.length === 0 && (
            <Empty icon={<Sprout />} title={t("my.none")}>
              {acts && <Link to="/stake">{t("my.noneMore")}</Link>}
            </Empty>
          )}
          <ul className="stack">
            {nodes.map((node) => (
              <NodeCard key={node.contract_id} node={node} network={network} who={who} via={via} acts={acts} />
            ))}
            {pots.map((pot) => {
              const own = pot.parts.find(({ address }) => address === who);
              return (
                <li key={pot.address}>
                  <Link to={`/stake/${pot.address}`} className="card pot">
                    <div className="row">
                      <strong className="mono">{`${pot.pubkey.slice(0, 10)}…`}</strong>
                      <span className="tag">{t(`pot.status.${pot.status}` as "pot.status.0")}</span>
                    </div>
                    <dl className="facts">
                      <Fact label={t("node.own")}>
                        <Amount units={own?.amount ?? 0n} />
                      </Fact>
                    </dl>
                  </Link>
                </li>
              );
            })}
          </ul>
        </div>
      </div>
    </>
  );
}

export function MyStakesPage() {
  const wallet = useWallet();
  return (
    <>
      <h1>{t("my.title")}</h1>
      {wallet ? <Stakes who={getAddress(wallet.account)} acts /> : <Notice>{t("my.connect")}</Notice>}
    </>
  );
}
