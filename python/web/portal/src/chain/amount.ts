/** Amounts of SESH: whole atomic units, never floating point. */
import { locale } from "../i18n";

const DECIMALS = 9;
export const SESH = 10n ** BigInt(DECIMALS);
/** More than there can be. */
const MOST = 10n ** 9n * SESH;

/** A whole number as the API has it: a number, or a string of digits where a number would not be exact. */
export function big(value: number | string | bigint | null | undefined): bigint {
  return BigInt(value ?? 0);
}

/** The greater of two. */
export function greater(one: bigint, other: bigint): bigint {
  return one > other ? one : other;
}

/** Units with all their decimals, of which zeros at the end are left out; in the language's digits. */
function scaled(units: bigint, decimals: number): string {
  const one = 10n ** BigInt(decimals);
  const magnitude = units < 0n ? -units : units;
  const format = new Intl.NumberFormat(locale());
  const part = (magnitude % one).toString().padStart(decimals, "0").replace(/0+$/, "");
  const point = format.formatToParts(1.5).find(({ type }) => type === "decimal")?.value ?? ".";
  const digits = [...part].map((digit) => format.format(Number(digit))).join("");
  return `${units < 0n ? "−" : ""}${format.format(magnitude / one)}${part && point}${digits}`;
}

/** The first digits of scripts whose keyboards write others than 0 to 9: Arabic, Persian, Devanagari, Bengali. */
const ZEROS = [0x660, 0x6f0, 0x966, 0x9e6];

/** A number as somebody typed it, in the digits 0 to 9. A comma is no point: to some it parts thousands. */
const plain = (text: string): string =>
  text
    .trim()
    .replaceAll("٫", ".")
    .replace(/\p{Nd}/gu, (digit) => {
      const code = digit.codePointAt(0) ?? 0;
      const zero = ZEROS.find((first) => code >= first && code < first + 10);
      return zero === undefined ? digit : String(code - zero);
    });

export const sesh = (units: bigint): string => scaled(units, DECIMALS);

/** Wei as ether, to six digits that matter: it is for people to see what gas costs. */
export function ether(wei: bigint): string {
  const digits = wei.toString().length;
  const rough = digits > 4 ? (wei / 10n ** BigInt(digits - 4)) * 10n ** BigInt(digits - 4) : wei;
  return scaled(rough, 18);
}

/** What somebody typed, in atomic units; `null` for what is no amount above 0 with 9 decimals at most. */
export function atomic(text: string): bigint | null {
  const match = /^(\d{1,10})(?:\.(\d{0,9}))?$/.exec(plain(text));
  if (!match) return null;
  const units = BigInt(match[1] ?? "0") * SESH + BigInt((match[2] ?? "").padEnd(DECIMALS, "0"));
  return units > 0n && units <= MOST ? units : null;
}

/** As one types it. */
export function typed(units: bigint): string {
  const part = (units % SESH).toString().padStart(DECIMALS, "0").replace(/0+$/, "");
  return `${units / SESH}${part && "."}${part}`;
}

/** Hundredths of a percent, in percent. */
export const percent = (points: number): string =>
  new Intl.NumberFormat(locale(), { style: "percent", maximumFractionDigits: 2 }).format(points / 10_000);

/** Percent that somebody typed, in hundredths of it. */
export function basisPoints(text: string): number | null {
  const match = /^(\d{1,3})(?:\.(\d{0,2}))?$/.exec(plain(text));
  if (!match) return null;
  const points = Number(match[1]) * 100 + Number((match[2] ?? "").padEnd(2, "0"));
  return points <= 10_000 ? points : null;
}
