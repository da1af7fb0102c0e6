/** What becomes of a transaction after it was sent: included, replaced, taken back, forgotten. */
import { type Address, type Hex, hexToBigInt, hexToNumber, isHex, numberToHex } from "viem";
import type { Provider } from "../wallet/provider";

export interface Receipt {
  status: Hex;
  blockNumber: Hex;
  blockHash: Hex;
  transactionHash: Hex;
  logs: { address: Address; topics: [Hex, ...Hex[]]; data: Hex }[];
}

export interface Transaction {
  hash: Hex;
  from: Address;
  to: Address | null;
  input: Hex;
  nonce: Hex;
  value: Hex;
}

interface Block {
  transactions: Transaction[];
}

/** Blocks that are looked through for what took a transaction's place. */
const MOST_BLOCKS = 500;

export class Chain {
  constructor(private readonly provider: Provider) {}

  private async ask<T>(method: string, ...params: unknown[]): Promise<T> {
    return (await this.provider.request({ method, params })) as T;
  }

  async height(): Promise<number> {
    return hexToNumber(await this.ask<Hex>("eth_blockNumber"));
  }

  /** Unix seconds of the newest block. */
  async time(): Promise<number> {
    return hexToNumber((await this.ask<{ timestamp: Hex }>("eth_getBlockByNumber", "latest", false)).timestamp);
  }

  async balance(who: Address): Promise<bigint> {
    return hexToBigInt(await this.ask<Hex>("eth_getBalance", who, "latest"));
  }

  /** How many transactions of an account there are; with those that wait if `pending`. */
  async nonce(who: Address, pending = false): Promise<number> {
    return hexToNumber(await this.ask<Hex>("eth_getTransactionCount", who, pending ? "pending" : "latest"));
  }

  receipt = (hash: Hex): Promise<Receipt | null> => this.ask("eth_getTransactionReceipt", hash);
  transaction = (hash: Hex): Promise<Transaction | null> => this.ask("eth_getTransactionByHash", hash);

  /** Rejects when the contract refuses. */
  async simulate(from: Address, to: Address, data: Hex): Promise<void> {
    await this.ask("eth_call", { from, to, data }, "latest");
  }

  async gas(from: Address, to: Address, data: Hex): Promise<{ gas: bigint; price: bigint }> {
    const gas = hexToBigInt(await this.ask<Hex>("eth_estimateGas", { from, to, data }));
    return { gas, price: hexToBigInt(await this.ask<Hex>("eth_gasPrice")) };
  }

  async send(from: Address, to: Address, data: Hex, gas: bigint): Promise<Hex> {
    const hash = await this.ask<Hex>("eth_sendTransaction", { from, to, data, value: "0x0", gas: numberToHex(gas) });
    if (!isHex(hash)) throw new Error("the wallet names no transaction");
    return hash;
  }

  /** The transaction of an account with a number, in the blocks since `from`. */
  async withNonce(who: Address, nonce: number, from: number): Promise<Transaction | null> {
    const top = await this.height();
    for (let at = top; at >= Math.max(from, top - MOST_BLOCKS); at--) {
      const block = await this.ask<Block | null>("eth_getBlockByNumber", numberToHex(at), true);
      const found = block?.transactions.find(
        (one) => one.from.toLowerCase() === who.toLowerCase() && hexToNumber(one.nonce) === nonce,
      );
      if (found) return found;
    }
    return null;
  }
}
