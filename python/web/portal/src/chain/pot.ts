/** A contract that collects stakes, as the chain has it or as the backend tells it (`spec/contracts` §8). */
import { type Address, getAddress } from "viem";
import type { Network, Pot } from "../api/types";
import type { Provider } from "../wallet/provider";
import { big } from "./amount";
import { type Call, read } from "./contracts";

export const Status = { operator: 0, open: 1, full: 2, joined: 3 } as const;

export interface Part {
  address: Address;
  beneficiary: Address;
  amount: bigint;
}

export interface Place {
  address: Address;
  amount: bigint;
  received: boolean;
}

export interface PotView {
  address: Address;
  pubkey: string;
  operator: Address;
  status: number;
  requirement: bigint;
  total: bigint;
  /** Kept for others, who have not staked yet. */
  reserved: bigint;
  /** What a new contributor has to stake at least; `null` when there is nothing left for one. */
  minimum: bigint | null;
  fee: number;
  manual: boolean;
  parts: Part[];
  places: Place[];
  most: number;
}

/** What is left for anybody. */
export const remaining = (pot: PotView): bigint => pot.requirement - pot.total - pot.reserved;
export const slots = (pot: PotView): number =>
  Math.max(0, pot.most - pot.parts.length - pot.places.filter(({ received }) => !received).length);

const least = (rest: bigint, taken: number, most: number): bigint | null => {
  if (rest <= 0n || most <= taken) return null;
  const share = taken === 0 ? 4n : BigInt(most - taken);
  return (rest - 1n) / share + 1n;
};

function finish(pot: Omit<PotView, "minimum" | "total" | "reserved">): PotView {
  const total = pot.parts.reduce((sum, { amount }) => sum + amount, 0n);
  const waiting = pot.places.filter(({ received }) => !received);
  const reserved = waiting.reduce((sum, { amount }) => sum + amount, 0n);
  const minimum = least(pot.requirement - total - reserved, pot.parts.length + waiting.length, pot.most);
  return { ...pot, total, reserved, minimum };
}

export function ofBackend(pot: Pot, network: Network): PotView {
  const staked = pot.contributors.filter(({ amount }) => big(amount) > 0n);
  return finish({
    address: getAddress(pot.address),
    pubkey: pot.service_node_pubkey,
    operator: getAddress(pot.operator_address),
    status: pot.status,
    requirement: big(network.staking_requirement),
    fee: pot.fee ?? 0,
    manual: pot.manual_finalize,
    parts: staked.map((one) => ({
      address: getAddress(one.address),
      beneficiary: getAddress(one.beneficiary_address ?? one.address),
      amount: big(one.amount),
    })),
    places: pot.contributors
      .filter(({ reserved }) => big(reserved) > 0n)
      .map((one) => ({
        address: getAddress(one.address),
        amount: big(one.reserved),
        received: big(one.amount) > 0n,
      })),
    most: network.max_stakers,
  });
}

/** As the chain has it. Rejects with a `Problem`. */
export async function ofChain(provider: Provider, address: Address): Promise<PotView> {
  const ask = <T>(name: string) =>
    read<T>(provider, { contract: "ServiceNodeContribution", address, function: name, args: [] } satisfies Call);
  const [operator, status, requirement, most, manual, params, given, kept] = await Promise.all([
    ask<Address>("operator"),
    ask<number>("status"),
    ask<bigint>("stakingRequirement"),
    ask<bigint>("maxContributors"),
    ask<boolean>("manualFinalize"),
    ask<{ serviceNodePubkey: bigint; fee: number }>("serviceNodeParams"),
    ask<[Address[], Address[], bigint[]]>("getContributions"),
    ask<[Address[], bigint[], boolean[]]>("getReserved"),
  ]);
  const view = finish({
    address,
    pubkey: params.serviceNodePubkey.toString(16).padStart(64, "0"),
    operator,
    status,
    requirement,
    fee: params.fee,
    manual,
    parts: given[0].map((one, at) => ({
      address: one,
      beneficiary: given[1][at] ?? one,
      amount: given[2][at] ?? 0n,
    })),
    places: kept[0].map((one, at) => ({ address: one, amount: kept[1][at] ?? 0n, received: Boolean(kept[2][at]) })),
    most: Number(most),
  });
  const open = view.minimum !== null && view.status < Status.full;
  return open ? { ...view, minimum: await ask<bigint>("minimumContribution") } : view;
}
