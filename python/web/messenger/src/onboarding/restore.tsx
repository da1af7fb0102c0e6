import { Button, Field } from "@allium/ui";
import { ScanLine } from "lucide-react";
import { type FormEvent, lazy, Suspense, useState } from "react";
import { ApiError, post, sentence } from "../api/client";
import { reloadState } from "../api/queries";
import type { Account } from "../api/types";
import { listed, t } from "../i18n";
import { isWord, split, suggestions } from "./words";

const Scanner = lazy(() => import("../people/scan"));

/** The bytes of a phrase, as its QR code has them; of a very old account the whole seed (spec/accounts §2). */
const HEX = /^\s*([0-9a-f]{32}){1,2}\s*$/i;
const SHORTEST = 13;

/** What is wrong with the words so far; the one that is being typed is not judged yet. */
function problem(phrase: string, finished: boolean): { word: string; index: number } | null {
  const words = split(phrase);
  const judged = finished || /\s$/.test(phrase) ? words : words.slice(0, -1);
  const index = judged.findIndex((word) => !isWord(word));
  return index < 0 ? null : { word: judged[index] ?? "", index };
}

export function Restore({ onBack, onDone }: { onBack: () => void; onDone: (account: string) => void }) {
  const [phrase, setPhrase] = useState("");
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [scanning, setScanning] = useState(false);
  const hex = HEX.test(phrase);
  const words = split(phrase);
  const wrong = hex ? null : problem(phrase, words.length >= 13);
  const near = wrong ? suggestions(wrong.word) : [];
  const replace = (word: string) => {
    setPhrase(words.map((one, index) => (index === wrong?.index ? word : one)).join(" "));
    setError(null);
  };
  const scanned = (code: string): boolean => {
    const good = HEX.test(code) || (split(code).length >= SHORTEST && !problem(code, true));
    if (!good) return false;
    setPhrase(code.trim());
    setError(null);
    setScanning(false);
    return true;
  };
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (problem(phrase, true) && !hex)
      return setError(t("restore.unknown", { word: problem(phrase, true)?.word ?? "" }));
    setBusy(true);
    setError(null);
    try {
      const account = await post<Account>("accounts", { phrase: phrase.trim().toLowerCase() });
      await reloadState();
      onDone(account.id);
    } catch (failure) {
      const checksum = failure instanceof ApiError && failure.word === "phrase" && failure.details.word === null;
      setError(checksum && words.length === 13 ? t("restore.checksum") : sentence(failure));
      setBusy(false);
    }
  };
  return (
    <form className="welcome" onSubmit={submit}>
      <h1>{t("restore.title")}</h1>
      <Field
        label={t("restore.words")}
        hint={
          <>
            {t("restore.hint")}{" "}
            <output>{words.length > 0 && !hex && t("restore.count", { count: words.length })}</output>
          </>
        }
        error={wrong ? t("restore.unknown", { word: wrong.word }) : error}
      >
        {(attributes) => (
          <textarea
            className="input"
            rows={4}
            dir="ltr"
            autoCapitalize="none"
            autoComplete="off"
            spellCheck={false}
            autoFocus
            value={phrase}
            onChange={(event) => {
              setPhrase(event.target.value);
              setError(null);
            }}
            {...attributes}
          />
        )}
      </Field>
      {near.length > 0 && (
        <fieldset className="row suggestions">
          <legend className="visually-hidden">{t("restore.suggest", { words: listed(near) })}</legend>
          {near.map((word) => (
            <Button key={word} onClick={() => replace(word)}>
              {word}
            </Button>
          ))}
        </fieldset>
      )}
      <Button className="wide" onClick={() => setScanning(!scanning)} aria-pressed={scanning}>
        <ScanLine size={18} />
        {t("restore.scan")}
      </Button>
      {scanning && (
        <Suspense fallback={null}>
          <Scanner onFound={scanned} foreign={t("restore.foreign")} />
        </Suspense>
      )}
      <Button type="submit" kind="primary" className="wide" disabled={busy || !phrase.trim()}>
        {t(busy ? "common.loading" : "restore.submit")}
      </Button>
      <Button kind="plain" className="wide" onClick={onBack}>
        {t("common.back")}
      </Button>
    </form>
  );
}
