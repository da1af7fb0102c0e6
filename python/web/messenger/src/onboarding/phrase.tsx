/** The recovery phrase: hidden until asked for, to be copied or written down. */
import { Button, toast } from "@allium/ui";
import { Copy, Eye, EyeOff, QrCode } from "lucide-react";
import { useEffect, useState } from "react";
import { get, post, sentence } from "../api/client";
import { attempt, of, reloadState } from "../api/queries";
import { t } from "../i18n";
import { copyText } from "../shell/copy";

/** The words, and what can be done with them. */
export function PhraseWords({ account, shown: first = false }: { account: string; shown?: boolean }) {
  const [words, setWords] = useState<string[] | null>(null);
  const [shown, setShown] = useState(first);
  const [code, setCode] = useState(false);
  useEffect(() => {
    if (!shown || words) return;
    get<{ phrase: string }>(of(account, "phrase")).then(
      ({ phrase }) => setWords(phrase.split(" ")),
      (error) => toast(sentence(error)),
    );
  }, [account, shown, words]);
  const copy = async () => {
    const phrase = words?.join(" ") ?? (await attempt(get<{ phrase: string }>(of(account, "phrase"))))?.phrase;
    if (!phrase) return;
    await copyText(phrase, t("phrase.copied"));
  };
  return (
    <div className="phrase">
      <ol className="phrase-words" aria-label={t("phrase.title")} dir="ltr" translate="no">
        {(shown && words ? words : Array.from({ length: 13 }, () => "")).map((word, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a word's place is its name.
          <li key={index}>{word || <span aria-hidden="true">•••••</span>}</li>
        ))}
      </ol>
      {shown && code && (
        <>
          <img className="qr" src={`/api/${of(account, "phrase/qr")}`} alt={t("phrase.qr")} />
          <p className="muted small">{t("phrase.qrHint")}</p>
        </>
      )}
      <div className="row">
        <Button onClick={() => setShown(!shown)}>
          {shown ? <EyeOff size={18} /> : <Eye size={18} />}
          {t(shown ? "phrase.hide" : "phrase.show")}
        </Button>
        {shown && words && (
          <Button onClick={() => setCode(!code)} aria-pressed={code}>
            <QrCode size={18} />
            QR
          </Button>
        )}
        <Button onClick={() => void copy()}>
          <Copy size={18} />
          {t("common.copy")}
        </Button>
      </div>
    </div>
  );
}

export function Phrase({ account, onDone }: { account: string; onDone: () => void }) {
  const saved = async () => {
    await attempt(post(of(account, "phrase/seen")));
    await reloadState();
    onDone();
  };
  return (
    <div className="welcome">
      <h1>{t("phrase.title")}</h1>
      <p className="muted">{t("phrase.hint")}</p>
      <PhraseWords account={account} />
      <Button kind="primary" className="wide" onClick={() => void saved()}>
        {t("phrase.saved")}
      </Button>
      <Button kind="plain" className="wide" onClick={onDone}>
        {t("phrase.later")}
      </Button>
    </div>
  );
}
