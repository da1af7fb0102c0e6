/** The page was opened while no service answers: what is kept or what to do, and back by itself when one does. */
import { Empty } from "@allium/ui";
import { Unplug } from "lucide-react";
import { lazy, Suspense, useEffect } from "react";
import { reloadState } from "../api/queries";
import { t } from "../i18n";
import { keeping } from "../offline/wishes";
import { useStore } from "../store";

const Reading = lazy(() => import("../offline/reading"));

const AGAIN = 3000;

export function Away() {
  useEffect(() => {
    const timer = setInterval(() => void reloadState(), AGAIN);
    return () => clearInterval(timer);
  }, []);
  const start = <Start />;
  if (useStore(keeping) === "off") return start;
  return (
    <Suspense fallback={<main className="splash" aria-busy="true" />}>
      <Reading otherwise={start} />
    </Suspense>
  );
}

function Start() {
  return (
    <main className="splash">
      <Empty icon={<Unplug />} title={t("away.title")}>
        <p>{t("away.text")}</p>
        <p>
          <code className="mono">{t("unauthorized.command")}</code>
        </p>
      </Empty>
    </main>
  );
}
