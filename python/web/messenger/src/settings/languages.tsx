/** The languages, each by its name in itself; found by that, by the English name, or by what the reader calls it. */
import rows from "virtual:language-names";
import { TextField } from "@allium/ui";
import { Check } from "lucide-react";
import { useState } from "react";
import { language, percent, t } from "../i18n";
import { choose } from "../prefs";
import "./languages.css";

const sorted = [...rows].sort((one, other) => one[1].localeCompare(other[1]));

export const ownName = (tag: string): string => rows.find((row) => row[0] === tag)?.[1] ?? tag;

let chosen = "";

/** Whether a language was chosen just before all was drawn anew; true once. */
export function takeChosen(): boolean {
  const was = chosen !== "";
  chosen = "";
  return was;
}

/** Letters without marks, so that "Turkce" finds what it means. */
const plain = (text: string): string => text.normalize("NFD").replace(/\p{M}/gu, "").toLocaleLowerCase();

/** A language's name in the one that is read now; the browser's own word if it lacks one. */
function called(tag: string): string {
  return new Intl.DisplayNames([language()], { type: "language" }).of(tag) ?? "";
}

export function LanguageList() {
  const [text, setText] = useState("");
  const [returned] = useState(takeChosen);
  const wanted = plain(text.trim());
  const shown = sorted.filter(
    ([tag, own, english]) => !wanted || [tag, own, english, called(tag)].some((name) => plain(name).includes(wanted)),
  );
  return (
    <div className="language-list">
      <TextField
        label={t("common.search")}
        type="search"
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
      <ul className="languages">
        {shown.map(([tag, own, , share]) => (
          <li key={tag}>
            <button
              type="button"
              className="menu-item"
              aria-pressed={tag === language()}
              autoFocus={returned && tag === language()}
              onClick={() => {
                chosen = tag;
                void choose({ language: tag });
              }}
            >
              <span className="own">
                <bdi lang={tag}>{own}</bdi>
              </span>
              {share < 1 && <span className="muted small">{percent(share)}</span>}
              {tag === language() && <Check aria-hidden="true" />}
            </button>
          </li>
        ))}
      </ul>
      <p className="muted" role="status">
        {!shown.length && t("list.noMatch")}
      </p>
    </div>
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
