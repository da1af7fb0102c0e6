use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::{
    batch::Source,
    bencode::Bt,
    clock::Clock,
    crypto::{Ed25519Secret, EncType, Identity},
    onion::build::{Destination, Hop, build},
    swarm::{NodeInfo, Snapshot, SwarmId},
    transport::quic::{self, QuicClient, QuicError},
    types::{AccountId, Ed25519PublicKey, LegacyPublicKey},
};

fn free_ports(count: usize) -> Vec<u16> {
    // Held until all are known, so that no two are the same.
    let held: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

/// A node alone in its network, in a directory that must outlive it.
fn lone_node(directory: &std::path::Path) -> (Node, NodeInfo) {
    let ports = free_ports(2);
    let legacy = LegacyPublicKey([1; 32]);
    let identity = Identity::new(&[1; 32], legacy);
    let info = NodeInfo {
        legacy,
        ed25519: identity.ed25519.public(),
        x25519: identity.x25519.public(),
        ip: Ipv4Addr::LOCALHOST,
        https_port: ports[0],
        omq_port: ports[1],
        swarm: SwarmId(7),
        version: [2, 8, 0],
        requested_unlock_height: 0,
    };
    let mut config = NodeConfig::new(directory);
    config.bind_ip = Ipv4Addr::LOCALHOST.into();
    (config.https_port, config.omq_port) = (ports[0], ports[1]);
    let node = Node::start(&config, identity).unwrap();
    node.set_network(Snapshot::new(1, String::new(), [19, 4], vec![info.clone()]));
    (node, info)
}

#[test]
fn quic_serves_requests_onions_and_notifications() {
    const LIMIT: Duration = Duration::from_secs(20);
    let directory = tempfile::tempdir().unwrap();
    let (mut node, info) = lone_node(directory.path());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let endpoint = quic::client_endpoint((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = SocketAddr::new(info.ip.into(), info.omq_port);
        let own = Ed25519Secret::from_seed(&[9; 32]);
        let stranger = Ed25519PublicKey([3; 32]);
        let wrong = QuicClient::connect(&endpoint, address, stranger, &own, LIMIT).await;
        assert!(matches!(wrong, Err(QuicError::Connection(_))));
        let (client, mut pushes) = QuicClient::connect(&endpoint, address, info.ed25519, &own, LIMIT).await.unwrap();
        assert_eq!(client.request("snode_ping", b"", LIMIT).await.unwrap(), b"pong");

        let json: Value = serde_json::from_slice(&client.request("info", b"{}", LIMIT).await.unwrap()).unwrap();
        assert_eq!((&json[0], &json[1]["version"]), (&json!(200), &json!([2, 8, 0])));
        assert!(client.request("info", b"de", LIMIT).await.unwrap().starts_with(b"li200ed"));
        let refused = |error: Result<Vec<u8>, QuicError>| match error {
            Err(QuicError::Refused(body)) => String::from_utf8(body).unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(client.request("nope", b"{}", LIMIT).await), "Invalid endpoint 'nope'");
        let missing = "400 Bad Request\n\ninvalid request: Required field 'timestamp' missing";
        assert_eq!(refused(client.request("store", b"{}", LIMIT).await), missing);

        let user = Ed25519Secret::from_seed(&[5; 32]);
        let account = AccountId::new(AccountId::SESSION, user.x25519().public().0);
        let now = Clock::default().now().0;
        let signature = user.sign(format!("MONITOR{}{}10", account.hex(), now / 1000).as_bytes());
        let subscription = Bt::dict([
            ("P", user.public().0.as_slice().into()),
            ("d", Bt::Int(1)),
            ("n", Bt::List(vec![Bt::Int(0)])),
            ("s", signature.as_slice().into()),
            ("t", (now / 1000).into()),
        ]);
        let body = Bt::List(vec![subscription.clone(), Bt::dict([("x", Bt::Int(1))])]).encode();
        let answer = client.request("monitor", &body, LIMIT).await.unwrap();
        assert!(answer.starts_with(b"ld7:successi1eed7:errcodei1e5:error"), "{answer:?}");

        let params = json!({"pubkey": account.hex(), "timestamp": now, "ttl": 86_400_000, "data": "aGVsbG8="});
        let call = json!({"method": "store", "params": params}).to_string();
        let hop = Hop { ed25519: info.ed25519, x25519: info.x25519 };
        let (payload, key) = build(&[], &Destination::Node(hop), call.as_bytes(), EncType::XChaCha20).unwrap();
        let reply = client.request("onion_req", &payload, LIMIT).await.unwrap();
        let reply: Value = serde_json::from_slice(&key.open(&reply, true).unwrap()).unwrap();
        assert_eq!(reply["status"], 200);
        let Ok(Bt::Dict(pushed)) = Bt::parse(&pushes.recv().await.unwrap()) else { panic!("not a dict") };
        assert_eq!(pushed[b"@".as_slice()], Bt::Bytes(account.0.to_vec()));
        assert_eq!(pushed[b"~".as_slice()], Bt::Bytes(b"hello".to_vec()));
        assert!(
            refused(client.request("onion_req", b"x", LIMIT).await).starts_with("400 Bad Request\n\nError parsing")
        );

        assert_eq!(node.stats().unwrap().monitors, 1);
        client.write_raw(b"this is no frame").await.unwrap();
        let cut = client.request("snode_ping", b"", LIMIT).await;
        assert!(matches!(cut, Err(QuicError::Connection(_))), "{cut:?}");
        drop(client);
        while node.stats().unwrap().monitors > 0 {
            tokio::task::yield_now().await;
        }
    });
    node.shutdown();
}

/// What a client is owed that asks over QUIC and reads nothing is counted until it is gone, and bounded.
#[test]
fn answers_that_nobody_reads_over_quic() {
    const LIMIT: Duration = Duration::from_secs(20);
    let directory = tempfile::tempdir().unwrap();
    let (mut node, info) = lone_node(directory.path());
    let answers = node.context.memory.answers.clone();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let until = async |reached: &dyn Fn() -> bool| {
        let wait = async {
            while !reached() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, wait).await.unwrap();
    };
    runtime.block_on(async {
        let endpoint = quic::client_endpoint((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = SocketAddr::new(info.ip.into(), info.omq_port);
        let own = Ed25519Secret::from_seed(&[9; 32]);
        let (client, _pushes) = QuicClient::connect(&endpoint, address, info.ed25519, &own, LIMIT).await.unwrap();
        let user = Ed25519Secret::from_seed(&[5; 32]);
        let account = AccountId::new(AccountId::SESSION, user.x25519().public().0).hex();
        let now = Clock::default().now().0;
        for number in 0..70 {
            let data = base64_simd::STANDARD.encode_to_string([number; 76_000]);
            let params = json!({"pubkey": account, "timestamp": now, "ttl": 86_400_000, "data": data}).to_string();
            let stored = client.request("store", params.as_bytes(), LIMIT).await.unwrap();
            assert!(stored.starts_with(b"[200,"), "{stored:?}");
        }
        let signature = user.sign(format!("retrieve{now}").as_bytes());
        let params = json!({
            "pubkey": account, "pubkey_ed25519": hex::encode(user.public().0), "timestamp": now,
            "signature": base64_simd::STANDARD.encode_to_string(signature), "max_size": 7_800_000,
        });
        let params = Bytes::from(params.to_string());
        let answer = client.request("retrieve", &params, LIMIT).await.unwrap().len();
        assert!(answer > 5_000_000, "{answer}");
        until(&|| answers.used() == 0).await;
        let silent = client.ask_unread("retrieve", &params, 20).await.unwrap();
        // So many do not fit, and the rest is told so.
        until(&|| answers.refused() > 10).await;
        assert!(answers.used() > answer && answers.used() <= 24 << 20, "{}", answers.used());
        drop((silent, client));
        until(&|| answers.used() == 0).await;
    });
    node.shutdown();
}

/// Nodes of one swarm in one process, in directories that must outlive them.
fn nodes(directory: &std::path::Path, count: u8) -> (Vec<Node>, Vec<NodeInfo>) {
    let ports = free_ports(2 * usize::from(count));
    let (mut nodes, mut infos) = (Vec::new(), Vec::new());
    for (n, ports) in (0..count).zip(ports.as_chunks::<2>().0) {
        let legacy = LegacyPublicKey([n + 1; 32]);
        let identity = Identity::new(&[n + 1; 32], legacy);
        let [https_port, omq_port] = *ports;
        infos.push(NodeInfo {
            legacy,
            ed25519: identity.ed25519.public(),
            x25519: identity.x25519.public(),
            ip: Ipv4Addr::LOCALHOST,
            https_port,
            omq_port,
            swarm: SwarmId(7),
            version: [2, 8, 0],
            requested_unlock_height: 0,
        });
        let mut config = NodeConfig::new(directory.join(n.to_string()));
        config.bind_ip = Ipv4Addr::LOCALHOST.into();
        (config.https_port, config.omq_port) = (https_port, omq_port);
        nodes.push(Node::start(&config, identity).unwrap());
    }
    assert!(nodes[0].not_ready().unwrap().contains("not in any swarm"));
    for node in &nodes {
        node.set_network(Snapshot::new(1, String::new(), [19, 4], infos.clone()));
        assert_eq!(node.not_ready(), None);
    }
    (nodes, infos)
}

/// Two nodes that open a connection to each other at once keep one of them, and nobody who asks meanwhile is turned away.
#[test]
fn of_two_connections_one_goes_and_takes_no_request_along() {
    let directory = tempfile::tempdir().unwrap();
    let (mut nodes, infos) = nodes(directory.path(), 2);
    let hop = |info: &NodeInfo| Hop { ed25519: info.ed25519, x25519: info.x25519 };
    let infos = infos.into_iter().map(Arc::new).collect::<Vec<_>>();
    let opened = |node: &Node| node.context.quic_peers.connected() == 1;
    // Neither has heard of the other's by then.
    for (node, other) in [(&nodes[0], &infos[1]), (&nodes[1], &infos[0])] {
        let _inside = node.runtime().unwrap().enter();
        assert!(node.context.quic_peers.get(other).is_none());
    }
    while !nodes.iter().all(opened) {
        std::thread::yield_now();
    }
    let body = json!({"method": "info", "params": {}}).to_string();
    let until = std::time::Instant::now() + Duration::from_secs(1);
    let asking: Vec<_> = [(0, 1), (1, 0)]
        .into_iter()
        .flat_map(|(from, to)| {
            let node = &nodes[from];
            let path = ([hop(&infos[from])], Destination::Node(hop(&infos[to])));
            let (payload, _) = build(&path.0, &path.1, body.as_bytes(), EncType::AesGcm).unwrap();
            let handle = node.runtime().unwrap();
            (0..100).map(move |_| {
                let (context, payload) = (Arc::clone(&node.context), payload.clone());
                handle.spawn(async move {
                    let mut statuses = std::collections::BTreeMap::<u16, usize>::new();
                    while std::time::Instant::now() < until {
                        let slot = context.clients.take().unwrap();
                        let answer = context.onion.entry(payload.as_slice(), Source::new(), slot).await;
                        *statuses.entry(answer.status.as_u16()).or_default() += 1;
                    }
                    statuses
                })
            })
        })
        .collect();
    for asked in asking {
        let statuses = nodes[0].runtime().unwrap().block_on(asked).unwrap();
        assert!(statuses.keys().eq([&200]), "{statuses:?}");
    }
    assert!(nodes.iter().all(opened));
    nodes.iter_mut().for_each(Node::shutdown);
}

/// Three nodes in one process: over two relays into a store that reaches every member.
#[test]
fn a_store_over_three_hops_reaches_the_swarm() {
    let directory = tempfile::tempdir().unwrap();
    let (mut nodes, infos) = nodes(directory.path(), 3);
    let hops: Vec<Hop> = infos.iter().map(|info| Hop { ed25519: info.ed25519, x25519: info.x25519 }).collect();
    let account = AccountId::new(AccountId::SESSION, [9; 32]).hex();
    let timestamp = Clock::default().now().0;
    let params = json!({"pubkey": account, "timestamp": timestamp, "ttl": 86_400_000, "data": "aGVsbG8="});
    let body = json!({"method": "store", "params": params}).to_string();
    let onion = |node: &Node| {
        let (payload, key) = build(&hops[..2], &Destination::Node(hops[2]), body.as_bytes(), EncType::AesGcm).unwrap();
        let slot = node.context.clients.take().unwrap();
        let answer =
            node.runtime().unwrap().block_on(node.context.onion.entry(payload.as_slice(), Source::new(), slot));
        (answer, key)
    };
    let (answer, key) = onion(&nodes[0]);
    assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
    let answer: Value = serde_json::from_slice(&key.open(&answer.body, true).unwrap()).unwrap();
    assert_eq!(answer["status"], 200, "{answer}");
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    let swarm = body["swarm"].as_object().unwrap();
    assert_eq!(swarm.len(), 3);
    assert!(swarm.values().all(|entry| entry.get("failed").is_none()), "{body}");
    for node in &nodes {
        assert_eq!(node.stats().unwrap().store.messages, 1);
    }
    // By now, or soon, the nodes that spoke to each other have QUIC connections, which then carry the same.
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while nodes.iter().any(|node| node.stats().unwrap().quic_peers < 2) {
        assert!(std::time::Instant::now() < deadline, "no QUIC between nodes");
        let _ = onion(&nodes[0]);
        std::thread::yield_now();
    }
    let (answer, key) = onion(&nodes[0]);
    let answer: Value = serde_json::from_slice(&key.open(&answer.body, true).unwrap()).unwrap();
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert!(body["swarm"].as_object().unwrap().values().all(|entry| entry.get("failed").is_none()), "{body}");
    nodes[0].shutdown();
    assert!(nodes[0].not_ready().unwrap().contains("shutting down"));
}
