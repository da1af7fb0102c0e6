//! What the members of a swarm do of a request, and what they answer.

use futures_util::FutureExt as _;

use super::*;
use crate::store::Hint;

#[tokio::test]
async fn a_store_is_confirmed_by_every_member() {
    let net = fixture(3);
    let params = json!({
        "pubkey": user().1.hex(), "timestamp": net.now().to_string(), "ttl": "60000", "data": base64(b"hello world"),
    });
    let (status, body) = net.call("store", params.clone()).await;
    assert_eq!((status, body["hash"].as_str()), (200, Some(H0)));
    assert_eq!(body["hf"], json!([19, 4]));
    let swarm = &body["swarm"];
    assert_eq!(swarm.as_object().unwrap().len(), 3);
    all_sign(swarm, H0);
    // `spec/node-tests` §4: the answer of node N to a store of H0.
    let own = &swarm["174553b456dddfc6908ecab1c101fe6ab21e2baa0617795b7d43a63482993fd5"];
    let signature = base64_simd::STANDARD.decode_to_vec(own["signature"].as_str().unwrap()).unwrap();
    assert!(hex::encode(signature).starts_with("c26fcec344dc5a5603bda12dec2dd28d"));
    assert!(own["t"].is_u64() && own.get("already").is_none());
    let (_, again) = net.call("store", params).await;
    let already: Vec<_> = again["swarm"].as_object().unwrap().values().map(|entry| entry["already"].clone()).collect();
    assert!(already.contains(&json!(true)) && already.contains(&json!(1)), "{already:?}");
    assert_eq!(net.hashes().await, [H0]);
}

#[tokio::test]
async fn a_silent_member_is_marked() {
    let net = fixture(3);
    let gone = *net.swarm.0.lock().keys().find(|key| **key != net.nodes[0].own).unwrap();
    net.swarm.0.lock().remove(&gone);
    let params = json!({"pubkey": user().1.hex(), "timestamp": net.now(), "ttl": 60_000, "data": ""});
    let (status, body) = net.call("store", params).await;
    assert_eq!(status, 200);
    assert_eq!(body["swarm"][gone.to_string()], json!({"failed": true, "timeout": true}));
}

/// A transfer to it has what was stored before it came; everybody tells it of what they are told after.
#[tokio::test]
async fn who_joins_while_a_request_is_under_way_is_told_of_it() {
    let net = fixture(3);
    let network = Arc::clone(&net.nodes[0].parts.network);
    let infos: Vec<NodeInfo> = network.load().nodes().iter().map(|info| NodeInfo::clone(info)).collect();
    let [_, replica, newcomer] = [0, 1, 2].map(|n| infos[n].ed25519);
    let alone = |count: usize| Snapshot::new(1, String::new(), [19, 4], infos[..count].to_vec());
    let redelivery = &net.nodes[0].storage().redelivery;
    let owed = || net.nodes[0].storage().store.hints(&newcomer, 9).unwrap();
    network.replace(alone(2));
    let hash = net.store(b"before").await;
    assert_eq!(owed(), []);
    for command in [false, true] {
        let (network, joined) = (Arc::clone(&network), alone(3));
        network.replace(alone(2));
        *net.swarm.2.lock() = Some(Box::new(move || network.replace(joined)));
        if command {
            net.call("delete", net.signed(&format!("delete{hash}"), json!({"messages": [hash]}))).await;
        } else {
            net.store(b"meanwhile").await;
        }
        assert!(redelivery.is_behind(&newcomer) && !redelivery.is_behind(&replica));
    }
    let kinds: Vec<bool> = owed().iter().map(|(_, missed)| matches!(missed, Hint::Command(_))).collect();
    assert_eq!(kinds, [false, true]);
}

#[tokio::test]
async fn another_swarms_account_is_misdirected() {
    let net = fixture(2);
    let network = &net.nodes[0].parts.network;
    let current = network.load();
    let mut infos: Vec<NodeInfo> = current.nodes().iter().map(|node| NodeInfo::clone(node)).collect();
    infos[0].swarm = SwarmId(crate::swarm::position(&user().1) ^ (1 << 63));
    infos[1].swarm = SwarmId(crate::swarm::position(&user().1));
    network.replace(Snapshot::new(2, String::new(), [19, 4], infos.clone()));
    let params = json!({"pubkey": user().1.hex(), "timestamp": net.now(), "ttl": 60_000, "data": ""});
    let (status, body) = net.call("store", params).await;
    assert_eq!(status, 421);
    assert_eq!(body["snodes"][0]["pubkey_ed25519"], infos[1].ed25519.to_string());
    assert_eq!(body["swarm"], infos[1].swarm.to_string());
    assert!(body["t"].is_u64() && body["hf"] == json!([19, 4]));
}

/// A client that hangs up at any moment leaves the swarm in one state.
#[tokio::test]
async fn who_hangs_up_leaves_nothing_half_done() {
    let net = fixture(3);
    let (_, account) = user();
    for n in 0..50_u8 {
        let params = serde_json::json!({"pubkey": account.hex(), "timestamp": net.now(), "ttl": 86_400_000_u64,
            "data": base64(&[n; 100])});
        let body = serde_json::json!({"method": "store", "params": params}).to_string();
        let node = Arc::clone(&net.nodes[0]);
        let mut call = Box::pin(async move { node.call_json(body.as_bytes(), Via::Https, ()).await });
        for _ in 0..n % 5 {
            if call.as_mut().now_or_never().is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(call);
    }
    net.nodes[0].written(std::time::Duration::from_secs(10)).await;
    let counts: Vec<u64> = net.nodes.iter().map(|node| node.storage().store.stats().unwrap().messages).collect();
    // Those that were dropped before they began are nowhere.
    assert_eq!(counts, [40; 3]);
    assert!(net.nodes[0].storage().store.take_unreplicated().is_empty());
}
