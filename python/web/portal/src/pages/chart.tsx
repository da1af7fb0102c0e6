/** What was earned each day. */
import type { Day } from "../api/types";
import { big, greater, sesh } from "../chain/amount";
import { date, t } from "../i18n";
import { Amount } from "../parts/show";

const MOST = 60;

/** The rewards of each day, of lifetime totals at their beginnings. */
export function daily(days: Day[]): { day: number; earned: bigint }[] {
  const ordered = [...days].sort((one, other) => one.timestamp - other.timestamp);
  return ordered.slice(1).map((one, at) => ({
    day: ordered[at]?.timestamp ?? one.timestamp,
    earned: big(one.lifetime_rewards) - big(ordered[at]?.lifetime_rewards),
  }));
}

export function Chart({ days }: { days: Day[] }) {
  const shown = daily(days).slice(-MOST);
  const most = shown.reduce((found, { earned }) => greater(earned, found), 1n);
  return (
    <section className="card" aria-label={t("chart.title")}>
      <h2>{t("chart.title")}</h2>
      {shown.length === 0 ? (
        <p className="muted">{t("chart.none")}</p>
      ) : (
        <>
          <svg className="chart" viewBox={`0 0 ${MOST} 30`} preserveAspectRatio="none" aria-hidden="true">
            {shown.map(({ day, earned }, at) => {
              const height = Number((earned * 3000n) / most) / 100;
              return (
                <rect key={day} x={MOST - shown.length + at + 0.1} y={30 - height} width="0.8" height={height}>
                  <title>{`${date(day)}: ${sesh(earned)} SESH`}</title>
                </rect>
              );
            })}
          </svg>
          <details>
            <summary>{t("chart.table")}</summary>
            <table>
              <thead>
                <tr>
                  <th scope="col">{t("chart.day")}</th>
                  <th scope="col">{t("chart.earned")}</th>
                </tr>
              </thead>
              <tbody>
                {[...shown].reverse().map(({ day, earned }) => (
                  <tr key={day}>
                    <td>{date(day)}</td>
                    <td>
                      <Amount units={earned} />
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </details>
        </>
      )}
    </section>
  );
}
