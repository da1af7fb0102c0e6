/** Texts, numbers and times in the language that was chosen; a text that it lacks is English. */

import english from "virtual:catalogue/en";
import catalogues from "virtual:catalogues";
import { setupI18n } from "@lingui/core";
import type core from "../locales/core/en.json";
import type more from "../locales/more/en.json";

export type Key = keyof typeof core | keyof typeof more;
type Values = Record<string, string | number>;

const RIGHT_TO_LEFT = new Set(["ar", "fa", "he", "ur", "ps"]);
const i18n = setupI18n({ locale: "en", messages: { en: english } });

export const languages = Object.keys(catalogues);
export const share = (language: string): number => catalogues[language]?.share ?? 0;

export function t(key: Key, values?: Values): string {
  return i18n._(key, values);
}

export const language = (): string => i18n.locale;
export const direction = (of: string = i18n.locale): "ltr" | "rtl" =>
  RIGHT_TO_LEFT.has(of.split("-")[0] ?? "") ? "rtl" : "ltr";

/** The language's name in itself. */
export function nameOf(of: string): string {
  const name = new Intl.DisplayNames([of], { type: "language" }).of(of) ?? of;
  return name.charAt(0).toLocaleUpperCase(of) + name.slice(1);
}

/** The first of what the browser's user reads that there is. */
export function preferred(): string {
  for (const wanted of navigator.languages) {
    const base = wanted.split("-")[0] ?? wanted;
    const match = languages.find((one) => one === wanted) ?? languages.find((one) => one.split("-")[0] === base);
    if (match) return match;
  }
  return "en";
}

export async function activate(wanted: string): Promise<void> {
  const chosen = catalogues[wanted] ? wanted : "en";
  const own = chosen === "en" ? {} : (await catalogues[chosen]?.load())?.default;
  i18n.load(chosen, { ...english, ...own });
  i18n.activate(chosen);
  formats.clear();
  document.documentElement.lang = chosen;
  document.documentElement.dir = direction(chosen);
}

/** A country by its two letters. */
export function countryName(code: string): string {
  try {
    return new Intl.DisplayNames([i18n.locale], { type: "region" }).of(code) ?? code;
  } catch {
    return code;
  }
}

const formats = new Map<string, Intl.DateTimeFormat>();

function format(options: Intl.DateTimeFormatOptions, time: number): string {
  const key = JSON.stringify(options);
  let made = formats.get(key);
  if (!made) {
    made = new Intl.DateTimeFormat(i18n.locale, options);
    formats.set(key, made);
  }
  return made.format(time);
}

export const clock = (time: number): string => format({ hour: "numeric", minute: "2-digit" }, time);
export const moment = (time: number): string => format({ dateStyle: "full", timeStyle: "medium" }, time);

const DAY = 86_400_000;
const midnight = (time: number): number => new Date(time).setHours(0, 0, 0, 0);
export const sameDay = (one: number, other: number): boolean => midnight(one) === midnight(other);

/** A day as one says it: today, yesterday, a weekday, or the date. */
export function day(time: number): string {
  const days = Math.round((midnight(Date.now()) - midnight(time)) / DAY);
  if (days === 0) return t("chat.today");
  if (days === 1) return t("chat.yesterday");
  if (days > 1 && days < 7) return format({ weekday: "long" }, time);
  const thisYear = new Date(time).getFullYear() === new Date().getFullYear();
  return format(
    thisYear ? { day: "numeric", month: "long" } : { day: "numeric", month: "long", year: "numeric" },
    time,
  );
}

/** What fits into a row of the list. */
export function shortMoment(time: number): string {
  const days = Math.round((midnight(Date.now()) - midnight(time)) / DAY);
  if (days <= 0) return clock(time);
  if (days < 7) return format({ weekday: "short" }, time);
  return format({ day: "numeric", month: "numeric", year: "2-digit" }, time);
}

export function duration(seconds: number): string {
  if (seconds % 604_800 === 0) return t("timer.weeks", { count: seconds / 604_800 });
  if (seconds % 86_400 === 0) return t("timer.days", { count: seconds / 86_400 });
  if (seconds >= 3600) return t("timer.hours", { count: Math.round(seconds / 3600) });
  if (seconds >= 60) return t("timer.minutes", { count: Math.round(seconds / 60) });
  return t("timer.seconds", { count: Math.round(seconds) });
}

/** Minutes and seconds of a recording. */
export function length(seconds: number): string {
  const whole = Number.isFinite(seconds) ? Math.max(0, Math.round(seconds)) : 0;
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export function bytes(size: number): string {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  const step = size > 0 ? Math.min(3, Math.floor(Math.log10(size) / 3)) : 0;
  const options = { style: "unit", unit: units[step] ?? "byte", maximumFractionDigits: 1 } as const;
  return new Intl.NumberFormat(i18n.locale, { ...options, unitDisplay: step ? "short" : "long" }).format(
    size / 1000 ** step,
  );
}

export const number = (value: number): string => new Intl.NumberFormat(i18n.locale).format(value);
export const listed = (names: string[]): string =>
  new Intl.ListFormat(i18n.locale, { type: "conjunction" }).format(names);
