/** How a node stands, as one says it (`spec/portal` §3.6). */
import type { Network, Stake } from "../api/types";

export type NodeState = "running" | "decommissioned" | "leaving" | "ready" | "deregistered";

export function stateOf(node: Stake): NodeState {
  if (node.exit_type === "deregister") return "deregistered";
  if (node.exit_type === "exit") return "ready";
  // Its height may have come, and the network not have let it go yet: nobody signs for it until then.
  if (node.requested_unlock_height) return "leaving";
  return node.active ? "running" : "decommissioned";
}

/** Unix seconds at which the network reaches a height. */
export function whenHeight(height: number, network: Network): number {
  const each = (network.pulse_target_timestamp || network.block_timestamp) - network.block_timestamp;
  return network.block_timestamp + (height - network.block_height) * Math.max(1, each);
}
