/** `/leaderboard`: who has earned most on a test network. */
import { Empty } from "@allium/ui";
import { Trophy } from "lucide-react";
import { useLeaders } from "../api/queries";
import { big } from "../chain/amount";
import { useWallet } from "../chain/reads";
import { config } from "../config";
import { number, t } from "../i18n";
import { Amount, Link, Loading, Notice, Who } from "../parts/show";

/** How many are shown; the files have all that the portal tells. */
const SHOWN = 100;

export function LeaderboardPage() {
  const { data, error } = useLeaders();
  const account = useWallet()?.account;
  return (
    <>
      <h1>{t("leaders.title")}</h1>
      {data && !data.leaders.length ? (
        <Empty icon={<Trophy />} title={t("leaders.nobody")}>
          <p>{t("leaders.nobodyMore")}</p>
        </Empty>
      ) : data ? (
        <>
          <p className="muted lead">{t("leaders.lead", { height: number(data.network.block_height) })}</p>
          <p className="actions">
            <a href={`${config.backend}/leaders.csv`} download="leaderboard.csv">
              CSV
            </a>
            <a href={`${config.backend}/leaders`} download="leaderboard.json">
              JSON
            </a>
          </p>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls can be scrolled with keys */}
          <section className="card scroll" aria-label={t("leaders.title")} tabIndex={0}>
            <table>
              <thead>
                <tr>
                  <th scope="col">{t("leaders.rank")}</th>
                  <th scope="col">{t("lookup.address")}</th>
                  <th scope="col">{t("my.lifetime")}</th>
                  <th scope="col">{t("my.staked")}</th>
                  <th scope="col">{t("my.nodes")}</th>
                </tr>
              </thead>
              <tbody>
                {data.leaders.slice(0, SHOWN).map((one) => (
                  <tr key={one.address} aria-current={one.address === account ? "true" : undefined}>
                    <th scope="row">{number(one.rank)}</th>
                    <td>
                      <Who address={one.address} link={false} />{" "}
                      <Link to={`/address/${one.address}`}>{t("lookup.show")}</Link>
                    </td>
                    <td>
                      <Amount units={big(one.lifetime_rewards)} />
                    </td>
                    <td>
                      <Amount units={big(one.staked)} />
                    </td>
                    <td>{number(one.nodes)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </section>
        </>
      ) : error ? (
        <Notice kind="warning">{t("leaders.none")}</Notice>
      ) : (
        <Loading />
      )}
    </>
  );
}
