import { Button } from "@allium/ui";
import { useService } from "../api/queries";
import { type Key, t } from "../i18n";
import { Heading } from "../shell/heading";
import { isMac } from "../shell/keys";

const MOD = isMac ? "⌘" : "Ctrl";
const KEYS: [string, Key][] = [
  [`${MOD} K`, "help.palette"],
  [`${MOD} N`, "help.newConversation"],
  [`${MOD} Shift G`, "new.group"],
  [`${MOD} F`, "help.search"],
  [`${MOD} ,`, "help.settings"],
  [`${MOD} U`, "chat.attach"],
  [`${MOD} E`, "chat.emoji"],
  ["Alt ↑ ↓", "help.order"],
  ["↑ ↓", "help.messages"],
  ["R", "help.reply"],
  ["E", "help.react"],
];

export function Help() {
  const service = useService().data;
  return (
    <>
      <Heading level={4}>{t("help.shortcuts")}</Heading>
      <dl className="keys">
        {KEYS.map(([key, label]) => (
          <div key={key} className="contents">
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{t(label)}</dd>
          </div>
        ))}
      </dl>
      <Heading level={4}>{t("help.links")}</Heading>
      <p className="muted">{t("help.linksHint")}</p>
      {"registerProtocolHandler" in navigator && (
        <div>
          <Button onClick={() => navigator.registerProtocolHandler("web+session", `${location.origin}/?open=%s`)}>
            {t("help.takeLinks")}
          </Button>
        </div>
      )}
      <p className="muted">{t("help.version", { version: service?.version ?? "" })}</p>
    </>
  );
}
