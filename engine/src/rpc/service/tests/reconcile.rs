//! Members that compare what they hold.

use super::*;
use crate::store::NewMessage;

/// Two members that never told each other anything end with the same: what was stored, deleted, shortened and revoked.
#[tokio::test]
async fn members_that_compare_are_alike() {
    let net = fixture(2);
    let both = std::mem::take(&mut *net.swarm.0.lock());
    // Each takes requests of its own while the other is away.
    let shared = net.store(b"shared").await;
    let [gone, short] = [net.store(b"gone").await, net.store(b"short").await];
    net.swarm.0.lock().clone_from(&both);
    assert_eq!(net.compare(0, 1).await.given, 3);
    assert_eq!(net.held(0), net.held(1));
    net.swarm.0.lock().clear();
    let now = net.now();
    let soon = now + 10_800_000;
    net.call("delete", net.signed(&format!("delete{gone}"), json!({"messages": [gone.clone()]}))).await;
    let text = format!("expireshorten{soon}{short}");
    net.call("expire", net.signed(&text, json!({"messages": [short.clone()], "expiry": soon, "shorten": true}))).await;
    let tokens = net.signed(&format!("revoke_subaccount{now}"), json!({"timestamp": now, "revoke": "03".repeat(36)}));
    let (secret, _) = user();
    let signed = [format!("revoke_subaccount{now}").as_bytes(), &[3; 36]].concat();
    let mut tokens = tokens;
    tokens["signature"] = base64(&secret.sign(&signed)).into();
    assert_eq!(net.call("revoke_subaccount", tokens).await.0, 200);
    // The other takes something too, and hears of all of it when the signatures are long too old.
    let data = json!({"pubkey": user().1.hex(), "timestamp": now, "ttl": 86_400_000, "data": base64(b"elsewhere")});
    let body = json!({"method": "store", "params": data}).to_string();
    assert_eq!(net.nodes[1].call_json(body.as_bytes(), Via::Https, ()).await.status, Status::OK);
    net.clock.set_offset(7_200_000);
    net.swarm.0.lock().clone_from(&both);
    let Compared { given, taken, .. } = net.compare(1, 0).await;
    // Three commands and the message that was shortened come; what the other had goes.
    assert!(taken >= 3 && given >= 1, "{given} {taken}");
    net.compare(1, 0).await;
    assert_eq!(net.held(0), net.held(1));
    let names: Vec<String> = net.held(1).into_iter().map(|(name, _)| name).collect();
    assert!(names.contains(&shared) && !names.contains(&gone) && names.len() == 3);
    assert!(net.held(1).contains(&(short, Millis(soon))));
    assert!(net.nodes[1].storage().store.is_revoked(&user().1, &[3; 36]).unwrap());
    // Nothing is left to say.
    let Compared { given, taken, .. } = net.compare(0, 1).await;
    assert_eq!((given, taken), (0, 0));
}

