/** Claims: all of it or a part, within what the whole network is paid in half a day. */
import { Button, TextField } from "@allium/ui";
import { useState } from "react";
import type { Address } from "viem";
import type { Rewards } from "../api/types";
import { atomic, big, greater, SESH } from "../chain/amount";
import { useClaim } from "../chain/reads";
import { duration, t } from "../i18n";
import { Amount, Notice } from "../parts/show";
import { start } from "../steps/begin";
import type { Step } from "../steps/job";

/** Below half a SESH, gas may cost more than the claim brings. */
const LEAST = SESH / 2n;

export function Claim({ rewards, who, via }: { rewards: Rewards; who: Address; via: Address | null }) {
  const { data: chain } = useClaim(who);
  const [part, setPart] = useState<string | null>(null);
  if (!chain) return null;
  const earned = greater(big(rewards.amount), chain.known);
  const claimable = earned - chain.claimed;
  const amount = part === null ? claimable : atomic(part);
  const limited = amount !== null && amount > chain.left;
  const error =
    part === null || part === ""
      ? null
      : amount === null
        ? t("input.amount")
        : amount > claimable
          ? t("claim.tooMuch")
          : null;
  const claim = () => {
    if (amount === null) return;
    const steps: Step[] = [{ kind: "update", who }];
    // The pool pays the contract only when somebody asks it to.
    if (chain.held < amount) steps.push({ kind: "release" });
    const step = { kind: "claim", amount: part === null ? null : amount.toString() } as const;
    steps.push(via ? { ...step, via } : step);
    start("job.claim", {}, steps);
    setPart(null);
  };
  return (
    <section className="card stack" aria-label={t("claim.title")}>
      <h2>{t("claim.title")}</h2>
      <p className="big" data-testid="claimable">
        <Amount units={claimable} />
      </p>
      {limited && (
        <Notice kind="warning">
          {t("claim.limited", { time: duration(chain.next - chain.now) })} <Amount units={chain.left} />
        </Notice>
      )}
      {part !== null && (
        <TextField
          label={t("claim.part")}
          value={part}
          inputMode="decimal"
          error={error}
          onChange={(event) => setPart(event.target.value)}
        />
      )}
      {claimable < LEAST && <p className="muted">{t("claim.little")}</p>}
      {chain.held + chain.owed < claimable && <Notice kind="warning">{t("claim.empty")}</Notice>}
      <div className="actions">
        <Button
          kind="primary"
          disabled={claimable < LEAST || amount === null || error !== null || limited}
          onClick={claim}
        >
          {part === null ? t("claim.all") : t("claim.some")}
        </Button>
        {claimable >= LEAST && (
          <Button onClick={() => setPart(part === null ? "" : null)}>
            {part === null ? t("claim.choosePart") : t("claim.chooseAll")}
          </Button>
        )}
      </div>
    </section>
  );
}
