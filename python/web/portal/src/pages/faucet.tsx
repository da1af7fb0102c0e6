/** `/faucet`, `/faucet/CODE`: tokens of a test network, from the portal's own faucet. */
import { Button, TextField } from "@allium/ui";
import { type FormEvent, useState } from "react";
import { getAddress, isAddress } from "viem";
import { ask } from "../api/client";
import { again, useFaucet } from "../api/queries";
import type { FaucetTerms, Granted } from "../api/types";
import { big, ether } from "../chain/amount";
import { problemOf } from "../chain/problem";
import { useWallet } from "../chain/reads";
import { duration, t } from "../i18n";
import { Amount, Explore, Fact, Link, Loading, Notice } from "../parts/show";

function Ask({ terms, code: told }: { terms: FaucetTerms; code: string }) {
  const wallet = useWallet();
  const [text, setText] = useState<string | null>(null);
  const [code, setCode] = useState(told);
  const [state, setState] = useState<"" | "busy" | { paid: Granted } | { refused: string }>("");
  const given = (text ?? wallet?.account ?? "").trim();
  const wrong = given !== "" && !isAddress(given);
  const ready = given !== "" && !wrong && state !== "busy" && (!terms.coded || code.trim() !== "");
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (!ready) return;
    setState("busy");
    try {
      const asked = { address: getAddress(given), code: code.trim() };
      const { granted } = await ask<{ granted: Granted }>("/faucet", "POST", asked);
      setState({ paid: granted });
      void again();
    } catch (error) {
      setState({ refused: problemOf(error).message });
    }
  };
  return (
    <form className="card stack" onSubmit={submit} aria-label={t("faucet.title")}>
      <dl className="facts">
        <Fact label={t("faucet.tokens")}>
          <Amount units={big(terms.tokens)} />
        </Fact>
        <Fact label={t("wallet.ether")}>{ether(big(terms.wei))} ETH</Fact>
        <Fact label={t("faucet.often")}>{t("faucet.once", { time: duration(terms.seconds) })}</Fact>
      </dl>
      <TextField
        label={t("faucet.address")}
        value={text ?? wallet?.account ?? ""}
        error={wrong ? t("input.address") : null}
        onChange={(event) => setText(event.target.value)}
      />
      {terms.coded && (
        <TextField
          label={t("faucet.code")}
          hint={t("faucet.codeHint")}
          value={code}
          onChange={(event) => setCode(event.target.value)}
        />
      )}
      <div aria-live="polite">
        {typeof state === "object" && "refused" in state && <Notice kind="warning">{state.refused}</Notice>}
        {typeof state === "object" && "paid" in state && (
          <Notice action={<Link to="/stake">{t("nav.stake")}</Link>}>
            {t("faucet.paid")}{" "}
            {state.paid.transactions.map((hash) => (
              <Explore key={hash} path={`tx/${hash}`} />
            ))}
          </Notice>
        )}
      </div>
      <Button kind="primary" type="submit" disabled={!ready}>
        {state === "busy" ? t("faucet.busy") : t("faucet.ask")}
      </Button>
    </form>
  );
}

export function FaucetPage({ code }: { code: string }) {
  const { data, error } = useFaucet();
  return (
    <>
      <h1>{t("faucet.title")}</h1>
      {data?.faucet && <p className="muted lead">{t("faucet.lead")}</p>}
      {data?.faucet ? (
        <Ask terms={data.faucet} code={code} />
      ) : data || error ? (
        <Notice>{t("faucet.none")}</Notice>
      ) : (
        <Loading />
      )}
    </>
  );
}
