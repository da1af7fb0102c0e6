/** What is known of the backend, asked again as the network goes on. */
import { QueryClient, useQuery } from "@tanstack/react-query";
import type { Address } from "viem";
import { ask, BackendError } from "./client";
import type { ArbitrumInfo, Day, FaucetTerms, Leader, Pot, Registration, Rewards, Stake, Told, Vesting } from "./types";

const EVERY = 5_000;

export const client = new QueryClient({
  defaultOptions: {
    queries: {
      refetchInterval: EVERY,
      staleTime: 2_000,
      // What is refused stays refused; it is asked again by itself anyway.
      retry: (count, error) => count < 1 && !(error instanceof BackendError && error.status >= 400),
    },
  },
});

function useAnswer<T>(path: string, enabled = true) {
  return useQuery({ queryKey: [path], queryFn: () => ask<T & Told>(path), enabled });
}

/** After a transaction: what is told may have changed. */
export const again = () => client.invalidateQueries();

export interface Stakes {
  stakes: Stake[];
  contracts: Pot[];
  vesting: Vesting[];
}

export const useInfo = () => useAnswer<object>("/info");
export const usePots = () => useAnswer<{ contracts: Pot[] }>("/contract/contribution");
export const useStakes = (who: Address | null) => useAnswer<Stakes>(`/stakes/${who}`, who !== null);
export const useNode = (key: string) => useAnswer<{ stakes: Stake[] }>(`/stakes/${key}`);
export const useRewards = (who: Address | null) => useAnswer<{ rewards: Rewards }>(`/rewards/${who}`, who !== null);
export const useDays = (who: Address | null) => useAnswer<{ rewards: Day[] }>(`/daily-rewards/${who}`, who !== null);
export const useArbitrum = () => useAnswer<{ info: ArbitrumInfo }>("/arbitrum-info");
export const useRegistrations = (key: string | null) =>
  useAnswer<{ registrations: Registration[] }>(`/registrations/${key}`, key !== null);
export const useFaucet = () => useAnswer<{ faucet: FaucetTerms | null }>("/faucet-info");
export const useLeaders = () => useAnswer<{ leaders: Leader[] }>("/leaders");
export const useBlsKeys = () => useAnswer<{ bls_keys: Record<string, number> }>("/nodes/bls");
export const useNodePot = (key: string) => useAnswer<{ contract: Pot | null }>(`/contract/contribution/${key}`);
