/** Asks the backend. */
import { config } from "../config";

/** What is waited for at most: signatures are collected from the whole network. */
const MILLISECONDS = 75_000;

export class BackendError extends Error {
  constructor(
    /** HTTP status; 0: it cannot be reached. */
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** JSON in which a whole number that a browser could not hold exactly stays its digits. */
export function parse(text: string): unknown {
  return JSON.parse(text, (_key, value, context?: { source?: string }) =>
    typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "")
      ? context?.source
      : value,
  );
}

export async function ask<T>(path: string, method: "GET" | "POST" = "GET", given?: object): Promise<T> {
  let answer: Response;
  let text: string;
  try {
    answer = await fetch(`${config.backend}${path}`, {
      method,
      signal: AbortSignal.timeout(MILLISECONDS),
      ...(given && { body: JSON.stringify(given) }),
    });
    text = await answer.text();
  } catch (error) {
    throw new BackendError(0, String(error));
  }
  let told: { error?: unknown };
  try {
    told = parse(text) as typeof told;
  } catch {
    throw new BackendError(answer.status, `HTTP ${answer.status}`);
  }
  if (!answer.ok) throw new BackendError(answer.status, String(told?.error ?? `HTTP ${answer.status}`).slice(0, 300));
  return told as T;
}
