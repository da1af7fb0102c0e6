/** Leaving: this device alone, the network too, or everything at once. */
import { Button, toast } from "@allium/ui";
import { useState } from "react";
import { post, remove } from "../api/client";
import { attempt, client, reloadState } from "../api/queries";
import { forgetTimelines } from "../api/timeline";
import type { Account } from "../api/types";
import { type Key, t } from "../i18n";
import { keepAnew, stopKeeping } from "../offline/wishes";
import { go } from "../route";
import { Ask } from "../shell/dialog";

type Way = "device" | "network" | "forget";

const WAYS: [Way, Key, Key][] = [
  ["device", "data.device", "data.deviceHint"],
  ["network", "data.network", "data.networkHint"],
  ["forget", "data.forget", "data.forgetHint"],
];

async function clear(account: Account, way: Way): Promise<void> {
  if (way === "forget") {
    if ((await attempt(post("forget", { confirm: "forget this device" }))) === undefined) return;
  } else {
    const result = await attempt(
      remove<{ nodes: string[] } | null>(`accounts/${account.id}?everywhere=${way === "network"}`),
    );
    if (result === undefined) return;
    const silent = result?.nodes?.length ?? 0;
    toast(silent ? t("data.notEverywhere", { count: silent }) : t("data.deleted"));
  }
  await (way === "forget" ? stopKeeping() : keepAnew()).catch(() => undefined);
  forgetTimelines();
  client.removeQueries({ predicate: (query) => query.queryKey[0] !== "state" });
  go("");
  await reloadState();
}

export function Data({ account }: { account: Account }) {
  const [asking, setAsking] = useState<Way | null>(null);
  const chosen = WAYS.find(([way]) => way === asking);
  return (
    <>
      {WAYS.map(([way, label, hint]) => (
        <div key={way} className="zone">
          <b>{t(label)}</b>
          <p className="muted">{t(hint)}</p>
          <Button kind={way === "forget" ? "danger" : ""} onClick={() => setAsking(way)}>
            {t("common.delete")}
          </Button>
        </div>
      ))}
      {chosen && asking && (
        <Ask
          title={`${t(chosen[1])}?`}
          text={`${t(chosen[2])} ${t("data.confirm")}`}
          choices={[{ label: t("common.delete"), danger: true, run: () => void clear(account, asking) }]}
          onClose={() => setAsking(null)}
        />
      )}
    </>
  );
}
