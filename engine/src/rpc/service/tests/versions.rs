//! What a node does because of the version that it advertises.

use super::*;
use crate::{
    bencode::Bt,
    holder::Holder,
    rpc::{Subscriber, monitor},
};

/// What a node does because it advertises 2.12, beside what one of 2.8 does.
#[tokio::test]
async fn versions_decide_what_is_done() {
    struct Inbox(parking_lot::Mutex<Vec<(monitor::Notice, Bytes)>>);
    impl Subscriber for Inbox {
        fn connection(&self) -> &[u8] {
            b"inbox"
        }

        fn holder(&self) -> Holder {
            Holder::at([192, 0, 2, 1].into())
        }

        fn notify(&self, notice: monitor::Notice, dict: Bytes) {
            self.0.lock().push((notice, dict));
        }
    }
    for (version, newer) in [([2, 8, 0], false), ([2, 11, 3], false), ([2, 12, 0], true)] {
        let net = fixture_of(3, Version(version));
        let (node, network) = (&net.nodes[0], &net.nodes[0].parts.network);
        assert_eq!(net.call("info", json!({})).await.1["version"], json!(version));
        // A member whose address is not known is owed the message, and named by an old node alone.
        let infos: Vec<NodeInfo> = network.load().nodes().iter().map(|info| NodeInfo::clone(info)).collect();
        let mut hidden = infos.clone();
        hidden[2].ip = [0, 0, 0, 0].into();
        network.replace(Snapshot::new(2, String::new(), [19, 3], hidden));
        let told = if newer { 2 } else { 3 };
        let swarm = net.call("get_swarm", json!({"pubkey": user().1.hex()})).await.1;
        assert_eq!(swarm["snodes"].as_array().unwrap().len(), told);
        let params = json!({"pubkey": user().1.hex(), "timestamp": net.now(), "ttl": 60_000, "data": ""});
        let (_, stored) = net.call("store", params).await;
        assert_eq!(stored["swarm"].as_object().unwrap().len(), told);
        assert!(node.storage().redelivery.is_behind(&infos[2].ed25519));
        // Several expiries before hardfork 19.4.
        let hashes = [stored["hash"].as_str().unwrap(), stored["hash"].as_str().unwrap()];
        let expiry = [net.now() + 70_000, net.now() + 80_000];
        let text = format!("expire{}{}{}", expiry[0], expiry[1], hashes.concat());
        let params = net.signed(&text, json!({"messages": hashes, "expiry": expiry}));
        assert_eq!(net.call("expire", params).await.0, if newer { 200 } else { 403 });
        // An extension by less than a hundredth of the lifetime, and one by more.
        let name = net.store(b"small").await;
        let found = node.storage().store.messages(&[(user().1, hash_of(&name))]).unwrap();
        let held = found[0].expiry.0;
        for (more, counts) in [(86_400_000 / 100 - 1, !newer), (86_400_000 / 100 * 2, true)] {
            let text = format!("expireextend{}{name}", held + more);
            let params = net.signed(&text, json!({"messages": [name], "expiry": held + more, "extend": true}));
            let (_, body) = net.call("expire", params).await;
            for entry in body["swarm"].as_object().unwrap().values().filter(|entry| entry.get("failed").is_none()) {
                let unchanged = if counts { json!({}) } else { json!({(name.as_str()): held}) };
                assert_eq!((entry["updated"] == json!([name]), &entry["unchanged"]), (counts, &unchanged));
            }
        }
        // The account leaves the node.
        let seconds = net.now() / 1000;
        let (secret, account) = user();
        let signature = secret.sign(format!("MONITOR{}{seconds}00", account.hex()).as_bytes());
        let subscription = Bt::dict([
            ("P", secret.public().0.as_slice().into()),
            ("n", Bt::List(vec![Bt::Int(0)])),
            ("s", signature.as_slice().into()),
            ("t", seconds.into()),
        ]);
        let inbox = Arc::new(Inbox(parking_lot::Mutex::default()));
        let subscriber: Arc<dyn Subscriber> = Arc::<Inbox>::clone(&inbox);
        assert_eq!(node.monitor(&subscription.encode(), &subscriber), b"d7:successi1ee");
        node.network_changed();
        assert!(inbox.0.lock().is_empty());
        let mut moved = infos;
        moved[0].swarm = SwarmId(crate::swarm::position(&account) ^ 1 << 63);
        moved[1].swarm = SwarmId(crate::swarm::position(&account));
        network.replace(Snapshot::new(3, String::new(), [19, 3], moved));
        node.network_changed();
        let notices = std::mem::take(&mut *inbox.0.lock());
        assert_eq!((notices.len(), node.monitors().len()), if newer { (1, 0) } else { (0, 1) });
        for (notice, dict) in notices {
            let Ok(Bt::Dict(fields)) = Bt::parse(&dict) else { panic!("not a dict") };
            assert_eq!((notice, &fields[b"@".as_slice()]), (monitor::Notice::Ended, &Bt::Bytes(account.0.to_vec())));
            assert!(fields.contains_key(b"snodes".as_slice()) && fields.contains_key(b"swarm".as_slice()));
        }
        network.replace(Snapshot::new(4, String::new(), [19, 3], Vec::new()));
        let (status, body) = net.call("retrieve", json!({"pubkey": account.hex(), "namespace": -10})).await;
        assert_eq!((status, body == json!("No swarms known!")), if newer { (500, true) } else { (421, false) });
    }
}
