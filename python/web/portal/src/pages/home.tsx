/** `/`: what one can do here. */
import { Coins, Droplets, Plus, Sprout, Trophy } from "lucide-react";
import { useInfo } from "../api/queries";
import { big } from "../chain/amount";
import { number, t } from "../i18n";
import { Amount, Fact, Link } from "../parts/show";

const WAYS = [
  ["/stake", "home.stake", "home.stakeMore", Sprout],
  ["/mystakes", "home.my", "home.myMore", Coins],
  ["/register", "home.register", "home.registerMore", Plus],
] as const;

/** Of a network whose tokens are worth nothing. */
const TRIAL = [
  ["/faucet", "faucet.title", "faucet.lead", Droplets],
  ["/leaderboard", "leaders.title", "home.leaders", Trophy],
] as const;

export function HomePage() {
  const { data } = useInfo();
  const ways = data && data.network.nettype !== "mainnet" ? [...WAYS, ...TRIAL] : WAYS;
  return (
    <>
      <div className="hero">
        <h1>{t("home.title")}</h1>
        <p className="muted lead">{t("home.lead")}</p>
      </div>
      <ul className="cards ways">
        {ways.map(([to, title, more, Icon]) => (
          <li key={to}>
            <Link to={to} className="card way">
              <Icon aria-hidden="true" />
              <h2>{t(title)}</h2>
              <p className="muted">{t(more)}</p>
            </Link>
          </li>
        ))}
      </ul>
      {data && (
        <dl className="modules">
          {data.network.block_height > 0 && (
            <>
              <Fact label={t("home.nodes")}>{number(data.network.node_count)}</Fact>
              <Fact label={t("home.staked")}>
                <Amount units={big(data.network.total_staked)} />
              </Fact>
            </>
          )}
          <Fact label={t("pot.requirement")}>
            <Amount units={big(data.network.staking_requirement)} />
          </Fact>
          <Fact label={t("home.operator")}>
            <Amount units={big(data.network.min_operator_contribution)} />
          </Fact>
        </dl>
      )}
    </>
  );
}
