/** Settings: sections on one side, the open one on the other. */
import { IconButton } from "@allium/ui";
import { ChevronLeft } from "lucide-react";
import type { ComponentType } from "react";
import "./settings.css";
import type { Account } from "../api/types";
import { t } from "../i18n";
import { address, go } from "../route";
import { Heading } from "../shell/heading";
import { Appearance } from "./appearance";
import { Backups } from "./backups";
import { Data } from "./data";
import { Help } from "./help";
import { LanguageChoice } from "./languages";
import { LockSettings } from "./lock";
import { Network } from "./network";
import { Notifications } from "./notifications";
import { Blocked, Privacy } from "./privacy";
import { PhraseSection, Profile } from "./profile";
import { SECTIONS } from "./sections";

const PAGES: Record<string, ComponentType<{ account: Account }>> = {
  profile: Profile,
  phrase: PhraseSection,
  privacy: Privacy,
  notifications: Notifications,
  appearance: Appearance,
  language: LanguageChoice,
  lock: LockSettings,
  network: Network,
  backups: Backups,
  blocked: Blocked,
  data: Data,
  help: Help,
};

export default function Settings({ account, section }: { account: Account; section: string }) {
  const shown = PAGES[section] ? section : "";
  const open = shown || "profile";
  const Page = PAGES[open] ?? Profile;
  const label = SECTIONS.find((one) => one.id === open)?.label ?? "settings.profile";
  return (
    <div className="pane settings" data-open={shown ? "" : undefined}>
      <div className="pane-head">
        <IconButton
          className="narrow-only"
          label={t("common.back")}
          onClick={() => go(account.id, shown ? "settings" : "")}
        >
          <ChevronLeft className="flip" />
        </IconButton>
        <Heading>{t("settings.title")}</Heading>
      </div>
      <div className="settings-body">
        <nav aria-label={t("settings.sections")}>
          <ul>
            {SECTIONS.map(({ id, label: name }) => (
              <li key={id}>
                <a href={address(account.id, "settings", id)} aria-current={id === open ? "page" : undefined}>
                  {t(name)}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls and has no control in it is scrolled by keys. */}
        <section className="settings-page" aria-labelledby="section" tabIndex={0}>
          <Heading level={3} id="section">
            {t(label)}
          </Heading>
          <Page account={account} />
        </section>
      </div>
    </div>
  );
}
