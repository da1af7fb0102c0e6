//! What whoever embeds the engine relies on.

#![allow(clippy::unwrap_used, clippy::panic)]

mod ports;

use std::{
    net::{Ipv4Addr, UdpSocket},
    path::Path,
    sync::{Arc, Mutex},
};

use allium_engine::{
    Answer, Call, Ed25519Secret, EncType, Engine, EngineBuilder, Identity, PROTOCOL_VERSION,
    onion::build::{Destination, Hop, build},
    swarm::{NodeInfo, Snapshot, SwarmId},
    types::{Ed25519PublicKey, LegacyPublicKey},
};
use ports::free_ports;
use serde_json::{Value, json};

/// An engine to be, and how others know it.
fn engine(directory: &Path, seed: u8, swarm: SwarmId) -> (EngineBuilder, NodeInfo) {
    let (https_port, omq_port) = free_ports();
    let identity = Identity::new(&[seed; 32], LegacyPublicKey([seed; 32]));
    let info = NodeInfo {
        legacy: identity.legacy,
        ed25519: identity.ed25519.public(),
        x25519: identity.x25519.public(),
        ip: Ipv4Addr::LOCALHOST,
        https_port,
        omq_port,
        swarm,
        version: PROTOCOL_VERSION,
        requested_unlock_height: 0,
    };
    let builder = Engine::builder(directory.join(seed.to_string()), identity);
    (builder.bind(Ipv4Addr::LOCALHOST.into(), https_port, omq_port).workers(1), info)
}

fn network(nodes: &[&NodeInfo]) -> Snapshot {
    Snapshot::new(1, String::new(), [19, 4], nodes.iter().map(|node| (*node).clone()).collect())
}

const fn hop(node: &NodeInfo) -> Hop {
    Hop { ed25519: node.ed25519, x25519: node.x25519 }
}

fn request(method: &str, params: Value) -> String {
    json!({"method": method, "params": params}).to_string()
}

fn store() -> String {
    let now = allium_engine::Clock::default().now().0;
    let params =
        json!({"pubkey": format!("05{}", "11".repeat(32)), "timestamp": now, "ttl": 86_400_000, "data": "aGk="});
    request("store", params)
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

/// A relay on a runtime of the embedder's, a node on threads of its own and a second network beside them: in one process.
#[test]
fn engines_share_a_process_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let lent = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (relay, relay_info) = engine(directory.path(), 1, SwarmId::UNASSIGNED);
    let (node, node_info) = engine(directory.path(), 2, SwarmId(7));
    let (other, other_info) = engine(directory.path(), 3, SwarmId(7));
    let relay = relay.without_store().runtime(lent.handle().clone()).start().unwrap();
    let node = node.start().unwrap();
    assert!(relay.store().is_none());
    lent.block_on(async {
        // Also inside a runtime, and without one handed in.
        let other = other.start().unwrap();
        assert!(relay.not_ready().unwrap().contains("not in the network"));
        let early = relay.onion(Vec::new()).await;
        assert_eq!(early.status, 503);
        for engine in [&relay, &node] {
            engine.set_network(network(&[&relay_info, &node_info]));
        }
        other.set_network(network(&[&other_info]));

        // Through the relay into the node's store, and not into that of the other network.
        let (payload, key) =
            build(&[hop(&relay_info)], &Destination::Node(hop(&node_info)), store().as_bytes(), EncType::AesGcm)
                .unwrap();
        let answer = relay.onion(payload.clone()).await;
        let plaintext = key.open(&answer.body, true).unwrap_or_else(|| panic!("{answer:?}"));
        assert_eq!(serde_json::from_slice::<Value>(&plaintext).unwrap()["status"], 200);
        let messages = [&relay, &node, &other].map(|engine| engine.stats().unwrap().store.messages);
        assert_eq!(messages, [0, 1, 0]);
        assert_eq!(node.store().unwrap().stats().unwrap().messages, 1);
        assert_eq!(other.onion(payload).await.status, 400, "opened with another node's key");

        // A relay says who keeps the messages.
        let elsewhere = relay.request(store()).await;
        assert_eq!((elsewhere.status, &json_of(&elsewhere)["swarm"]), (421, &json!("7")));
        // One that the network takes for a member says that it keeps nothing.
        relay.set_network(network(&[&NodeInfo { swarm: SwarmId(7), ..relay_info.clone() }]));
        assert_eq!(relay.request(store()).await.status, 503);
        assert!(other.network().by_ed25519(&relay_info.ed25519).is_none());
        other.close().await;
        relay.close().await;
    });
    node.shutdown();
    // Nothing of theirs goes on there.
    lent.block_on(async {
        while tokio::runtime::Handle::current().metrics().num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_failed_start_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let (first, info) = engine(directory.path(), 1, SwarmId(7));
    let (second, _) = engine(directory.path(), 2, SwarmId(7));
    // The port of QUIC, which is bound last.
    let taken = UdpSocket::bind(("127.0.0.1", info.omq_port)).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let error = first.start().err().unwrap().to_string();
        assert!(error.contains("QUIC"), "{error}");
        drop(taken);
        let (again, _) = engine(directory.path(), 1, SwarmId(7));
        let again = again.bind(Ipv4Addr::LOCALHOST.into(), info.https_port, info.omq_port).start().unwrap();
        let error = second.bind(Ipv4Addr::LOCALHOST.into(), info.https_port, info.omq_port).start().err().unwrap();
        assert!(error.to_string().contains("HTTPS"), "{error}");
        drop(again);
    });
}

#[test]
fn requests_are_handed_over_and_answered_later() {
    let directory = tempfile::tempdir().unwrap();
    let (builder, info) = engine(directory.path(), 1, SwarmId(7));
    let waiting: Arc<Mutex<Vec<Call>>> = Arc::default();
    let kept = Arc::clone(&waiting);
    let engine = builder
        .answers(["now", "later", "never", "info"], move |call: Call| match call.method() {
            "never" => drop(call),
            "later" => kept.lock().unwrap().push(call),
            method => {
                let body = json!({"method": method, "params": call.params(), "float": 1.5});
                call.answer(200, body);
            }
        })
        .start()
        .unwrap();
    engine.set_network(network(&[&info]));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let now = engine.request(request("now", json!({"a": [null]}))).await;
        assert_eq!(now.status, 200);
        assert_eq!(json_of(&now), json!({"method": "now", "params": {"a": [null]}, "float": 1.5}));
        // Also one that the protocol knows.
        assert_eq!(json_of(&engine.request(request("info", json!({}))).await)["method"], "info");
        let never = engine.request(request("never", json!({}))).await;
        assert_eq!((never.status, never.body.as_ref()), (500, b"The request was not answered".as_slice()));
        assert_eq!(engine.request(request("unknown", json!({}))).await.status, 400);
        let mut later = std::pin::pin!(engine.request(request("later", json!({}))));
        let answer = loop {
            let call = waiting.lock().unwrap().pop();
            if let Some(call) = call {
                std::thread::spawn(move || call.answer(403, "not for you".into()));
                break later.as_mut().await;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!((answer.status, answer.body.as_ref()), (403, b"not for you".as_slice()));
        engine.close().await;
    });
}

/// What examples and documentation call keys are what nodes call them.
#[test]
fn an_identity_has_the_key_of_its_seed() {
    let own = Ed25519Secret::from_seed(&[7; 32]);
    let identity = Identity::new(&[7; 32], LegacyPublicKey([1; 32]));
    assert_eq!(identity.ed25519.public(), Ed25519PublicKey(own.public().0));
    assert_eq!(identity.x25519.public(), own.x25519().public());
}