/// What one member alone has reaches all of them when a third has left, and when another hears of it from it.
#[tokio::test]
async fn what_one_has_alone_reaches_all() {
    let net = fixture(4);
    let network = Arc::clone(&net.nodes[0].parts.network);
    let members: Vec<NodeInfo> = network.load().nodes().iter().map(|node| NodeInfo::clone(node)).collect();
    let reconcilers: Vec<_> = net.nodes.iter().map(|node| Arc::clone(&net.swarm.1.lock()[&node.own])).collect();
    let hour_ago = Millis(net.now() - 3_600_000);
    let message = |data: &[u8], at: Millis| {
        let (account, namespace, expiry) = (user().1, Namespace(0), at.plus(86_400_000));
        let hash = MessageHash::of(&account, namespace, data);
        NewMessage { account, namespace, hash, timestamp: at, expiry, stored: at, changed: at, data: data.to_vec() }
    };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
    let have = async |nodes: &[usize], count: usize| {
        while nodes.iter().any(|node| net.held(*node).len() != count) {
            assert!(tokio::time::Instant::now() < deadline, "never at all of {nodes:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let put = async |node: usize, message| net.nodes[node].storage().store.receive(vec![message]).await.unwrap();
    // Each compares with all when it begins. What may still be on its way is no reason to do so again.
    put(3, message(b"first", Millis(net.now()))).await;
    let running: Vec<_> = reconcilers.iter().map(|one| tokio::spawn(Arc::clone(one).run())).collect();
    have(&[0, 1, 2, 3], 1).await;
    // The last has told one of a change, and is gone; its message is as young as that of a request under way.
    put(0, message(b"from who left", Millis(net.now()))).await;
    network.replace(Snapshot::new(2, String::new(), [19, 4], members[..3].to_vec()));
    reconcilers.iter().for_each(|one| one.network_changed());
    have(&[0, 1, 2], 2).await;
    // One hears of something old from another, and passes on what the third cannot know.
    put(0, message(b"old", hour_ago)).await;
    // It is asked again while the other is busy.
    reconcilers[1].want(net.nodes[0].own);
    have(&[0, 1, 2], 3).await;
    running.iter().for_each(tokio::task::JoinHandle::abort);
}

/// What a comparison has brought is looked for at others, unless it may be on its way to them still.
#[tokio::test]
async fn what_one_hears_of_late_it_looks_for_at_others() {
    let net = fixture(3);
    let reconciler = Arc::clone(&net.swarm.1.lock()[&net.nodes[1].own]);
    for (data, age, passed_on) in [(b"young", 0, false), (b"older", 3_600_000, true)] {
        let (account, namespace, at) = (user().1, Namespace(0), Millis(net.now() - age));
        let (hash, data, expiry) = (MessageHash::of(&account, namespace, data), data.to_vec(), at.plus(86_400_000));
        let message = NewMessage { account, namespace, hash, timestamp: at, expiry, stored: at, changed: at, data };
        net.nodes[0].storage().store.receive(vec![message]).await.unwrap();
        assert_eq!(net.compare(1, 0).await.taken, 1);
        assert_eq!(reconciler.has_plans(), passed_on, "{age}");
    }
}

/// `make test-rust` prints what it costs: 100 of 100,000 messages differ.
#[tokio::test]
async fn comparing_costs_what_differs() {
    const ALL: u32 = 100_000;
    let net = fixture(2);
    let now = net.now();
    let message = |n: u32| {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&n.wrapping_mul(2_654_435_761).to_be_bytes());
        let account = AccountId::new(5, key);
        let (data, time) = (n.to_be_bytes().to_vec(), Millis(now - 3_600_000 + u64::from(n) * 36));
        let hash = MessageHash::of(&account, Namespace(0), &data);
        let (timestamp, expiry, stored, changed) = (time, Millis(now + 86_400_000), time, time);
        NewMessage { account, namespace: Namespace(0), hash, timestamp, expiry, stored, changed, data }
    };
    for (node, missing) in [(0, 0), (1, 50)] {
        // Every 2000th is missing on one or on the other.
        let has = |n: &u32| (n % 2000) != missing * 20;
        let messages: Vec<NewMessage> = (0..ALL).filter(has).map(message).collect();
        for some in messages.chunks(10_000) {
            net.nodes[node].storage().store.receive(some.to_vec()).await.unwrap();
        }
    }
    let began = std::time::Instant::now();
    let Compared { given, taken, bytes } = net.compare(0, 1).await;
    let took = began.elapsed();
    println!(
        "100 of 100,000 messages differ: {bytes} bytes of comparing in {took:?} (their ids alone: {} bytes)",
        ALL * 32
    );
    assert_eq!((given, taken), (50, 50));
    assert!(bytes < u64::from(ALL) * 32 / 20, "{bytes}");
    for node in [0, 1] {
        assert_eq!(net.nodes[node].storage().store.stats().unwrap().messages, u64::from(ALL));
    }
}
