/** How one's messages travel, and where they wait. */
import { useQuery } from "@tanstack/react-query";
import { get } from "../api/client";
import { of } from "../api/queries";
import type { Account } from "../api/types";
import { type Key, t } from "../i18n";

interface Node {
  ip: string;
  port: number;
  pubkey: string;
}

const ROLES: Key[] = ["network.entry", "network.middle", "network.exit"];

export function Network({ account }: { account: Account }) {
  const path = useQuery({
    queryKey: [account.id, "path"],
    queryFn: () => get<{ hops: Node[]; guard_ok: boolean }>(of(account.id, "path")),
    staleTime: 0,
  }).data;
  const swarm = useQuery({
    queryKey: [account.id, "swarm"],
    queryFn: () => get<{ nodes: Node[] }>(of(account.id, "swarm")),
    staleTime: 0,
  }).data;
  return (
    <>
      <h4>{t("network.path")}</h4>
      <p className="muted">{t("network.pathHint")}</p>
      {path?.hops.length ? (
        <ol className="path">
          <li>{t("network.you")}</li>
          {path.hops.map((hop, index) => (
            <li key={hop.pubkey}>
              {t(ROLES[index] ?? "network.middle")}
              <span className="mono" dir="ltr">
                {hop.ip}
              </span>
            </li>
          ))}
          <li>{t("network.destination")}</li>
        </ol>
      ) : (
        <p>{t("network.none")}</p>
      )}
      <h4>{t("network.swarm")}</h4>
      <p className="muted">{t("network.swarmHint")}</p>
      <ul className="nodes">
        {swarm?.nodes.map((node) => (
          <li key={node.pubkey}>
            <span className="mono wrap" dir="ltr">
              {node.ip} {node.pubkey?.slice(0, 12)}
            </span>
          </li>
        ))}
      </ul>
    </>
  );
}
