/** The languages, each by its name in itself; found by that, by the English name, or by what the reader calls it. */
import { Check } from "lucide-react";
import { useState } from "react";
import { TextField } from "./controls";
import "./languages.css";

/** A language: its tag, its name in itself and in English, and which share of all texts it has. */
export type LanguageRow = [tag: string, own: string, english: string, share: number];

export const ownName = (rows: readonly LanguageRow[], tag: string): string =>
  rows.find((row) => row[0] === tag)?.[1] ?? tag;

let chosen = "";

/** Whether a language was chosen just before all was drawn anew; true once. */
export function takeChosen(): boolean {
  const was = chosen !== "";
  chosen = "";
  return was;
}

/** Letters without marks, so that "Turkce" finds what it means. */
const plain = (text: string): string => text.normalize("NFD").replace(/\p{M}/gu, "").toLocaleLowerCase();

export function LanguageList({
  rows,
  language,
  words,
  onChoose,
}: {
  rows: readonly LanguageRow[];
  /** The one that is read now. */
  language: string;
  words: { search: string; none: string };
  onChoose: (tag: string) => void;
}) {
  const [text, setText] = useState("");
  const [returned] = useState(takeChosen);
  const names = new Intl.DisplayNames([language], { type: "language" });
  const percent = new Intl.NumberFormat(language, { style: "percent" });
  const wanted = plain(text.trim());
  const shown = [...rows]
    .sort((one, other) => one[1].localeCompare(other[1]))
    .filter(
      ([tag, own, english]) =>
        !wanted || [tag, own, english, names.of(tag) ?? ""].some((name) => plain(name).includes(wanted)),
    );
  return (
    <div className="language-list">
      <TextField label={words.search} type="search" value={text} onChange={(event) => setText(event.target.value)} />
      <ul className="languages">
        {shown.map(([tag, own, , share]) => (
          <li key={tag}>
            <button
              type="button"
              className="menu-item"
              aria-pressed={tag === language}
              autoFocus={returned && tag === language}
              onClick={() => {
                chosen = tag;
                onChoose(tag);
              }}
            >
              <span className="own">
                <bdi lang={tag}>{own}</bdi>
              </span>
              {share < 1 && <span className="muted small">{percent.format(share)}</span>}
              {tag === language && <Check aria-hidden="true" />}
            </button>
          </li>
        ))}
      </ul>
      <p className="muted" role="status">
        {!shown.length && words.none}
      </p>
    </div>
  );
}
