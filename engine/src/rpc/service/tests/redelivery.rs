//! What a member has missed, it is told later.

use super::*;

/// What a member misses, it is told when it is back: in order, and without the client.
#[tokio::test]
async fn a_member_that_was_away_catches_up() {
    let net = fixture(3);
    let away = Arc::clone(&net.nodes[2]);
    net.swarm.0.lock().remove(&away.own);
    let key = away.own.to_string();
    let first = net.store(b"first").await;
    let second = net.store(b"second").await;
    let params = net.signed(&format!("delete{first}"), json!({"messages": [first.clone()]}));
    let (_, body) = net.call("delete", params).await;
    assert_eq!(body["swarm"][&key], json!({"failed": true, "timeout": true}));
    let redelivery = &net.nodes[0].storage().redelivery;
    assert!(redelivery.is_behind(&away.own) && redelivery.members_behind() == 1);
    let running = tokio::spawn(Arc::clone(redelivery).run(|_| ()));
    net.swarm.0.lock().insert(away.own, Arc::clone(&away));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while redelivery.is_behind(&away.own) {
        assert!(tokio::time::Instant::now() < deadline, "never caught up");
        tokio::task::yield_now().await;
    }
    let hashes = [&first, &second].map(|text| MessageHash::from_text(text).unwrap());
    let wanted = hashes.map(|hash| (user().1, hash));
    let held: Vec<_> =
        away.storage().store.messages(&wanted).unwrap().into_iter().map(|message| message.hash).collect();
    assert_eq!(held, [hashes[1]]);
    // In its place again, it is asked like the others.
    let params = json!({"pubkey": user().1.hex(), "timestamp": net.now(), "ttl": 60_000, "data": base64(b"third")});
    let (_, body) = net.call("store", params).await;
    assert!(body["swarm"][&key].get("failed").is_none(), "{body}");
    running.abort();
}

/// A member that has not heard yet that it is one refuses, and is told again.
#[tokio::test]
async fn a_member_that_does_not_know_it_yet_misses_nothing() {
    let (net, late) = (fixture(3), fixture(3));
    let away = Arc::clone(&late.nodes[2]);
    let network = &away.parts.network;
    let members: Vec<NodeInfo> = network.load().nodes().iter().map(|node| NodeInfo::clone(node)).collect();
    let mut before = members.clone();
    before[2].swarm = SwarmId::UNASSIGNED;
    assert_eq!(before[2].ed25519, away.own);
    network.replace(Snapshot::new(2, String::new(), [19, 4], before));
    net.swarm.0.lock().insert(away.own, Arc::clone(&away));
    let first = net.store(b"first").await;
    let redelivery = &net.nodes[0].storage().redelivery;
    assert!(redelivery.is_behind(&away.own));
    let second = net.store(b"second").await;
    let params = net.signed(&format!("delete{first}"), json!({"messages": [first.clone()]}));
    assert_eq!(net.call("delete", params).await.0, 200);
    let running = tokio::spawn(Arc::clone(redelivery).run(|_| ()));
    tokio::task::yield_now().await;
    assert!(redelivery.is_behind(&away.own));
    network.replace(Snapshot::new(3, String::new(), [19, 4], members));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while redelivery.is_behind(&away.own) {
        assert!(tokio::time::Instant::now() < deadline, "never told");
        tokio::task::yield_now().await;
    }
    let hashes = [&first, &second].map(|text| MessageHash::from_text(text).unwrap());
    let wanted = hashes.map(|hash| (user().1, hash));
    let held: Vec<_> =
        away.storage().store.messages(&wanted).unwrap().into_iter().map(|message| message.hash).collect();
    assert_eq!(held, [hashes[1]]);
    running.abort();
}

/// What a member was not told for longer than its signature lasts is still carried out, and only what is later is spared.
#[tokio::test]
async fn late_commands_are_carried_out_as_of_their_time() {
    let net = fixture(2);
    let away = net.nodes[1].own;
    let old = net.store(b"old").await;
    let back = net.swarm.0.lock().remove(&away).unwrap();
    let now = net.now();
    let params = net.signed(&format!("delete_all{now}"), json!({"timestamp": now}));
    assert_eq!(net.call("delete_all", params).await.0, 200);
    let new = net.store(b"new").await;
    // Two hours later.
    net.clock.set_offset(7_200_000);
    net.swarm.0.lock().insert(away, back);
    let redelivery = Arc::clone(&net.nodes[0].storage().redelivery);
    let running = tokio::spawn(Arc::clone(&redelivery).run(|_| ()));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while redelivery.is_behind(&away) {
        assert!(tokio::time::Instant::now() < deadline, "never caught up");
        tokio::task::yield_now().await;
    }
    running.abort();
    let names: Vec<String> = net.held(1).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [new]);
    assert!(!names.contains(&old));
}
