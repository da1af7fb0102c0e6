/** `/pool`: what rewards are paid from, and what a stake may bring. */
import { Button, TextField } from "@allium/ui";
import { useState } from "react";
import type { Address } from "viem";
import { useArbitrum } from "../api/queries";
import { atomic, basisPoints, big, SESH, typed } from "../chain/amount";
import { read } from "../chain/contracts";
import { years } from "../chain/pool";
import { useAddresses, useChain, useClaim, useWallet } from "../chain/reads";
import { locale, moment, number, t } from "../i18n";
import { Amount, Fact, Loading, Notice, Who } from "../parts/show";
import { start } from "../steps/begin";

const YEARS = 5;
const WHOLE = 10_000n;

function Splitter() {
  const { data: at } = useAddresses();
  const place = at?.FeeSplitter;
  const state = useChain(["splitter"], async (provider, _account, all) => {
    if (!all.FeeSplitter) return null;
    const ask = <T,>(name: string) =>
      read<T>(provider, { contract: "FeeSplitter", address: all.FeeSplitter as Address, function: name, args: [] });
    const [share, treasury, held] = await Promise.all([
      ask<bigint>("POOL_PERCENT"),
      ask<Address>("treasury"),
      read<bigint>(provider, {
        contract: "SESH",
        address: all.SESH,
        function: "balanceOf",
        args: [all.FeeSplitter],
      }),
    ]);
    return { share: Number(share), treasury, held };
  });
  if (!place) return null;
  return (
    <section className="card stack">
      <h2>{t("pool.splitter")}</h2>
      <p className="muted">{t("pool.splitterMore")}</p>
      <dl className="facts">
        <Fact label={t("pot.contract")}>
          <Who address={place} />
        </Fact>
        {state.data && (
          <>
            <Fact label={t("pool.share")}>
              {t("pool.shares", { pool: state.data.share, liquidity: 100 - state.data.share })}
            </Fact>
            <Fact label={t("pool.treasury")}>
              <Who address={state.data.treasury} />
            </Fact>
            <Fact label={t("pool.waiting")}>
              <Amount units={state.data.held} />
            </Fact>
          </>
        )}
      </dl>
      {state.data && state.data.held > 0n && (
        <Button onClick={() => start("job.flush", {}, [{ kind: "flush" }])}>{t("pool.flush")}</Button>
      )}
    </section>
  );
}

function Calculator({ balance, nodes, requirement }: { balance: bigint; nodes: number; requirement: bigint }) {
  const [stake, setStake] = useState(typed(requirement / 4n));
  const [fee, setFee] = useState("10");
  const [count, setCount] = useState(String(Math.max(1, nodes)));
  const [income, setIncome] = useState("0");
  const own = atomic(stake);
  const points = basisPoints(fee);
  const among = /^[1-9]\d{0,5}$/.test(count) ? BigInt(count) : null;
  const daily = income.trim() === "0" ? 0n : atomic(income);
  const known = own !== null && points !== null && among !== null && daily !== null && own <= requirement * 1000n;
  const all = known ? years(balance, YEARS, daily) : [];
  const share = (paid: bigint) =>
    known ? (paid * (own ?? 0n) * (WHOLE - BigInt(points ?? 0))) / (requirement * (among ?? 1n) * WHOLE) : 0n;
  const rate = (got: bigint) =>
    new Intl.NumberFormat(locale(), { style: "percent", maximumFractionDigits: 2 }).format(
      Number((got * 1_000_000n) / (own || 1n)) / 1_000_000,
    );
  return (
    <section className="card stack">
      <h2>{t("pool.calculator")}</h2>
      <p className="muted">{t("pool.calculatorMore")}</p>
      <div className="filters">
        <TextField
          label={t("pool.stake")}
          value={stake}
          inputMode="decimal"
          error={own === null ? t("input.amount") : null}
          onChange={(event) => setStake(event.target.value)}
        />
        <TextField
          label={t("pool.fee")}
          value={fee}
          inputMode="decimal"
          error={points === null ? t("input.percent") : null}
          onChange={(event) => setFee(event.target.value)}
        />
        <TextField
          label={t("pool.nodes")}
          value={count}
          inputMode="numeric"
          error={among === null ? t("input.number") : null}
          onChange={(event) => setCount(event.target.value)}
        />
        <TextField
          label={t("pool.income")}
          value={income}
          inputMode="decimal"
          error={daily === null ? t("input.amount") : null}
          onChange={(event) => setIncome(event.target.value)}
        />
      </div>
      {known && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls can be scrolled with keys
        <section className="scroll" aria-label={t("pool.calculator")} tabIndex={0}>
          <table>
            <thead>
              <tr>
                <th scope="col">{t("pool.year")}</th>
                <th scope="col">{t("pool.pays")}</th>
                <th scope="col">{t("pool.left")}</th>
                <th scope="col">{t("pool.yours")}</th>
                <th scope="col">{t("pool.rate")}</th>
              </tr>
            </thead>
            <tbody>
              {all.map(({ paid, left }, at) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: a year is its place
                <tr key={at}>
                  <th scope="row">{number(at + 1)}</th>
                  <td>
                    <Amount units={paid} />
                  </td>
                  <td>
                    <Amount units={left} />
                  </td>
                  <td>
                    <Amount units={share(paid)} />
                  </td>
                  <td>{rate(share(paid))}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
    </section>
  );
}

export function PoolPage() {
  const { data } = useArbitrum();
  const { data: at } = useAddresses();
  const wallet = useWallet();
  const claim = useClaim(null);
  if (!data) return <Loading />;
  if (data.info.block === 0)
    return (
      <>
        <h1>{t("pool.title")}</h1>
        <p className="muted lead">{t("pool.lead")}</p>
        <Notice>{t("pool.reading")}</Notice>
        <Splitter />
      </>
    );
  const balance = big(data.info.balance_reward_rate_pool);
  const owed = claim.data?.owed;
  return (
    <>
      <h1>{t("pool.title")}</h1>
      <p className="muted lead">{t("pool.lead")}</p>
      <dl className="modules">
        <Fact label={t("pool.balance")}>
          <Amount units={balance} />
        </Fact>
        <Fact label={t("pool.rewards")}>
          <Amount units={big(data.info.balance_service_node_rewards)} />
        </Fact>
        <Fact label={t("pool.asOf", { block: number(data.info.block) })}>{moment(data.info.timestamp)}</Fact>
        {owed !== undefined && (
          <Fact label={t("pool.owed")}>
            <Amount units={owed} />
          </Fact>
        )}
      </dl>
      {wallet && at && owed !== undefined && owed >= SESH && (
        <Button onClick={() => start("job.release", {}, [{ kind: "release" }])}>{t("pool.release")}</Button>
      )}
      <Calculator
        key={data.network.node_count}
        balance={balance}
        nodes={data.network.node_count}
        requirement={big(data.network.staking_requirement)}
      />
      <Splitter />
    </>
  );
}
