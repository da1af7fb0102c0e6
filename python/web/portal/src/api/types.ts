/** What the backend tells (`docs/operate/portal.md`). Whole numbers are numbers, or strings where that is not exact. */
import type { Address } from "viem";

export type Amount = number | string;

export interface Network {
  nettype: string;
  version: string;
  block_height: number;
  block_timestamp: number;
  pulse_target_timestamp: number;
  node_count: number;
  active_node_count: number;
  max_stakers: number;
  staking_requirement: Amount;
  min_operator_contribution: Amount;
  total_staked: Amount;
  l2_height: number;
  l2_height_timestamp: number;
}

export interface Told {
  network: Network;
  t: number;
}

export interface Stake {
  active: boolean;
  contract_id: number;
  contributors: { address: Address; beneficiary: Address; amount: Amount }[];
  deregistration_height: number | null;
  earned_downtime_blocks: number;
  exit_type: "deregister" | "exit" | null;
  last_uptime_proof: number;
  liquidation_height: number | null;
  operator_address: Address;
  operator_fee: number;
  pubkey_bls: string;
  pubkey_ed25519: string;
  registration_height: number;
  requested_unlock_height: number;
  service_node_pubkey: string;
  staking_requirement: Amount;
  total_contributed: Amount;
}

export interface PotPart {
  address: Address;
  beneficiary_address: Address | null;
  amount: Amount;
  reserved: Amount;
}

/** A contract that collects the stake of one node. */
export interface Pot {
  address: Address;
  service_node_pubkey: string;
  pubkey_bls: string | null;
  operator_address: Address;
  fee: number | null;
  manual_finalize: boolean;
  status: number;
  contributors: PotPart[];
}

export interface Vesting {
  address: Address;
  beneficiary: Address;
  time_start: number;
  time_end: number;
}

export interface Rewards {
  amount: Amount;
  lifetime_rewards: Amount;
  lifetime_locked_stakes: Amount;
  lifetime_unlocked_stakes: Amount;
  lifetime_liquidated_stakes: Amount;
  locked_stakes: Amount;
  timelocked_stakes: Amount;
  claimed_stakes: Amount;
  claimed_rewards: Amount;
}

export interface SignedRewards {
  amount: Amount;
  signature: string;
  non_signer_indices: number[];
}

export interface SignedLeave {
  bls_pubkey: string;
  timestamp: number;
  signature: string;
  non_signer_indices: number[];
}

export interface Day {
  block: number;
  lifetime_rewards: Amount;
  timestamp: number;
}

export interface Registration {
  operator: Address;
  pubkey_ed25519: string;
  pubkey_bls: string;
  sig_ed25519: string;
  sig_bls: string;
  timestamp: number;
}

/** What the faucet of a test network gives. */
export interface FaucetTerms {
  tokens: Amount;
  wei: Amount;
  seconds: number;
  coded: boolean;
}

export interface Granted {
  tokens: Amount;
  transactions: string[];
}

export interface Leader {
  rank: number;
  address: Address;
  lifetime_rewards: Amount;
  staked: Amount;
  nodes: number;
}

export interface ArbitrumInfo {
  block: number;
  timestamp: number;
  balance_reward_rate_pool: Amount;
  balance_service_node_rewards: Amount;
}
