/** Pairs with a wallet on another device: a code for its camera, which can be copied too. */
import { Button } from "@allium/ui";
import { Check, Copy } from "lucide-react";
import { useEffect, useMemo, useState } from "react";
import { encode } from "uqr";
import { problemOf } from "../chain/problem";
import { t } from "../i18n";
import { Loading, Notice } from "../parts/show";
import { connect, disconnect } from "./connection";
import { pair } from "./walletconnect";

function Code({ text }: { text: string }) {
  const { size, path } = useMemo(() => {
    const { data, size: width } = encode(text, { border: 2 });
    const cells = data.flatMap((row, y) => row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : "")));
    return { size: width, path: cells.join("") };
  }, [text]);
  return (
    <svg className="code" viewBox={`0 0 ${size} ${size}`} role="img" aria-label={t("remote.code")}>
      <path d={path} />
    </svg>
  );
}

export default function Remote({ onDone }: { onDone: () => void }) {
  const [uri, setUri] = useState("");
  const [trouble, setTrouble] = useState("");
  const [copied, setCopied] = useState(false);
  const [tries, setTries] = useState(0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: each try is another pairing
  useEffect(() => {
    let left = false;
    setUri("");
    setTrouble("");
    pair((made) => !left && setUri(made), disconnect)
      .then(async (wallet) => {
        // Taken up when nobody waits for it any more.
        if (left) return void (await wallet.leave?.());
        await connect(wallet);
        onDone();
      })
      .catch((error) => !left && setTrouble(problemOf(error).message));
    return () => {
      left = true;
    };
  }, [tries]);
  const copy = async () => {
    await navigator.clipboard?.writeText(uri).catch(() => undefined);
    setCopied(true);
  };
  if (trouble)
    return (
      <Notice kind="warning" action={<Button onClick={() => setTries(tries + 1)}>{t("job.again")}</Button>}>
        {trouble}
      </Notice>
    );
  if (!uri) return <Loading />;
  return (
    <div className="stack remote">
      <p>{t("remote.how")}</p>
      <Code text={uri} />
      <p className="mono uri">{uri}</p>
      <Button onClick={copy}>
        {copied ? <Check /> : <Copy />} {t("remote.copy")}
      </Button>
    </div>
  );
}
