/** The way in: language and theme first, then a new account or one that is brought back. */
import { Button } from "@allium/ui";
import { Languages, Moon, Sun } from "lucide-react";
import { useState } from "react";
import { language, t } from "../i18n";
import { choose, preferences } from "../prefs";
import { LanguageList, ownName, takeChosen } from "../settings/languages";
import { Dialog } from "../shell/dialog";
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
  const [picking, setPicking] = useState(false);
  // All is drawn anew in the language that was chosen here: the focus comes back to where it was chosen.
  const [returned] = useState(takeChosen);
  useStore(preferences);
  const dark = document.documentElement.dataset.theme === "dark";
  const back = () => setStep({ at: "welcome" });
  return (
    <main className="splash">
      <div className="corner">
        <button
          type="button"
          className="pick"
          aria-haspopup="dialog"
          autoFocus={returned}
          onClick={() => setPicking(true)}
        >
          <Languages aria-hidden="true" />
          <span className="visually-hidden">{t("settings.language")}: </span>
          <span lang={language()}>{ownName(language())}</span>
        </button>
        <button
          type="button"
          className="icon-button"
          aria-label={t(dark ? "theme.light" : "theme.dark")}
          onClick={() => void choose({ theme: dark ? "light" : "dark" })}
        >
          {dark ? <Sun /> : <Moon />}
        </button>
      </div>
      {picking && (
        <Dialog title={t("settings.language")} onClose={() => setPicking(false)} wide>
          <LanguageList />
        </Dialog>
      )}
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
