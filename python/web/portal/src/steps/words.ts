/** What each step does, in words. */
import { big, percent, sesh } from "../chain/amount";
import { t } from "../i18n";
import type { Step } from "./job";

const short = (address: string): string => `${address.slice(0, 8)}…${address.slice(-4)}`;

export function told(step: Step): string {
  switch (step.kind) {
    case "approve":
      return big(step.amount) === 0n
        ? t("step.revoke", { spender: short(step.spender) })
        : t("step.approve", { amount: sesh(big(step.amount)), spender: short(step.spender) });
    case "approve-made":
      return t("step.approveMade", { amount: sesh(big(step.amount)) });
    case "contribute":
    case "contribute-made":
      return t("step.contribute", { amount: sesh(big(step.amount)) });
    case "withdraw":
      return t("step.withdraw");
    case "reset":
      return t("step.reset");
    case "finalize":
      return t("step.finalize");
    case "fee":
      return t("step.fee", { fee: percent(step.points) });
    case "reserve":
      return t("step.reserve", { count: step.places.length });
    case "manual":
      return step.value ? t("step.manual") : t("step.automatic");
    case "beneficiary":
      return t("step.beneficiary", { who: short(step.beneficiary) });
    case "rescue":
      return t("step.rescue");
    case "release":
      return t("step.release");
    case "update":
      return t("step.update");
    case "claim":
      return step.amount === null ? t("step.claimAll") : t("step.claim", { amount: sesh(big(step.amount)) });
    case "request-exit":
      return t("step.requestExit", { node: step.node });
    case "exit":
      return t("step.exit");
    case "register":
      return t("step.register");
    case "deploy":
      return t("step.deploy");
    case "reopen":
      return t("step.reopen", {
        amount: sesh(big(step.amount)),
        fee: percent(step.fee),
        // The operator's own place is the first.
        count: Math.max(0, step.places.length - 1),
        hand: step.manual ? 1 : 0,
      });
    case "flush":
      return t("step.flush");
    case "vested":
      return t("step.vested");
    case "seen":
      return t("step.seen");
  }
}
