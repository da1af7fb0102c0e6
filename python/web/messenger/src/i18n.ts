/** Texts, numbers and times in the language that was chosen; a text that it lacks is English. */

import english from "virtual:catalogue/en";
import languages from "virtual:languages";
import { type Direction, Texts, type Values } from "@allium/ui";
import type core from "../locales/core/en.json";
import type more from "../locales/more/en.json";

export type Key = keyof typeof core | keyof typeof more;

const texts = new Texts<Key>(
  english,
  languages,
  async (of) => (await (await import("virtual:catalogues")).default[of]?.())?.default,
);

/** A text. */
export const t = (key: Key, values?: Values): string => texts.text(key, values);
export const language = (): string => texts.language;
export const direction = (of?: string): Direction => texts.direction(of);
/** The first of what the browser's user reads that there is. */
export const preferred = (): string => texts.preferred();

export async function activate(wanted: string): Promise<void> {
  await texts.activate(wanted);
  formats.clear();
  clocks.clear();
}

/** A country by its two letters. */
export function countryName(code: string): string {
  try {
    return new Intl.DisplayNames([language()], { type: "region" }).of(code) ?? code;
  } catch {
    return code;
  }
}

const formats = new Map<string, Intl.DateTimeFormat>();

function format(options: Intl.DateTimeFormatOptions, time: number): string {
  const key = JSON.stringify(options);
  let made = formats.get(key);
  if (!made) {
    made = new Intl.DateTimeFormat(texts.regional, options);
    formats.set(key, made);
  }
  return made.format(time);
}

const MINUTE = 60_000;
const MOST_CLOCKS = 5000;
const clocks = new Map<number, string>();

/** Every message has one, twice: they are written once for each minute. */
export function clock(time: number): string {
  const minute = Math.floor(time / MINUTE);
  let made = clocks.get(minute);
  if (made === undefined) {
    made = format({ hour: "numeric", minute: "2-digit" }, time);
    if (clocks.size >= MOST_CLOCKS) clocks.clear();
    clocks.set(minute, made);
  }
  return made;
}
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
  if (seconds % 604_800 === 0) return long(seconds / 604_800, "week");
  if (seconds % 86_400 === 0) return long(seconds / 86_400, "day");
  if (seconds >= 3600) return long(Math.round(seconds / 3600), "hour");
  if (seconds >= 60) return long(Math.round(seconds / 60), "minute");
  return long(Math.round(seconds), "second");
}

const long = (value: number, unit: string): string =>
  new Intl.NumberFormat(language(), { style: "unit", unit, unitDisplay: "long" }).format(value);

/** Minutes and seconds of a recording. */
export function length(seconds: number): string {
  const whole = Number.isFinite(seconds) ? Math.max(0, Math.round(seconds)) : 0;
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export function bytes(size: number): string {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  const step = size > 0 ? Math.min(3, Math.floor(Math.log10(size) / 3)) : 0;
  const options = { style: "unit", unit: units[step] ?? "byte", maximumFractionDigits: 1 } as const;
  return new Intl.NumberFormat(language(), { ...options, unitDisplay: step ? "short" : "long" }).format(
    size / 1000 ** step,
  );
}

export const number = (value: number): string => new Intl.NumberFormat(language()).format(value);
export const listed = (names: string[]): string =>
  new Intl.ListFormat(language(), { type: "conjunction" }).format(names);
