/** What a wallet has against what it was asked, until it is asked again. */
import { Store } from "@allium/ui";
import { problemOf } from "../chain/problem";

export const walletTrouble = new Store<string>("");

/** Does something with the wallet; whether it did. */
export async function attempt(what: () => Promise<unknown>): Promise<boolean> {
  walletTrouble.set("");
  try {
    await what();
    return true;
  } catch (error) {
    walletTrouble.set(problemOf(error).message);
    return false;
  }
}
