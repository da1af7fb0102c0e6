/** The wallet that is in use: whose account it shows, and on which chain it is. */
import { Store } from "@allium/ui";
import { type Address, getAddress, isAddress, numberToHex } from "viem";
import { problemOf } from "../chain/problem";
import { config } from "../config";
import { discover, type Wallet, wallets } from "./discovery";
import { chainNumber, codes } from "./provider";
import { REMOTE } from "./remote-id";

export interface Connection {
  wallet: Wallet;
  /** `null` while it is locked, or lets the page see none. */
  account: Address | null;
  chain: number | null;
}

const KEY = "wallet";
/** It does not know the chain. */
const UNKNOWN_CHAIN = 4902;

export const connection = new Store<Connection | null>(null);

const accountOf = (told: unknown): Address | null => {
  const [first] = Array.isArray(told) ? told : [];
  return typeof first === "string" && isAddress(first, { strict: false }) ? getAddress(first) : null;
};

let forget: (() => void) | null = null;

function follow(wallet: Wallet): void {
  forget?.();
  const change = (part: Partial<Connection>) => {
    const now = connection.get();
    if (now?.wallet === wallet) connection.set({ ...now, ...part });
  };
  const accounts = (told: never) => change({ account: accountOf(told) });
  const chain = (told: never) => change({ chain: chainNumber(told) });
  // It lost its own provider, and comes back by "connect".
  const gone = () => change({ chain: null });
  const back = (told: never) => change({ chain: chainNumber((told as { chainId?: unknown })?.chainId) });
  const listeners = { accountsChanged: accounts, chainChanged: chain, disconnect: gone, connect: back };
  for (const [event, listener] of Object.entries(listeners)) wallet.provider.on?.(event, listener);
  forget = () => {
    for (const [event, listener] of Object.entries(listeners)) wallet.provider.removeListener?.(event, listener);
  };
}

async function take(wallet: Wallet, accounts: unknown): Promise<void> {
  const chain = chainNumber(await wallet.provider.request({ method: "eth_chainId" }));
  connection.set({ wallet, account: accountOf(accounts), chain });
  follow(wallet);
}

/** Asks a wallet for its account. Rejects with a `Problem`. */
export async function connect(wallet: Wallet): Promise<void> {
  try {
    await take(wallet, await wallet.provider.request({ method: "eth_requestAccounts" }));
    localStorage.setItem(KEY, wallet.id);
  } catch (error) {
    throw problemOf(error);
  }
}

export function disconnect(): void {
  void connection
    .get()
    ?.wallet.leave?.()
    .catch(() => undefined);
  forget?.();
  forget = null;
  localStorage.removeItem(KEY);
  connection.set(null);
}

/** Looks at the wallet again: some do not tell when they are unlocked, or change the chain. */
export async function refresh(): Promise<void> {
  const now = connection.get();
  if (!now) return;
  const accounts = await now.wallet.provider.request({ method: "eth_accounts" });
  const chain = chainNumber(await now.wallet.provider.request({ method: "eth_chainId" }));
  const next = { ...now, account: accountOf(accounts), chain };
  if (next.account !== now.account || next.chain !== now.chain) connection.set(next);
}

/** Finds the wallets, and goes on with the one that was in use. It is asked for nothing that it would show. */
export function begin(): void {
  const resume = () => {
    const id = localStorage.getItem(KEY);
    const wallet = wallets.get().find((one) => one.id === id);
    if (!wallet || connection.get()) return;
    wallet.provider
      .request({ method: "eth_accounts" })
      .then((accounts) => take(wallet, accounts))
      .catch(() => undefined);
  };
  if (config.walletConnect && localStorage.getItem(KEY) === REMOTE)
    import("./walletconnect")
      .then((remote) => remote.resume(disconnect))
      .then(async (wallet) => wallet && take(wallet, await wallet.provider.request({ method: "eth_accounts" })))
      .catch(() => undefined);
  wallets.watch(resume);
  discover();
  window.addEventListener("focus", () => void refresh().catch(() => undefined));
}

/** Has the wallet change to the network's chain, which it is told of if it does not know it. */
export async function switchChain(): Promise<void> {
  const now = connection.get();
  if (!now) return;
  const { provider } = now.wallet;
  const chainId = numberToHex(config.chain.id);
  try {
    await provider.request({ method: "wallet_switchEthereumChain", params: [{ chainId }] });
  } catch (error) {
    if (!codes(error).includes(UNKNOWN_CHAIN)) throw problemOf(error);
    const { name, rpc, explorer } = config.chain;
    const currency = { name: "Ether", symbol: "ETH", decimals: 18 };
    const added = { chainId, chainName: name, rpcUrls: rpc, nativeCurrency: currency };
    try {
      await provider.request({
        method: "wallet_addEthereumChain",
        params: [explorer ? { ...added, blockExplorerUrls: [explorer] } : added],
      });
    } catch (refused) {
      throw problemOf(refused);
    }
  }
  await refresh();
}
