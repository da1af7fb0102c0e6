/** The way in: language and theme first, then a new account or one that is brought back. */
import { Button } from "@allium/ui";
import { Languages, Moon, Sun } from "lucide-react";
import { useState } from "react";
import { language, languages, nameOf, t } from "../i18n";
import { choose, preferences } from "../prefs";
import { useStore } from "../store";
import { Create } from "./create";
import { Naming } from "./naming";
import { Phrase } from "./phrase";
import { Restore } from "./restore";

type Step = { at: "welcome" | "create" | "restore" } | { at: "phrase" | "name"; account: string };

export default function Onboarding({
  onDone,
  onCancel,
}: {
  onDone: (account: string) => void;
  onCancel: (() => void) | null;
}) {
  const [step, setStep] = useState<Step>({ at: "welcome" });
  useStore(preferences);
  const dark = document.documentElement.dataset.theme === "dark";
  const back = () => setStep({ at: "welcome" });
  return (
    <main className="splash">
      <div className="corner">
        <label className="pick">
          <Languages aria-hidden="true" />
          <span className="visually-hidden">{t("settings.language")}</span>
          <select value={language()} onChange={(event) => void choose({ language: event.target.value })}>
            {languages.map((one) => (
              <option key={one} value={one} lang={one}>
                {nameOf(one)}
              </option>
            ))}
          </select>
        </label>
        <button
          type="button"
          className="icon-button"
          aria-label={t(dark ? "theme.light" : "theme.dark")}
          onClick={() => void choose({ theme: dark ? "light" : "dark" })}
        >
          {dark ? <Sun /> : <Moon />}
        </button>
      </div>
      {step.at === "welcome" && (
        <div className="welcome">
          <img className="emblem" src="/icon.svg" alt="" />
          <h1>{t("welcome.title")}</h1>
          <p className="muted">{t("welcome.text")}</p>
          <Button kind="primary" className="wide" onClick={() => setStep({ at: "create" })}>
            {t("welcome.create")}
          </Button>
          <Button className="wide" onClick={() => setStep({ at: "restore" })}>
            {t("welcome.restore")}
          </Button>
          {onCancel && (
            <Button kind="plain" className="wide" onClick={onCancel}>
              {t("common.cancel")}
            </Button>
          )}
        </div>
      )}
      {step.at === "create" && <Create onBack={back} onDone={(account) => setStep({ at: "phrase", account })} />}
      {step.at === "restore" && <Restore onBack={back} onDone={(account) => setStep({ at: "name", account })} />}
      {step.at === "name" && <Naming account={step.account} onDone={() => onDone(step.account)} />}
      {step.at === "phrase" && <Phrase account={step.account} onDone={() => onDone(step.account)} />}
    </main>
  );
}
