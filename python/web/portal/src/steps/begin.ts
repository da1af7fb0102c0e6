/** Begins a job for the account in the wallet. */
import { config } from "../config";
import type { Key, Values } from "../i18n";
import { connection } from "../wallet/connection";
import { begin, type Step } from "./job";
import { run } from "./runner";

export function start(title: Key, values: Values, steps: Step[]): void {
  const account = connection.get()?.account;
  if (!account) return;
  const made = begin({ title, values, account, chain: config.chain.id }, steps);
  window.scrollTo(0, 0);
  void run(made.id);
}
