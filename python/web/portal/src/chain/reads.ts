/** What the page keeps asking the chain, by way of the wallet. */
import type { Contract } from "virtual:contracts";
import { useStore } from "@allium/ui";
import { useQuery } from "@tanstack/react-query";
import type { Address } from "viem";
import { config } from "../config";
import { Chain } from "../steps/chain";
import { type Connection, connection } from "../wallet/connection";
import type { Provider } from "../wallet/provider";
import { type Addresses, addresses, read } from "./contracts";
import { ofChain, type PotView } from "./pot";

/** The wallet, if it can be asked about the network's chain. */
export function useWallet(): (Connection & { account: Address }) | null {
  const now = useStore(connection);
  return now?.account && now.chain === config.chain.id ? { ...now, account: now.account } : null;
}

export const useAddresses = () =>
  useQuery({
    queryKey: ["addresses"],
    queryFn: addresses,
    refetchInterval: false,
    staleTime: Number.POSITIVE_INFINITY,
  });

/** Something of the chain that the wallet is on. */
export function useChain<T>(key: unknown[], ask: (provider: Provider, account: Address, at: Addresses) => Promise<T>) {
  const wallet = useWallet();
  const { data: at } = useAddresses();
  return useQuery({
    queryKey: ["chain", wallet?.wallet.id, wallet?.account, ...key],
    queryFn: () => ask(wallet?.wallet.provider as Provider, wallet?.account as Address, at as Addresses),
    enabled: Boolean(wallet && at),
    refetchInterval: 4_000,
    retry: 1,
  });
}

const call = <T>(provider: Provider, contract: Contract, address: Address, name: string, ...args: unknown[]) =>
  read<T>(provider, { contract, address, function: name, args });

export const useMoney = () =>
  useChain(["money"], async (provider, account, at) => ({
    sesh: await call<bigint>(provider, "SESH", at.SESH, "balanceOf", account),
    ether: await new Chain(provider).balance(account),
  }));

export interface OwnPart {
  pot: PotView;
  /** Of the account, or of the vesting contract that it acts for. */
  amount: bigint;
  since: number;
  delay: number;
  place: bigint;
  now: number;
  sesh: bigint;
  /** What lies in the contract beside the stakes. */
  held: bigint;
}

export const usePot = (address: Address, who: Address | null) =>
  useChain(["pot", address, who], async (provider, account, at): Promise<OwnPart> => {
    const own = who ?? account;
    const ask = <T>(name: string, ...args: unknown[]) =>
      call<T>(provider, "ServiceNodeContribution", address, name, ...args);
    const [pot, amount, since, delay, place, now, sesh, held] = await Promise.all([
      ofChain(provider, address),
      ask<bigint>("contributions", own),
      ask<bigint>("contributionTimestamp", own),
      ask<bigint>("WITHDRAWAL_DELAY"),
      ask<[bigint, boolean]>("reservedContributions", own),
      new Chain(provider).time(),
      call<bigint>(provider, "SESH", at.SESH, "balanceOf", own),
      call<bigint>(provider, "SESH", at.SESH, "balanceOf", address),
    ]);
    const kept = place[1] ? 0n : place[0];
    return { pot, amount, since: Number(since), delay: Number(delay), place: kept, now, sesh, held };
  });

export interface ClaimState {
  known: bigint;
  claimed: bigint;
  /** What the network pays in this cycle still, and when the next begins. */
  left: bigint;
  next: number;
  now: number;
  /** What the rewards contract holds, and what the pool owes it. */
  held: bigint;
  owed: bigint;
}

export const useClaim = (who: Address | null) =>
  useChain(["claim", who], async (provider, account, at): Promise<ClaimState> => {
    const ask = <T>(name: string, ...args: unknown[]) =>
      call<T>(provider, "ServiceNodeRewards", at.ServiceNodeRewards, name, ...args);
    const pool = <T>(name: string) => call<T>(provider, "RewardRatePool", at.RewardRatePool, name);
    const [[known, claimed], threshold, cycle, total, current, now, held, released, paid] = await Promise.all([
      ask<[bigint, bigint]>("recipients", who ?? account),
      ask<bigint>("claimThreshold"),
      ask<bigint>("claimCycle"),
      ask<bigint>("currentClaimTotal"),
      ask<bigint>("currentClaimCycle"),
      new Chain(provider).time(),
      call<bigint>(provider, "SESH", at.SESH, "balanceOf", at.ServiceNodeRewards),
      pool<bigint>("calculateReleasedAmount"),
      pool<bigint>("totalPaidOut"),
    ]);
    const number = BigInt(now) / cycle;
    const rest = threshold - (current === number ? total : 0n);
    const left = rest > 0n ? rest : 0n;
    return { known, claimed, left, next: Number((number + 1n) * cycle), now, held, owed: released - paid };
  });
