/** How one's messages travel, where they wait, and what the nodes tell of their network. */
import { useQuery } from "@tanstack/react-query";
import { get } from "../api/client";
import { of } from "../api/queries";
import type { Account } from "../api/types";
import { countryName, duration, type Key, number, t } from "../i18n";
import { Heading } from "../shell/heading";
import { WorldMap } from "./world-map";

interface Node {
  ip: string;
  port: number;
  pubkey: string;
  country: string | null;
}

interface Figures {
  nodes: number;
  countries: Record<string, number>;
  elsewhere: number;
  paths: number;
  age: number;
  clock: number;
}

const ROLES: Key[] = ["network.entry", "network.middle", "network.exit"];
const SHOWN = 10;

const where = (node: Node): string => (node.country ? countryName(node.country) : t("network.unknownPlace"));

function useAsked<T>(account: string, what: string) {
  return useQuery({ queryKey: [account, what], queryFn: () => get<T>(of(account, what)), staleTime: 0 }).data;
}

function Countries({ figures }: { figures: Figures }) {
  const all = Object.entries(figures.countries).sort(([, one], [, other]) => other - one);
  const most = Math.max(1, figures.elsewhere, ...all.map(([, count]) => count));
  const rows: [string, number][] = all.slice(0, SHOWN).map(([country, count]) => [countryName(country), count]);
  const others = all.slice(SHOWN).reduce((sum, [, count]) => sum + count, 0);
  if (others) rows.push([t("network.otherCountries", { count: all.length - SHOWN }), others]);
  if (figures.elsewhere) rows.push([t("network.unknownPlace"), figures.elsewhere]);
  return (
    <table className="countries">
      <caption className="visually-hidden">{t("network.byCountry")}</caption>
      <tbody>
        {rows.map(([name, count]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td className="bar" aria-hidden="true">
              <span style={{ inlineSize: `${Math.min(100, (100 * count) / most)}%` }} />
            </td>
            <td className="count">{number(count)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export function Network({ account }: { account: Account }) {
  const path = useAsked<{ hops: Node[]; guard_ok: boolean }>(account.id, "path");
  const swarm = useAsked<{ nodes: Node[] }>(account.id, "swarm");
  const figures = useAsked<Figures>(account.id, "network");
  return (
    <>
      <Heading level={4}>{t("network.path")}</Heading>
      <p className="muted">{t("network.pathHint")}</p>
      {path?.hops.length ? (
        <>
          <div>
            <WorldMap countries={path.hops.map((hop) => hop.country)} />
          </div>
          <ol className="path">
            <li>{t("network.you")}</li>
            {path.hops.map((hop, index) => (
              <li key={hop.pubkey}>
                <span className="place">
                  <span>
                    <span aria-hidden="true">{number(index + 1)}. </span>
                    {t(ROLES[index] ?? "network.middle")}
                  </span>
                  <span className="muted small">{where(hop)}</span>
                </span>
                <span className="mono" dir="ltr">
                  {hop.ip}
                </span>
              </li>
            ))}
            <li>{t("network.destination")}</li>
          </ol>
        </>
      ) : (
        <p>{t("network.none")}</p>
      )}
      <p className="muted small">{t("network.placesHint")}</p>
      <Heading level={4}>{t("network.swarm")}</Heading>
      <p className="muted">{t("network.swarmHint")}</p>
      <ul className="nodes">
        {swarm?.nodes.map((node) => (
          <li key={node.pubkey}>
            <span className="mono wrap" dir="ltr">
              {node.ip} {node.pubkey?.slice(0, 12)}
            </span>
            <span className="muted small">{where(node)}</span>
          </li>
        ))}
      </ul>
      {figures && (
        <>
          <Heading level={4}>{t("network.figures")}</Heading>
          <p className="muted">{t("network.figuresHint", { time: duration(Math.max(1, Math.round(figures.age))) })}</p>
          <p>
            <b>{t("network.nodeCount", { count: figures.nodes })}</b>
          </p>
          <Countries figures={figures} />
        </>
      )}
    </>
  );
}
