/** Texts, numbers and times in the language of the browser; a text that it lacks is English. */
import english from "virtual:catalogue/en";
import catalogues from "virtual:catalogues";
import { setupI18n } from "@lingui/core";
import type core from "../locales/core/en.json";
import type more from "../locales/more/en.json";

export type Key = keyof typeof core | keyof typeof more;
export type Values = Record<string, string | number>;

const i18n = setupI18n({ locale: "en", messages: { en: english } });

export const t = (key: Key, values?: Values): string => i18n._(key, values);
/** Whether there is such a text: of errors, whose names come from contracts. */
export const known = (key: string): key is Key => key in english;
export const locale = (): string => i18n.locale;

export async function begin(): Promise<void> {
  const languages = Object.keys(catalogues);
  const bases = navigator.languages.map((one) => one.split("-")[0] ?? one);
  const chosen = [...navigator.languages, ...bases].find((one) => languages.includes(one)) ?? "en";
  const own = chosen === "en" ? {} : (await catalogues[chosen]?.load())?.default;
  i18n.load(chosen, { ...english, ...own });
  i18n.activate(chosen);
  document.documentElement.lang = chosen;
}

export const number = (value: number): string => new Intl.NumberFormat(locale()).format(value);
/** A moment of Unix seconds. */
export const moment = (seconds: number): string =>
  new Intl.DateTimeFormat(locale(), { dateStyle: "medium", timeStyle: "short" }).format(seconds * 1000);
export const date = (seconds: number): string =>
  new Intl.DateTimeFormat(locale(), { day: "numeric", month: "short" }).format(seconds * 1000);

/** How long seconds are, in the two greatest of days, hours, minutes and seconds. */
export function duration(seconds: number): string {
  const left = Math.max(0, Math.ceil(seconds));
  const units = [
    ["day", Math.floor(left / 86_400)],
    ["hour", Math.floor(left / 3600) % 24],
    ["minute", Math.floor(left / 60) % 60],
    ["second", left % 60],
  ] as const;
  const first = Math.max(
    0,
    units.findIndex(([, count]) => count > 0),
  );
  const shown = units.slice(left ? first : 3, (left ? first : 3) + 2).filter(([, count], place) => count || !place);
  return shown
    .map(([unit, count]) => new Intl.NumberFormat(locale(), { style: "unit", unit, unitDisplay: "long" }).format(count))
    .join(" ");
}
