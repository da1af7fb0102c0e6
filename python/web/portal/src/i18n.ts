/** Texts, numbers and times in the language that was chosen, else in the browser's; a text that it lacks is English. */
import english from "virtual:catalogue/en";
import languages from "virtual:languages";
import { Store, Texts, type Values } from "@allium/ui";
import type core from "../locales/core/en.json";
import type more from "../locales/more/en.json";

export type { Values };
export type Key = keyof typeof core | keyof typeof more;

const KEY = "language";
const texts = new Texts<Key>(
  english,
  languages,
  async (of) => (await (await import("virtual:catalogues")).default[of]?.())?.default,
);

export const t = (key: Key, values?: Values): string => texts.text(key, values);
/** Whether there is such a text: of errors, whose names come from contracts. */
export const known = (key: string): key is Key => texts.has(key);
export const locale = (): string => texts.language;
/** What all that is drawn is in. */
export const language = new Store(locale());

async function read(wanted: string): Promise<void> {
  await texts.activate(wanted);
  language.set(locale());
}

export async function begin(): Promise<void> {
  await read(localStorage.getItem(KEY) ?? texts.preferred());
}

/** Its texts are there before anything is drawn in it. */
export async function choose(wanted: string): Promise<void> {
  await read(wanted);
  localStorage.setItem(KEY, wanted);
}

export const number = (value: number): string => new Intl.NumberFormat(locale()).format(value);
/** A moment of Unix seconds. */
export const moment = (seconds: number): string =>
  new Intl.DateTimeFormat(texts.regional, { dateStyle: "medium", timeStyle: "short" }).format(seconds * 1000);
export const date = (seconds: number): string =>
  new Intl.DateTimeFormat(texts.regional, { day: "numeric", month: "short" }).format(seconds * 1000);

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
