/** The choice among the languages. */
import rows from "virtual:language-names";
import { LanguageList as List, ownName as named } from "@allium/ui";
import { language, t } from "../i18n";
import { choose } from "../prefs";

export { takeChosen } from "@allium/ui";

export const ownName = (tag: string): string => named(rows, tag);

export function LanguageList() {
  return (
    <List
      rows={rows}
      language={language()}
      words={{ search: t("common.search"), none: t("list.noMatch") }}
      onChoose={(tag) => void choose({ language: tag })}
    />
  );
}

export function LanguageChoice() {
  return (
    <>
      <p className="muted">{t("language.hint")}</p>
      <LanguageList />
    </>
  );
}
