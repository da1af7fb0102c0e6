/** The contracts: where they are, and what they say, asked through the user's own wallet. */
import { abis, type Contract } from "virtual:contracts";
import { type Address, decodeFunctionResult, encodeFunctionData, getAddress, type Hex } from "viem";
import { ask } from "../api/client";
import { config } from "../config";
import type { Provider } from "../wallet/provider";
import { problemOf } from "./problem";

export interface Addresses {
  SESH: Address;
  RewardRatePool: Address;
  ServiceNodeRewards: Address;
  ServiceNodeContributionFactory: Address;
  FeeSplitter?: Address;
}

/** Session's own networks: a backend that names other contracts there is wrong, or wants somebody's money. */
const OFFICIAL: Record<number, Addresses> = {
  42161: {
    SESH: "0x10Ea9E5303670331Bdddfa66A4cEA47dae4fcF3b",
    RewardRatePool: "0x11f040E89dFAbBA9070FFE6145E914AC68DbFea0",
    ServiceNodeRewards: "0xC2B9fC251aC068763EbDfdecc792E3352E351c00",
    ServiceNodeContributionFactory: "0x8129bE2D5eF7ACd39483C19F28DE86b7EF19DBCA",
  },
  421614: {
    SESH: "0x7D7fD4E91834A96cD9Fb2369E7f4EB72383bbdEd",
    RewardRatePool: "0xaAD853fE7091728dac0DAa7b69990ee68abFC636",
    ServiceNodeRewards: "0x9d8aB00880CBBdc2Dcd29C179779469A82E7be35",
    ServiceNodeContributionFactory: "0x36Ee2Da54a7E727cC996A441826BBEdda6336B71",
  },
};

export class WrongContractsError extends Error {}

let found: Promise<Addresses> | null = null;

/** Where the contracts are, checksummed. Rejects with `WrongContractsError` when they are not Session's own. */
export function addresses(): Promise<Addresses> {
  found ??= (async () => {
    const { addresses: told } = await ask<{ addresses: Record<string, string> }>("/contract/addresses/core");
    const official = OFFICIAL[config.chain.id];
    const checked = Object.fromEntries(Object.entries(told).map(([name, place]) => [name, getAddress(place)]));
    for (const [name, place] of Object.entries(official ?? {}))
      if (checked[name] !== getAddress(place)) throw new WrongContractsError(name);
    return checked as unknown as Addresses;
  })().catch((error) => {
    found = null;
    throw error;
  });
  return found;
}

/** A function of a contract, and what it is given. */
export interface Call {
  contract: Contract;
  address: Address;
  function: string;
  args: readonly unknown[];
}

/** Functions that share a name are told apart by the number of arguments. */
const abiOf = ({ contract, function: name, args }: Call) =>
  abis[contract].filter(
    (entry) => entry.type !== "function" || entry.name !== name || entry.inputs.length === args.length,
  );

export const dataOf = (call: Call): Hex =>
  encodeFunctionData({ abi: abiOf(call), functionName: call.function, args: [...call.args] });

/** What a view function returns. Rejects with a `Problem`. */
export async function read<T>(provider: Provider, call: Call): Promise<T> {
  try {
    const data = (await provider.request({
      method: "eth_call",
      params: [{ to: call.address, data: dataOf(call) }, "latest"],
    })) as Hex;
    return decodeFunctionResult({ abi: abiOf(call), functionName: call.function, args: [...call.args], data }) as T;
  } catch (error) {
    throw problemOf(error);
  }
}
