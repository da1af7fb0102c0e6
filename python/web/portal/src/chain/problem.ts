/** What went wrong with a transaction, in words: of wallets, providers and contracts. */
import { errors } from "virtual:contracts";
import { decodeErrorResult, type Hex } from "viem";
import { BackendError } from "../api/client";
import { type Key, known, t, type Values } from "../i18n";
import { codes, layers } from "../wallet/provider";

export type Kind =
  | "rejected"
  | "busy"
  | "locked"
  | "chain"
  | "account"
  | "funds"
  | "revert"
  | "backend"
  | "wallet"
  | "lost";

const REJECTED = [4001, 5000];
const BUSY = -32002;
const LOCKED = [4100, 4900, 4901];
/** A provider says so in words only. */
const NO_FUNDS = /insufficient funds|gas required exceeds allowance \(0\)/i;
const DENIED = /user (rejected|denied|cancell?ed)|rejected by user/i;
const HEX = /0x[0-9a-fA-F]{8,}/;

export class Problem extends Error {
  constructor(
    readonly kind: Kind,
    message: string,
    /** The contract's error, by its name. */
    readonly error: string | null = null,
  ) {
    super(message);
  }
}

/** What a contract returned when it refused: some wallets wrap it, some have it in their message. */
function revertData(error: unknown): Hex | null {
  for (const { data, message } of layers(error)) {
    if (typeof data === "string" && /^0x([0-9a-fA-F]{8})/.test(data)) return data as Hex;
    // "Reverted 0x…": as some providers have it.
    const said = typeof data === "string" ? data : String(message ?? "");
    const hex = /revert/i.test(said) ? HEX.exec(said)?.[0] : undefined;
    if (hex && (hex.length - 2) % 64 === 8) return hex as Hex;
  }
  return null;
}

/** A contract's refusal, in words. */
export function described(data: Hex): Problem {
  try {
    const { errorName, args, abiItem } = decodeErrorResult({ abi: errors, data });
    if (errorName === "Error") return new Problem("revert", t("revert.said", { text: String(args?.[0]) }), errorName);
    const inputs = "inputs" in abiItem ? abiItem.inputs : [];
    const told = inputs.map(({ name }, place) => `${name} = ${said(args?.[place])}`).join(", ");
    const key = `revert.${errorName}`;
    const words = known(key) ? t(key as Key) : t("revert.unnamed");
    return new Problem("revert", `${words} [${errorName}${told && ` ${told}`}]`, errorName);
  } catch {
    return new Problem("revert", t("revert.unknown", { data: data.slice(0, 10) }));
  }
}

const said = (value: unknown): string =>
  typeof value === "object" && value !== null ? Object.values(value).map(said).join(" ") : String(value);

export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof BackendError) {
    const key: Key = error.status === 0 ? "problem.backend.away" : "problem.backend";
    return new Problem("backend", t(key, { text: error.message }));
  }
  const all = codes(error);
  const words = [...layers(error)].map(({ message }) => String(message ?? "")).find(Boolean) ?? String(error);
  if (all.some((code) => REJECTED.includes(code)) || DENIED.test(words))
    return new Problem("rejected", t("problem.rejected"));
  if (all.includes(BUSY)) return new Problem("busy", t("problem.busy"));
  if (all.some((code) => LOCKED.includes(code))) return new Problem("locked", t("problem.locked"));
  const data = revertData(error);
  if (data) return described(data);
  if (NO_FUNDS.test(words)) return new Problem("funds", t("problem.funds"));
  if (/revert/i.test(words)) return new Problem("revert", t("revert.silent"));
  return new Problem("wallet", t("problem.wallet", { text: words.slice(0, 200) } satisfies Values));
}
