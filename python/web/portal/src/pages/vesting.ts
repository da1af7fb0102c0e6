/** Vesting mode: for which vesting contract one acts, if for any. */
import { Store, useStore } from "@allium/ui";
import { type Address, getAddress, isAddress } from "viem";
import { read } from "../chain/contracts";
import { useChain } from "../chain/reads";
import { Chain } from "../steps/chain";

const KEY = "vesting";

const kept = (): Address | null => {
  const told = localStorage.getItem(KEY) ?? "";
  return isAddress(told) ? getAddress(told) : null;
};

const chosen = new Store<Address | null>(kept());

export function choose(address: Address | null): void {
  if (address) localStorage.setItem(KEY, address);
  else localStorage.removeItem(KEY);
  chosen.set(address);
}

export const useChosen = (): Address | null => useStore(chosen);

export interface Vested {
  address: Address;
  /** Whether the account in the wallet may act for it now. */
  mine: boolean;
  start: number;
  end: number;
  revoked: boolean;
  held: bigint;
  now: number;
}

/** What a vesting contract says of itself; an error for what is none of this network's. */
export const useVested = (address: Address | null) =>
  useChain(["vesting", address], async (provider, account, at): Promise<Vested | null> => {
    if (!address) return null;
    const ask = <T>(name: string) =>
      read<T>(provider, { contract: "TokenVestingStaking", address, function: name, args: [] });
    const [rewards, beneficiary, revoker, revoked, start, end, now, held] = await Promise.all([
      ask<Address>("rewardsContract"),
      ask<Address>("beneficiary"),
      ask<Address>("revoker"),
      ask<boolean>("revoked"),
      ask<bigint>("start"),
      ask<bigint>("end"),
      new Chain(provider).time(),
      read<bigint>(provider, { contract: "SESH", address: at.SESH, function: "balanceOf", args: [address] }),
    ]);
    if (rewards !== at.ServiceNodeRewards) return null;
    const mine = (revoked ? revoker : beneficiary) === account;
    return { address, mine, start: Number(start), end: Number(end), revoked, held, now };
  });

/** The vesting contract that one acts for; `null`: for oneself. */
export function useActing(): Address | null {
  const { data } = useVested(useChosen());
  return data?.mine ? data.address : null;
}
