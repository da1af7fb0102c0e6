/** The steps of what was begun, where each is, and what to do when one is in trouble. */
import { Button, IconButton, useStore } from "@allium/ui";
import { Check, CircleAlert, CircleDashed, LoaderCircle, Minus, X } from "lucide-react";
import { useEffect } from "react";
import { big, ether } from "../chain/amount";
import { useAddresses, useWallet } from "../chain/reads";
import { config } from "../config";
import { type Key, t } from "../i18n";
import { Explore } from "../parts/show";
import { start } from "./begin";
import { ASKED, type Job, jobs, type Progress, remove, type State } from "./job";
import { giveUp, resume, run } from "./runner";
import { told } from "./words";

const STATES: Record<State, Key | null> = {
  waiting: null,
  checking: "state.checking",
  wallet: "state.wallet",
  sent: "state.sent",
  reorganised: "state.reorganised",
  lost: "state.lost",
  done: "state.done",
  skipped: "state.skipped",
};

function Mark({ state }: { state: State }) {
  if (state === "done") return <Check className="mark done" />;
  if (state === "skipped") return <Minus className="mark" />;
  if (state === "waiting") return <CircleDashed className="mark" />;
  if (state === "lost" || state === "reorganised") return <CircleAlert className="mark bad" />;
  return <LoaderCircle className="mark spin" />;
}

function StateWords({ at }: { at: Progress }) {
  const key = STATES[at.state];
  if (at.step.kind === "seen" && at.state === "sent") return <p className="muted">{t("state.seen")}</p>;
  if (at.state === "sent" && at.blocks !== undefined)
    return <p className="muted">{t("state.blocks", { count: at.blocks, of: config.chain.confirmations })}</p>;
  return key ? <p className="muted">{t(key)}</p> : null;
}

function StepRow({ at, job }: { at: Progress; job: Job }) {
  return (
    <li className="step" data-state={at.state} data-kind={at.step.kind}>
      <Mark state={at.state} />
      <div className="words">
        <p>
          {told(at.step)} {at.hash && <Explore path={`tx/${at.hash}`} />}
        </p>
        <StateWords at={at} />
        {at.replaced && <p className="muted">{t("state.replaced")}</p>}
        {at.gas && at.state !== "done" && (
          <p className="muted">{t("state.gas", { cost: ether(big(at.gas) * big(at.gasPrice)) })}</p>
        )}
      </div>
      {at.state === "lost" && <Button onClick={() => giveUp(job.id)}>{t("job.again")}</Button>}
    </li>
  );
}

/** An approval that was given for a step that then did not happen. */
function leftApproval(job: Job) {
  const place = job.steps.findIndex(({ step, state }) => step.kind === "approve" && state === "done");
  const step = job.steps[place]?.step;
  const used = job.steps[place + 1]?.state === "done";
  return !used && step?.kind === "approve" && big(step.amount) > 0n ? step.spender : null;
}

function Panel({ job }: { job: Job }) {
  const active = !job.trouble && job.steps.some(({ state }) => !["waiting", "done", "skipped"].includes(state));
  const spender = job.trouble && leftApproval(job);
  const revoke = () => {
    if (!spender) return;
    remove(job.id);
    start("job.revoke", {}, [{ kind: "approve", spender, amount: "0" }]);
  };
  return (
    <section className="job" aria-label={t(job.title, job.values)}>
      <header>
        <h2>{t(job.title, job.values)}</h2>
        {(job.finished || job.trouble || !active) && (
          <IconButton label={t("job.dismiss")} onClick={() => remove(job.id)}>
            <X />
          </IconButton>
        )}
      </header>
      <ol>
        {job.steps.map((at, place) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the steps of a job never change their places
          <StepRow key={place} at={at} job={job} />
        ))}
      </ol>
      <div aria-live="polite">
        {job.trouble && (
          <p className="trouble" data-kind={job.trouble.kind}>
            {job.trouble.text === ASKED ? t(ASKED) : job.trouble.text}
          </p>
        )}
        {job.finished && <p className="good">{t("job.done")}</p>}
        {!job.finished && !job.trouble && job.steps.some(({ state }) => state === "wallet") && (
          <p className="muted">{t("job.lookAtWallet")}</p>
        )}
      </div>
      <div className="actions">
        {!job.finished && (job.trouble || !active) && (
          <Button kind="primary" onClick={() => run(job.id)}>
            {t(job.trouble ? "job.again" : "job.continue")}
          </Button>
        )}
        {spender && <Button onClick={revoke}>{t("job.takeBack")}</Button>}
        {job.finished && <Button onClick={() => remove(job.id)}>{t("job.ok")}</Button>}
      </div>
    </section>
  );
}

/** What the account in the wallet has begun. */
export function Jobs() {
  const all = useStore(jobs);
  const wallet = useWallet();
  const { data: places } = useAddresses();
  const account = wallet?.account;
  useEffect(() => {
    if (account && places) resume();
  }, [account, places]);
  const own = all.filter((job) => job.account === account && job.chain === config.chain.id);
  return own.map((job) => <Panel key={job.id} job={job} />);
}
