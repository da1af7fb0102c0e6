//! Transfers of other nodes.

use super::*;
use crate::replicate::transfer;

#[tokio::test]
async fn messages_from_other_nodes_are_checked() {
    let net = fixture(1);
    let (own, other) = (user().1, AccountId::new(5, [0xff; 32]));
    let network = &net.nodes[0].parts.network;
    let mut infos: Vec<NodeInfo> = network.load().nodes().iter().map(|node| NodeInfo::clone(node)).collect();
    let [of_own, of_other] = [own, other].map(|account| SwarmId(crate::swarm::position(&account)));
    infos[0].swarm = of_own;
    let mut add = |n: u8, swarm: SwarmId| {
        let secret = Ed25519Secret::from_seed(&seed(n));
        let (ed25519, x25519) = (secret.public(), secret.x25519().public());
        infos.push(NodeInfo { legacy: LegacyPublicKey([n; 32]), ed25519, x25519, swarm, ..infos[0].clone() });
        ed25519
    };
    let (elsewhere, replica) = (add(200, of_other), add(201, of_own));
    let decommissioned = add(202, SwarmId::UNASSIGNED);
    let stranger = Ed25519Secret::from_seed(&seed(203)).public();
    network.replace(Snapshot::new(2, String::new(), [19, 4], infos.clone()));
    let now = net.now();
    let item = |account: AccountId, data: &[u8], expiry: u64, namespace: i16| transfer::Transferred {
        account,
        hash: MessageHash::of(&account, Namespace(namespace), data).to_string().into_bytes(),
        timestamp: Millis(now),
        expiry: Millis(expiry),
        data: data.to_vec(),
        namespace: Namespace(namespace),
        times: None,
    };
    let called = |hash: &[u8], item: transfer::Transferred| transfer::Transferred { hash: hash.to_vec(), ..item };
    // As nodes before 2.11.3 send it: without the namespace.
    let bare = |item: transfer::Transferred| transfer::Transferred { namespace: Namespace(0), ..item };
    let blob = |items: &[transfer::Transferred]| transfer::encode(items, transfer::MAX_BLOB, true).remove(0);
    let node = &net.nodes[0];
    // From whom it may not come.
    let forged = blob(&[item(own, b"forged", now + 60_000, 3)]);
    for from in [&elsewhere, &decommissioned, &stranger] {
        assert_eq!(node.receive(from, &forged).await, Err("Swarm mismatch"));
    }
    assert_eq!(node.storage().store.stats().unwrap().messages, 0);
    let mut sent_tomorrow = item(own, b"sent tomorrow", now + 2 * 86_400_000, 0);
    sent_tomorrow.timestamp = Millis(now + 86_400_000);
    let items = [
        item(own, b"kept", now + 60_000, -11),
        bare(item(own, b"found", now + 60_000, 13)),
        bare(item(own, b"found", now + 60_000, -100)),
        called(&[b'A'; 43], item(own, b"by another name", now + 60_000, 5)),
        called(b"whatever they say", item(own, b"no hash", now + 60_000, 0)),
        item(other, b"not ours", now + 60_000, 0),
        item(own, b"gone", now - 1, 0),
        item(own, b"for ever", now + 31 * 86_400_000, 0),
        item(own, &vec![0; 76_801], now + 60_000, 0),
        sent_tomorrow,
    ];
    assert_eq!(node.receive(&replica, &blob(&items)).await, Err("Swarm mismatch"));
    let store = &net.nodes[0].storage().store;
    let held = |hash: MessageHash| {
        let found = store.messages(&[(own, hash)]).unwrap();
        found.into_iter().map(|message| (message.namespace.0, message.data)).collect::<Vec<_>>()
    };
    for (namespace, data) in [(-11, b"kept".as_slice()), (13, b"found"), (-100, b"found")] {
        assert_eq!(held(MessageHash::of(&own, Namespace(namespace), data)), [(namespace, data.to_vec())]);
    }
    assert_eq!(held(MessageHash([0; 32])), [(0, b"by another name".to_vec())]);
    assert_eq!(store.stats().unwrap().messages, 4);
    assert_eq!(net.nodes[0].arrivals(), [("named", 1), ("found", 2), ("unproven", 1), ("dropped", 5)]);
    // What a hash belongs to takes the place of what somebody else called so, and is not displaced by it.
    let fake = called(&item(own, b"true", 0, 2).hash, item(own, b"fake", now + 60_000, 2));
    for (item, namespace, data) in
        [(fake.clone(), 0, b"fake"), (item(own, b"true", now + 50_000, 2), 2, b"true"), (fake, 2, b"true")]
    {
        assert_eq!(node.receive(&replica, &blob(&[item])).await, Ok(()));
        assert_eq!(held(MessageHash::of(&own, Namespace(2), b"true")), [(namespace, data.to_vec())]);
    }
    assert_eq!(store.stats().unwrap().messages, 5);
    assert_eq!(node.receive(&replica, b"").await, Err("Empty data push"));
    assert_eq!(node.receive(&replica, b"\x01l").await, Err("Failed to store messages"));
    // Who has left gives away what it kept.
    infos[2].swarm = of_other;
    network.replace(Snapshot::new(3, String::new(), [19, 4], infos));
    assert_eq!(node.receive(&replica, &blob(&[item(own, b"handed over", now + 60_000, 0)])).await, Ok(()));
    assert_eq!(node.storage().store.stats().unwrap().messages, 6);
}
