import { Empty } from "@allium/ui";
import { KeyRound } from "lucide-react";
import { t } from "../i18n";

export function Unauthorized() {
  return (
    <main className="splash">
      <Empty icon={<KeyRound />} title={t("unauthorized.title")}>
        <p>{t("error.unauthorized")}</p>
        <p>
          <code className="mono">{t("unauthorized.command")}</code>
        </p>
      </Empty>
    </main>
  );
}
