/** A wallet's provider (EIP-1193), and what wallets make of it. */
export interface Provider {
  request(asked: { method: string; params?: readonly unknown[] | object }): Promise<unknown>;
  on?(event: string, listener: (told: never) => void): unknown;
  removeListener?(event: string, listener: (told: never) => void): unknown;
}

/** A chain's number, of wallets that tell it as hex, decimal, or a number. */
export function chainNumber(told: unknown): number | null {
  const text = typeof told === "string" ? told.trim() : told;
  const value = typeof text === "string" && text ? Number(text) : text;
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : null;
}

/** Everything an error may wrap, itself first: wallets put the reason in `data`, `cause`, `originalError`. */
export function* layers(error: unknown, depth = 0): Generator<Record<string, unknown>> {
  if (typeof error !== "object" || error === null || depth > 6) return;
  const layer = error as Record<string, unknown>;
  yield layer;
  for (const name of ["data", "cause", "originalError", "error", "info"]) yield* layers(layer[name], depth + 1);
}

/** All codes in an error, the innermost reason too. */
export function codes(error: unknown): number[] {
  return [...layers(error)].map(({ code }) => Number(code)).filter(Number.isSafeInteger);
}
