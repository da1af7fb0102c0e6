//! The list of nodes in the form that the network's daemon answers (`spec/client-network` §1, `spec/swarms` §6).

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::snapshot::{NodeInfo, Snapshot};

/// The fields that a request may choose from, per node.
fn state(snapshot: &Snapshot, node: &NodeInfo) -> Map<String, Value> {
    let state = json!({
        "active": node.is_active(),
        "block_hash": snapshot.block_hash,
        "funded": true,
        "hardfork": snapshot.hardfork[0],
        "height": snapshot.height,
        "pubkey_ed25519": node.ed25519.to_string(),
        "pubkey_x25519": node.x25519.to_string(),
        "public_ip": node.ip.to_string(),
        "requested_unlock_height": node.requested_unlock_height,
        "service_node_pubkey": node.legacy.to_string(),
        "snode_revision": snapshot.hardfork[1],
        "storage_lmq_port": node.omq_port,
        "storage_port": node.https_port,
        "storage_server_version": node.version,
        "swarm_id": node.swarm.0,
    });
    match state {
        Value::Object(state) => state,
        _ => Map::new(),
    }
}

/// The answer to `get_service_nodes` and `get_n_service_nodes`. `params` may hold `fields` (names, or an object of
/// booleans; all when absent), `active_only` and `limit`.
#[must_use]
pub fn service_nodes(snapshot: &Snapshot, params: &Value) -> Value {
    let chosen: Option<HashSet<&str>> = match params.get("fields") {
        Some(Value::Array(names)) => Some(names.iter().filter_map(Value::as_str).collect()),
        Some(Value::Object(fields)) => {
            let chosen = fields.iter().filter(|(_, chosen)| **chosen == Value::Bool(true));
            Some(chosen.map(|(name, _)| name.as_str()).collect())
        }
        _ => None,
    };
    let wanted = |name: &str| chosen.as_ref().is_none_or(|chosen| chosen.contains(name) || chosen.contains("all"));
    let active_only = params.get("active_only").and_then(Value::as_bool).unwrap_or(false);
    let limit = params.get("limit").and_then(Value::as_u64).filter(|limit| *limit > 0);
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let states: Vec<Value> = snapshot
        .nodes()
        .iter()
        .filter(|node| node.is_active() || !active_only)
        .take(limit)
        .map(|node| {
            let mut state = state(snapshot, node);
            state.retain(|name, _| wanted(name));
            Value::Object(state)
        })
        .collect();
    json!({
        "block_hash": snapshot.block_hash,
        "hardfork": snapshot.hardfork[0],
        "height": snapshot.height,
        "service_node_states": states,
        "snode_revision": snapshot.hardfork[1],
        "status": "OK",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        swarm::SwarmId,
        types::{Ed25519PublicKey, LegacyPublicKey, X25519PublicKey},
    };

    #[test]
    fn fields_as_names_or_as_booleans() {
        let node = |n: u8, swarm| NodeInfo {
            legacy: LegacyPublicKey([n; 32]),
            ed25519: Ed25519PublicKey([n; 32]),
            x25519: X25519PublicKey([n; 32]),
            ip: [127, 0, 0, 1].into(),
            https_port: 22021,
            omq_port: 22020,
            swarm,
            version: [2, 8, 0],
            requested_unlock_height: 0,
        };
        let nodes = vec![node(1, SwarmId(7)), node(2, SwarmId::UNASSIGNED), node(3, SwarmId(u64::MAX - 1))];
        let snapshot = Snapshot::new(5, "00".repeat(32), [19, 4], nodes);
        let want = json!([{"swarm_id": 7_u64}, {"swarm_id": u64::MAX - 1}]);
        for fields in [json!(["swarm_id"]), json!({"swarm_id": true, "height": false})] {
            let answer = service_nodes(&snapshot, &json!({"active_only": true, "fields": fields}));
            assert_eq!(answer["service_node_states"], want);
            assert_eq!(answer["height"], 5);
        }
        let all = service_nodes(&snapshot, &json!({"limit": 1}));
        assert_eq!(all["service_node_states"][0]["requested_unlock_height"], 0);
        assert_eq!(all["service_node_states"].as_array().unwrap().len(), 1);
    }
}
