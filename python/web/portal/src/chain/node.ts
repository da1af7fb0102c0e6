/** How a node stands, as one says it (`spec/portal` §3.6). */
import type { Network, Stake } from "../api/types";

export type NodeState = "running" | "decommissioned" | "leaving" | "ready" | "deregistered";

export function stateOf(node: Stake, network: Network): NodeState {
  if (node.exit_type === "deregister") return "deregistered";
  if (node.exit_type === "exit") return "ready";
  if (node.requested_unlock_height) return node.requested_unlock_height > network.block_height ? "leaving" : "ready";
  return node.active ? "running" : "decommissioned";
}

/** Unix seconds at which the network reaches a height. */
export function whenHeight(height: number, network: Network): number {
  const each = (network.pulse_target_timestamp || network.block_timestamp) - network.block_timestamp;
  return network.block_timestamp + (height - network.block_height) * Math.max(1, each);
}
