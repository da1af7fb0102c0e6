/** A page's texts in the language that was chosen: a text that it lacks is English. */
import { type Messages, setupI18n } from "@lingui/core";

export type Values = Record<string, string | number>;
export type Direction = "ltr" | "rtl";

const RIGHT_TO_LEFT = new Set(["ar", "fa", "he", "ur", "ps"]);
/** What browsers call some of ours. */
const ALIASES: Record<string, string> = {
  no: "nb",
  tl: "fil",
  iw: "he",
  in: "id",
  "zh-Hant": "zh-TW",
  "zh-HK": "zh-TW",
  "zh-MO": "zh-TW",
};

export class Texts<Key extends string> {
  private readonly i18n = setupI18n({ locale: "en", messages: { en: {} } });
  private readonly inEnglish;
  /** What the chosen language has. */
  private own: Messages = {};

  constructor(
    private readonly english: Messages,
    /** The tags of all that there are. */
    readonly languages: readonly string[],
    private readonly load: (language: string) => Promise<Messages | undefined>,
  ) {
    this.inEnglish = setupI18n({ locale: "en", messages: { en: english } });
  }

  get language(): string {
    return this.i18n.locale;
  }

  direction(of: string = this.language): Direction {
    return RIGHT_TO_LEFT.has(of.split("-")[0] ?? "") ? "rtl" : "ltr";
  }

  /** A text. One that the language lacks is English to its plurals, and is kept apart where lines go the other way. */
  text(key: Key, values?: Values): string {
    if (key in this.own) return this.i18n._(key, values);
    const text = this.inEnglish._(key, values);
    return this.direction() === "rtl" ? `\u2066${text}\u2069` : text;
  }

  /** Whether there is such a text. */
  has(key: string): key is Key {
    return key in this.english;
  }

  /** The first of what the browser's user reads that there is. */
  preferred(): string {
    return navigator.languages.map((wanted) => this.offered(wanted)).find(Boolean) ?? "en";
  }

  /** Times are written as where the browser's user lives, if that is in the language: `en-GB` for `en`. */
  get regional(): string {
    return navigator.languages.find((one) => one.startsWith(`${this.language}-`)) ?? this.language;
  }

  async activate(wanted: string): Promise<void> {
    const chosen = this.languages.includes(wanted) ? wanted : "en";
    this.own = chosen === "en" ? {} : await this.loaded(chosen);
    this.i18n.load(chosen, this.own);
    this.i18n.activate(chosen);
    document.documentElement.lang = chosen;
    document.documentElement.dir = this.direction();
  }

  private async loaded(language: string): Promise<Messages> {
    try {
      return (await this.load(language)) ?? {};
    } catch {
      // Neither the service nor the browser's store has it now: English is better than nothing.
      return {};
    }
  }

  /** The language of ours for what a browser names, if there is one: the nearest by script and region. */
  private offered(wanted: string): string | undefined {
    for (let tag = wanted; tag; tag = tag.slice(0, Math.max(0, tag.lastIndexOf("-")))) {
      const match = this.languages.find((one) => one === (ALIASES[tag] ?? tag));
      if (match) return match;
    }
    return this.languages.find((one) => one.split("-")[0] === wanted.split("-")[0]);
  }
}
