/** The page was opened while no service answers: what to do, and back by itself when one does. */
import { Empty } from "@allium/ui";
import { Unplug } from "lucide-react";
import { useEffect } from "react";
import { reloadState } from "../api/queries";
import { t } from "../i18n";

const AGAIN = 3000;

export function Away() {
  useEffect(() => {
    const timer = setInterval(() => void reloadState(), AGAIN);
    return () => clearInterval(timer);
  }, []);
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
