use std::{collections::BTreeMap, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt as _;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::{
    bencode::Bt,
    clock::Clock,
    crypto::{Ed25519Secret, Identity, verify_ed25519},
    holder::Holder,
    replicate::{Compared, Merge, PeerAnswer, PeerError, PeerLink, RECONCILE, Reconciler, Redelivery, transfer},
    rpc::{
        Body, Encoding, Pipeline, Status, Subscriber, Verifier, Version, Via, base32z,
        core::{Rpc, RpcParts, Storage},
        limit::MAX_MESSAGE,
        methods::retrieve::limits,
        monitor,
    },
    store::{Hint, Limits, NewMessage, Store, StoreConfig},
    swarm::{Network, NodeInfo, Snapshot, SwarmId},
    types::{AccountId, Ed25519PublicKey, LegacyPublicKey, MessageHash, Millis, Namespace},
};

/// Other nodes, as [`Rpc`]s in this process; those not there do not answer.
#[derive(Default)]
struct Swarm(parking_lot::Mutex<BTreeMap<Ed25519PublicKey, Arc<Rpc>>>, Reconcilers, Meanwhile);

/// What happens when the next request is on its way.
type Meanwhile = parking_lot::Mutex<Option<Box<dyn FnOnce() + Send>>>;
type Reconcilers = parking_lot::Mutex<BTreeMap<Ed25519PublicKey, Arc<Reconciler>>>;

/// One node's way to the others.
struct Link {
    own: Ed25519PublicKey,
    swarm: Arc<Swarm>,
}

impl PeerLink for Link {
    fn request<'a>(
        &'a self,
        peer: &Arc<NodeInfo>,
        command: &'static str,
        parts: Vec<Bytes>,
        _timeout: Duration,
    ) -> PeerAnswer<'a> {
        let rpc = self.swarm.0.lock().get(&peer.ed25519).cloned();
        let reconciler = self.swarm.1.lock().get(&peer.ed25519).cloned();
        Box::pin(async move {
            if let Some(meanwhile) = self.swarm.2.lock().take() {
                meanwhile();
            }
            let rpc = rpc.ok_or(PeerError::Timeout)?;
            if command == RECONCILE {
                let answer = reconciler.unwrap().answer(&self.own, &parts.concat()).await;
                return answer.map(|answer| vec![answer.into()]).map_err(PeerError::Refused);
            }
            if command == "sn.data" {
                let stored = rpc.receive(&self.own, &parts.concat()).await;
                return Ok(stored.err().map(|text| vec![Bytes::from("500"), text.into()]).unwrap_or_default());
            }
            assert_eq!(command, "sn.storage_cc");
            let reply = rpc.call_forwarded(std::str::from_utf8(&parts[0]).unwrap(), &parts[1], None).await;
            let body = Bytes::from(reply.encode(Encoding::Bencode));
            let code = Bytes::from(reply.status.code().to_string());
            Ok(if reply.status == Status::OK { vec![body] } else { vec![code, body] })
        })
    }

    fn acquaint<'a>(&'a self, _: &'a Arc<NodeInfo>) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(std::future::ready(()))
    }

    fn is_allium(&self, _: &NodeInfo) -> bool {
        true
    }
}

struct Fixture {
    _dir: TempDir,
    swarm: Arc<Swarm>,
    nodes: Vec<Arc<Rpc>>,
    clock: Clock,
}

fn seed(first: u8) -> [u8; 32] {
    std::array::from_fn(|i| first.wrapping_add(i as u8))
}

/// `count` nodes in one swarm, the first with the keys of node N of `spec/node-tests` §4.
fn fixture(count: u8) -> Fixture {
    fixture_of(count, Version::default())
}

/// Of nodes that advertise `version`.
fn fixture_of(count: u8, version: Version) -> Fixture {
    let dir = TempDir::new().unwrap();
    let (clock, network, swarm) = (Clock::default(), Arc::new(Network::default()), Arc::new(Swarm::default()));
    let mut infos = Vec::new();
    let mut nodes = Vec::new();
    for n in 0..count {
        let identity = Identity::new(&seed(96 + n), LegacyPublicKey([n; 32]));
        let ed25519 = identity.ed25519.public();
        infos.push(NodeInfo {
            legacy: identity.legacy,
            ed25519,
            x25519: identity.x25519.public(),
            ip: [127, 0, 0, 1].into(),
            https_port: 22021,
            omq_port: 22020,
            swarm: SwarmId(0),
            version: version.0,
            requested_unlock_height: 0,
        });
        let ignores_small_extensions = version.ignores_small_extensions();
        let config = StoreConfig { ignores_small_extensions, ..StoreConfig::new(dir.path().join(n.to_string())) };
        let store = Store::open(config, clock.clone()).unwrap();
        let peers: Arc<dyn PeerLink> = Arc::new(Link { own: ed25519, swarm: Arc::clone(&swarm) });
        let redelivery = Redelivery::new(store.clone(), Arc::clone(&network), Arc::clone(&peers), ed25519).unwrap();
        let redelivery = Arc::new(redelivery);
        let rpc = Arc::new(Rpc::new(RpcParts {
            storage: Some(Storage { store: store.clone(), redelivery }),
            network: Arc::clone(&network),
            subscriptions: 100,
            identity: Arc::new(identity),
            clock: clock.clone(),
            peers: Arc::clone(&peers),
            verifier: Verifier::new(1),
            daemon: None,
            own: None,
            version,
        }));
        let merge: Arc<dyn Merge> = Arc::<Rpc>::clone(&rpc);
        let reconciler = Reconciler::new(store, Arc::clone(&network), peers, ed25519, clock.clone(), merge);
        swarm.1.lock().insert(ed25519, Arc::new(reconciler));
        swarm.0.lock().insert(ed25519, Arc::clone(&rpc));
        nodes.push(rpc);
    }
    network.replace(Snapshot::new(1, String::new(), [19, 4], infos));
    Fixture { _dir: dir, swarm, nodes, clock }
}

fn user() -> (Ed25519Secret, AccountId) {
    let secret = Ed25519Secret::from_seed(&seed(0));
    let account = AccountId::new(AccountId::SESSION, secret.x25519().public().0);
    (secret, account)
}

fn base64(bytes: &[u8]) -> String {
    base64_simd::STANDARD.encode_to_string(bytes)
}

impl Rpc {
    fn storage(&self) -> &Storage {
        self.parts.storage.as_ref().unwrap()
    }
}

impl Fixture {
    async fn call(&self, method: &str, params: Json) -> (u16, Json) {
        let body = json!({"method": method, "params": params}).to_string();
        let reply = self.nodes[0].call_json(body.as_bytes(), Via::Https, ()).await;
        (reply.status.code(), reply.json_body())
    }

    fn now(&self) -> u64 {
        self.clock.now().0
    }

    /// Parameters that user U signs over `text`.
    fn signed(&self, text: &str, mut params: Json) -> Json {
        let (secret, account) = user();
        params["pubkey"] = account.hex().into();
        params["pubkey_ed25519"] = secret.public().to_string().into();
        params["signature"] = base64(&secret.sign(text.as_bytes())).into();
        params
    }

    async fn store(&self, data: &[u8]) -> String {
        let params = json!({
            "pubkey": user().1.hex(), "timestamp": self.now(), "ttl": 86_400_000, "data": base64(data),
        });
        let (status, body) = self.call("store", params).await;
        assert_eq!(status, 200, "{body}");
        body["hash"].as_str().unwrap().to_owned()
    }

    async fn hashes(&self) -> Vec<String> {
        let now = self.now();
        let (status, body) =
            self.call("retrieve", self.signed(&format!("retrieve{now}"), json!({"timestamp": now}))).await;
        assert_eq!(status, 200, "{body}");
        body["messages"].as_array().unwrap().iter().map(|m| m["hash"].as_str().unwrap().to_owned()).collect()
    }
}

fn hash_of(text: &str) -> MessageHash {
    MessageHash::from_text(text).unwrap()
}

/// Checks every member's signature over `text`.
fn all_sign(swarm: &Json, text: &str) {
    for (key, entry) in swarm.as_object().unwrap() {
        let key: Ed25519PublicKey = key.parse().unwrap();
        let signature = base64_simd::STANDARD.decode_to_vec(entry["signature"].as_str().unwrap()).unwrap();
        assert!(verify_ed25519(&key.0, text.as_bytes(), &signature.try_into().unwrap()), "{key}: {entry}");
    }
}

const H0: &str = "9QAogeWwJY/CE19iFAh5hr2vRcMyC92b8njFtInsmxg";

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
async fn deletes_and_expiries_are_signed() {
    let net = fixture(2);
    let (_, account) = user();
    let mut hashes = Vec::new();
    for n in 0..6_u8 {
        hashes.push(net.store(&[n]).await);
    }
    let gone = [hashes[3].clone(), "A".repeat(43), hashes[1].clone()];
    let params = net.signed(&format!("delete{}", gone.concat()), json!({"messages": gone, "required": true}));
    let (status, body) = net.call("delete", params.clone()).await;
    let mut deleted = [hashes[3].clone(), hashes[1].clone()];
    deleted.sort();
    assert_eq!(status, 200);
    all_sign(&body["swarm"], &format!("{}{}{}", account.hex(), gone.concat(), deleted.concat()));
    let (status, body) = net.call("delete", params).await;
    assert_eq!(status, 404);
    assert!(body["swarm"].as_object().unwrap().values().all(|entry| entry["deleted"] == json!([])));

    let expiry = net.now() + 30_000;
    let params = net.signed(&format!("expire_all{expiry}"), json!({"expiry": expiry}));
    let (_, body) = net.call("expire_all", params).await;
    let mut left: Vec<_> = [0, 2, 4, 5].map(|n: usize| hashes[n].clone()).into();
    assert_eq!(net.hashes().await, left);
    left.sort();
    all_sign(&body["swarm"], &format!("{}{expiry}{}", account.hex(), left.concat()));

    let now = net.now();
    let params = net.signed(&format!("delete_allall{now}"), json!({"timestamp": now, "namespace": "all"}));
    let (_, body) = net.call("delete_all", params).await;
    all_sign(&body["swarm"], &format!("{}{now}{}", account.hex(), left.concat()));
    let own = &body["swarm"][net.nodes[0].own.to_string()];
    assert_eq!(own["deleted"], json!({"0": left}));
    assert!(net.hashes().await.is_empty());
}

#[tokio::test]
async fn a_sequence_stops_at_the_first_failure_and_a_batch_does_not() {
    let net = fixture(1);
    let requests = json!({"requests": [
        {"method": "info", "params": {}},
        {"method": "retrieve", "params": {"pubkey": user().1.hex()}},
        {"method": "get_swarm", "params": {"pubKey": user().1.hex()}},
    ]});
    let codes = |body: &Json| -> Vec<u64> {
        body["results"].as_array().unwrap().iter().map(|result| result["code"].as_u64().unwrap()).collect()
    };
    let (_, sequence) = net.call("sequence", requests.clone()).await;
    assert_eq!(codes(&sequence), [200, 401]);
    assert_eq!(sequence["results"][1]["body"], "retrieve: request signature required");
    let (_, batch) = net.call("batch", requests).await;
    assert_eq!(codes(&batch), [200, 401, 200]);
    assert_eq!(batch["results"][2]["body"]["swarm"], "0");
    assert_eq!(batch["results"][2]["body"]["snodes"][0]["port"], "22021");
}

#[tokio::test]
async fn refusals() {
    let net = fixture(1);
    let (_, account) = user();
    let (now, key) = (net.now(), account.hex());
    let old = now - 120_000;
    for (method, params, status, want) in [
        (
            "store",
            json!({"pubkey": key, "timestamp": now, "ttl": 9_999, "data": ""}),
            403,
            "Provided expiry/TTL is not valid.",
        ),
        (
            "store",
            json!({"pubkey": key, "timestamp": now + 20_000, "ttl": 60_000, "data": ""}),
            406,
            "Timestamp error: check your clock",
        ),
        (
            "store",
            json!({"pubkey": key, "timestamp": now, "ttl": 60_000, "data": "", "namespace": 42}),
            401,
            "store: signature required to store to namespace 42",
        ),
        (
            "store",
            net.signed("x", json!({"timestamp": now, "ttl": 60_000, "data": "", "namespace": 42})),
            401,
            "store signature verification failed",
        ),
        (
            "retrieve",
            net.signed(&format!("retrieve{old}"), json!({"timestamp": old})),
            406,
            "retrieve timestamp too far from current time",
        ),
        ("retrieve", net.signed("retrieve", json!({"timestamp": now})), 401, "retrieve signature verification failed"),
        (
            "delete_all",
            net.signed("", json!({"timestamp": old})),
            406,
            "delete_all timestamp too far from current time",
        ),
        ("delete_all", net.signed("", json!({"timestamp": now})), 401, "delete_all signature verification failed"),
        ("expire_all", net.signed("", json!({"expiry": old})), 406, "expire_all timestamp should be >= current time"),
        (
            "delete_before",
            net.signed("", json!({"before": now + 120_000})),
            401,
            "delete_before timestamp too far in the future",
        ),
        ("delete", net.signed("", json!({"messages": [H0]})), 401, "delete_msgs signature verification failed"),
        (
            "expire",
            net.signed("", json!({"messages": H0, "expiry": old})),
            401,
            "expire: timestamp should be >= current time",
        ),
        (
            "expire",
            net.signed("", json!({"messages": H0, "expiry": now})),
            401,
            "expire: signature verification failed",
        ),
        (
            "get_expiries",
            net.signed("", json!({"messages": H0, "timestamp": old})),
            406,
            "get_expiries timestamp too far from current time",
        ),
        (
            "get_expiries",
            net.signed("", json!({"messages": H0, "timestamp": now})),
            401,
            "get_expiries signature verification failed",
        ),
        (
            "revoke_subaccount",
            net.signed("", json!({"revoke": [], "timestamp": old})),
            406,
            "revoke_subaccount timestamp too far from current time",
        ),
        (
            "unrevoke_subaccount",
            net.signed("", json!({"unrevoke": [], "timestamp": now})),
            401,
            "unrevoke_subaccount signature verification failed",
        ),
        (
            "revoked_subaccounts",
            net.signed("", json!({"timestamp": old})),
            406,
            "revoked_subaccounts timestamp too far from current time",
        ),
        (
            "revoked_subaccounts",
            net.signed("", json!({"timestamp": now})),
            401,
            "revoked_subaccounts signature verification failed",
        ),
        ("nope", json!({}), 400, "no method nope"),
        ("store", json!({}), 400, "invalid request: Required field 'timestamp' missing"),
    ] {
        let (got, body) = net.call(method, params).await;
        assert_eq!((got, body.as_str()), (status, Some(want)), "{method}");
    }
    for (body, want) in [
        ("", "invalid json"),
        ("[]", "invalid json: no `method` field"),
        (r#"{"method":"info"}"#, "invalid json: no `params` field"),
    ] {
        assert_eq!(net.nodes[0].call_json(body.as_bytes(), Via::Https, ()).await.json_body(), want);
    }
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

#[tokio::test]
async fn bencode_in_bencode_out() {
    let net = fixture(1);
    let params = Bt::dict([
        ("data", Bt::Bytes(b"hello world".to_vec())),
        ("pubkey", user().1.0.as_slice().into()),
        ("timestamp", net.now().into()),
        ("ttl", Bt::Int(60_000)),
    ]);
    let (encoding, reply) = net.nodes[0].call("store", &params.encode(), Via::Omq, None).await.unwrap();
    assert_eq!(encoding, Encoding::Bencode);
    let Ok(Bt::Dict(body)) = Bt::parse(&reply.encode(encoding)) else { panic!("not a dict") };
    assert_eq!(body[b"hash".as_slice()], Bt::Bytes(H0.into()));
    assert!(net.nodes[0].call("nope", b"", Via::Omq, None).await.is_none());
    let (_, reply) = net.nodes[0].call("info", b"x", Via::Omq, None).await.unwrap();
    assert_eq!(reply.json_body(), "invalid body: expected json or bt_dict");
}

/// `spec/node-tests` §4: node N's key.
#[test]
fn base32z_matches_the_reference() {
    let key: LegacyPublicKey = "174553b456dddfc6908ecab1c101fe6ab21e2baa0617795b7d43a63482993fd5".parse().unwrap();
    assert_eq!(base32z(&key.0), "n7ni8pns5zxhprrq3kahnyx6pk3bhk7kyamz1s57equdjyw389ko");
}

#[test]
fn shares_of_a_retrieve() {
    for (count, size, want) in [
        (0, 0, (None, 1_560_000)),
        (5, 0, (Some(5), 7_800_000)),
        (0, -1, (None, 7_800_000)),
        (0, -3, (None, 2_600_000)),
        (0, i64::MAX, (None, 7_800_000)),
        (0, i64::MIN, (None, 0)),
        (-4, 500_000, (None, 500_000)),
    ] {
        let limits = limits(count, size);
        assert_eq!((limits.max_count, limits.max_size), want);
    }
}

#[tokio::test]
async fn expiries_are_changed_and_told() {
    let net = fixture(2);
    let account = user().1.hex();
    let mut hashes = Vec::new();
    for n in 0..3_u8 {
        hashes.push(net.store(&[n]).await);
    }
    let now = net.now();
    let expiries = |asked: Vec<String>| {
        let text = format!("get_expiries{now}{}", asked.concat());
        net.signed(&text, json!({"timestamp": now, "messages": asked}))
    };
    let (status, before) = net.call("get_expiries", expiries([&hashes[..], &["A".repeat(43)]].concat())).await;
    assert_eq!((status, before["expiries"].as_object().unwrap().len()), (200, 3));
    assert!(before.get("t").is_none() && before.get("hf").is_none());
    let first = before["expiries"][&hashes[0]].as_u64().unwrap();

    // Extends only what ends earlier; what it leaves is told and signed, in the order of the hashes.
    let (later, asked) = (first + 1_000, [hashes[2].clone(), hashes[0].clone(), "A".repeat(43)]);
    let raise = net.signed(
        &format!("expireextend{later}{}", hashes[0]),
        json!({
            "messages": hashes[0], "expiry": later, "extends": true,
        }),
    );
    assert_eq!(net.call("expire", raise).await.0, 200);
    let params = net.signed(
        &format!("expireextend{}{}", first + 500, asked.concat()),
        json!({
            "messages": asked, "expiry": first + 500, "extend": true,
        }),
    );
    let (_, body) = net.call("expire", params).await;
    let own = &body["swarm"][net.nodes[0].own.to_string()];
    assert_eq!(own["updated"], json!([hashes[2]]));
    assert_eq!(own["unchanged"], json!({hashes[0].clone(): later}));
    assert_eq!(own["expiry"], first + 500);
    let text = format!("{account}{}{}{}{}{later}", first + 500, asked.concat(), hashes[2], hashes[0]);
    all_sign(&body["swarm"], &text);

    // Several expiries at once, clamped to 30 days and told beside what they went to.
    let far = now + 40 * 86_400_000;
    let params = net.signed(
        &format!("expire{far}{later}{}{}", hashes[0], hashes[1]),
        json!({
            "messages": [hashes[0], hashes[1]], "expiry": [far, later],
        }),
    );
    let (_, body) = net.call("expire", params).await;
    let own = &body["swarm"][net.nodes[0].own.to_string()];
    let mut sorted = [hashes[0].clone(), hashes[1].clone()];
    sorted.sort();
    assert_eq!(own["updated"], json!(sorted));
    let told: Vec<u64> = own["expiry"].as_array().unwrap().iter().map(|e| e.as_u64().unwrap()).collect();
    let clamped = told[usize::from(sorted[1] == hashes[0])];
    assert!(clamped.abs_diff(net.now() + 30 * 86_400_000) < 5_000);
    assert!(told.contains(&later) && own.get("unchanged").is_none());

    let params = net.signed(
        &format!("expireshorten{later}{}", hashes[0]),
        json!({
            "messages": hashes[0], "expiry": later, "shorten": true,
        }),
    );
    let (_, body) = net.call("expire", params).await;
    assert_eq!(body["swarm"][net.nodes[0].own.to_string()]["updated"], json!([hashes[0]]));
    let (_, after) = net.call("get_expiries", expiries(vec![hashes[0].clone()])).await;
    assert_eq!(after["expiries"], json!({hashes[0].clone(): later}));
}

/// Signatures of `spec/node-tests` §4 by node N, whose clock is set to their time.
#[tokio::test]
async fn answers_are_signed_as_published() {
    const T: u64 = 1_700_000_000_000;
    let net = fixture(1);
    let own = net.nodes[0].own.to_string();
    net.clock.set_offset(i64::try_from(T).unwrap() - i64::try_from(net.now()).unwrap());
    let h2 = {
        let (secret, account) = user();
        let text = format!("store2{T}");
        let params = json!({
            "pubkey": account.hex(), "pubkey_ed25519": secret.public().to_string(), "namespace": 2, "timestamp": T,
            "ttl": 60_000, "data": base64(b"hello world"), "signature": base64(&secret.sign(text.as_bytes())),
        });
        net.call("store", params).await.1["hash"].as_str().unwrap().to_owned()
    };
    assert_eq!(h2, "7tpR5KJ7lXhN0sFsR3DIC2gPIMEltlM+OmfxQYMXUF0");
    let h0 = net.store(b"hello world").await;
    assert_eq!(h0, H0);
    let expiry = T + 86_400_000;
    let params = net.signed(&format!("expire{expiry}{h0}{h2}"), json!({"messages": [h0, h2], "expiry": expiry}));
    let (_, body) = net.call("expire", params).await;
    let signature = |body: &Json| {
        let text = body["swarm"][&own]["signature"].as_str().unwrap();
        hex::encode(base64_simd::STANDARD.decode_to_vec(text).unwrap())
    };
    assert!(signature(&body).starts_with("e3e0e8ce06c312ed3f92dc088924c87a"), "{body}");

    let group = Ed25519Secret::from_seed(&seed(32));
    let token = "030300002543b92ff1095511476adc8369db6ddc933665a11978dda1404ee1066ca9559d";
    let account = AccountId::new(AccountId::GROUP, group.public().0).hex();
    let signed = |method: &str| {
        let text = [format!("{method}{T}").as_bytes(), &hex::decode(token).unwrap()].concat();
        base64(&group.sign(&text))
    };
    let params = json!({"pubkey": account, "timestamp": T, "revoke": token, "signature": signed("revoke_subaccount")});
    let (status, body) = net.call("revoke_subaccount", params).await;
    assert_eq!(status, 200, "{body}");
    assert!(signature(&body).starts_with("2a946558f3bc5cfdf509b5b2792b285b"));
    let list = json!({
        "pubkey": account, "timestamp": T, "signature": base64(&group.sign(format!("revoked_subaccounts{T}").as_bytes())),
    });
    let (_, body) = net.call("revoked_subaccounts", list.clone()).await;
    assert_eq!(body["revoked_subaccounts"], json!(["AwMAACVDuS/xCVURR2rcg2nbbdyTNmWhGXjdoUBO4QZsqVWd"]));
    let params =
        json!({"pubkey": account, "timestamp": T, "unrevoke": [token], "signature": signed("unrevoke_subaccount")});
    let (_, body) = net.call("unrevoke_subaccount", params).await;
    assert_eq!(body["swarm"][&own]["count"], 1);
    assert_eq!(net.call("revoked_subaccounts", list).await.1["revoked_subaccounts"], json!([]));
}

#[tokio::test]
async fn conditions_choose_a_branch() {
    let net = fixture(1);
    let info = json!({"method": "info", "params": {}});
    for (condition, holds) in [
        (json!({"hf_at_least": [19]}), true),
        (json!({"hf_at_least": [19, 4]}), true),
        (json!({"hf_before": [19, 4]}), false),
        (json!({"hf_before": [99_999, 99]}), true),
        (json!({"v_at_least": [2, 8, 1]}), false),
        (json!({"v_at_least": [2, 8], "height_before": 2}), true),
        (json!({"height_at_least": 2}), false),
    ] {
        let nested = json!({"method": "ifelse", "params": {"if": {"height_at_least": 0}, "then": info}});
        let (status, body) = net.call("ifelse", json!({"if": condition, "then": nested})).await;
        assert_eq!((status, &body["condition"]), (200, &json!(holds)), "{condition}");
        assert_eq!((&body["hf"], &body["v"], &body["height"]), (&json!([19, 4]), &json!([2, 8, 0]), &json!(1)));
        assert!(body.get("t").is_none());
        let reached = &body["result"]["body"]["result"]["body"]["version"];
        assert_eq!(*reached, if holds { json!([2, 8, 0]) } else { Json::Null }, "{body}");
    }
}

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

#[tokio::test]
async fn active_nodes_are_51_bytes_each() {
    let net = fixture(2);
    let reply = net.nodes[0].call_json(br#"{"method":"active_nodes_bin","params":{}}"#, Via::Https, ()).await;
    let Body::Binary(records) = &reply.body else { panic!("{reply:?}") };
    assert_eq!(records.len(), 2 * 51);
    assert_eq!(records[..32], net.nodes[0].own.0);
    assert_eq!(records[32..51], [0, 0, 0, 0, 0, 0, 0, 0, 127, 0, 0, 1, 0x56, 0x05, 0x56, 0x04, 2, 8, 0]);
    assert_eq!(reply.json_body(), base64(records));
}

/// A subaccount token by group G: prefix and flags as given, of the key with seed bytes 64…
fn subaccount(prefix: u8, flags: u8, owner: &Ed25519Secret) -> (String, String) {
    let mut token = vec![prefix, flags, 0, 0];
    token.extend_from_slice(&Ed25519Secret::from_seed(&seed(64)).public().0);
    (base64(&token), base64(&owner.sign(&token)))
}

/// `spec/node-tests` §9, subaccounts: what each flag permits.
#[tokio::test]
async fn subaccount_permissions() {
    let net = fixture(1);
    let (group, member) = (Ed25519Secret::from_seed(&seed(32)), Ed25519Secret::from_seed(&seed(64)));
    for (netid, flags, read, write, delete) in [
        (3, 0x01, true, false, false),
        (3, 0x00, false, false, false),
        (3, 0x07, true, true, true),
        (3, 0x0b, true, true, false),
        (0x25, 0x07, false, false, false),
        (0x25, 0x0b, true, true, false),
    ] {
        let account = AccountId::new(netid, group.public().0).hex();
        let (token, token_signature) = subaccount(3, flags, &group);
        let now = net.now();
        let signed = |text: String, mut params: Json| {
            params["pubkey"] = account.clone().into();
            params["subaccount"] = token.clone().into();
            params["subaccount_sig"] = token_signature.clone().into();
            params["signature"] = base64(&member.sign(text.as_bytes())).into();
            params
        };
        let status = |permitted| if permitted { 200 } else { 401 };
        let data = base64(&[netid, flags]);
        let params =
            signed(format!("store42{now}"), json!({"namespace": 42, "timestamp": now, "ttl": 60_000, "data": data}));
        assert_eq!(net.call("store", params).await.0, status(write), "store {netid} {flags}");
        let params = signed(format!("retrieve42{now}"), json!({"namespace": 42, "timestamp": now}));
        assert_eq!(net.call("retrieve", params).await.0, status(read), "retrieve {netid} {flags}");
        let later = now + 120_000;
        let params = signed(format!("expire{later}{H0}"), json!({"messages": H0, "expiry": later}));
        assert_eq!(net.call("expire", params).await.0, status(write), "expire {netid} {flags}");
        let params = signed(
            format!("expireshorten{later}{H0}"),
            json!({
                "messages": H0, "expiry": later, "shorten": true,
            }),
        );
        let (got, body) = net.call("expire", params).await;
        assert_eq!(got, if write && !delete { 400 } else { status(delete) }, "shorten {netid} {flags}: {body}");
        let params = signed(format!("delete_all42{now}"), json!({"namespace": 42, "timestamp": now}));
        assert_eq!(net.call("delete_all", params).await.0, status(delete), "delete_all {netid} {flags}");
    }
}

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

impl Fixture {
    /// Compares node `one` with node `other`, as `one` does.
    async fn compare(&self, one: usize, other: usize) -> Compared {
        let network = self.nodes[0].parts.network.load();
        let (one, other) = (self.nodes[one].own, self.nodes[other].own);
        let reconciler = Arc::clone(&self.swarm.1.lock()[&one]);
        reconciler.compare(network.by_ed25519(&other).unwrap()).await.unwrap()
    }

    /// Everything that a node has of the user's.
    fn held(&self, node: usize) -> Vec<(String, Millis)> {
        let store = &self.nodes[node].storage().store;
        let all = Limits { max_count: None, max_size: u64::MAX };
        let page = store.retrieve(&user().1, Namespace(0), None, all).unwrap();
        let mut held: Vec<_> = page.messages.into_iter().map(|m| (m.hash.to_string(), m.expiry)).collect();
        held.sort_unstable();
        held
    }
}

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

/// Twenty times the most that one part may have: what does not fit is left for the next request.
#[tokio::test]
async fn the_answer_to_a_batch_has_an_end() {
    let net = fixture(1);
    let (secret, account) = user();
    let now = Millis(net.now());
    for n in 0..100_u8 {
        let (namespace, data) = (Namespace(3), vec![n; MAX_MESSAGE]);
        let hash = MessageHash::of(&account, namespace, &data);
        let (timestamp, expiry) = (now, now.plus(86_400_000));
        let message = NewMessage { account, namespace, hash, timestamp, expiry, stored: now, changed: now, data };
        net.nodes[0].storage().store.put(message).await.unwrap();
    }
    let signature = base64(&secret.sign(format!("retrieve3{now}").as_bytes()));
    let key = secret.public().to_string();
    let retrieve = serde_json::json!({"method": "retrieve", "params": {"pubkey": account.hex(), "namespace": 3,
        "pubkey_ed25519": key, "signature": signature, "timestamp": now.0, "max_size": 7_800_000}});
    let list = serde_json::json!({"method": "oxend_request", "params": {"endpoint": "get_service_nodes"}});
    for method in ["batch", "sequence"] {
        let requests = [vec![retrieve.clone(); 19], vec![list.clone()]].concat();
        let body = serde_json::json!({"method": method, "params": {"requests": requests}}).to_string();
        let reply = net.nodes[0].call_json(body.as_bytes(), Via::Https, ()).await;
        let encoded = reply.encode(Encoding::Json);
        assert!(encoded.len() < 8_000_000, "{}", encoded.len());
        let answer = reply.json_body();
        let results = answer["results"].as_array().unwrap();
        assert_eq!(results.len(), 20, "{method}");
        let messages = |n: usize| results[n]["body"]["messages"].as_array().unwrap().len();
        assert!(messages(0) > 70 && messages(18) == 0);
        assert!(results[..19].iter().all(|result| result["code"] == 200 && result["body"]["more"] == true));
        assert_eq!(results[19]["body"]["result"]["service_node_states"].as_array().unwrap().len(), 1);
    }
}

/// What reads has its turn until it has read, though it is proven meanwhile by others.
#[tokio::test]
async fn who_reads_lets_nobody_write_before_it_has_read() {
    let net = fixture(1);
    let ((_, account), now, name) = (user(), net.now(), net.store(b"there").await);
    let reads = [
        ("retrieve", format!("retrieve{now}"), json!({"timestamp": now})),
        ("get_expiries", format!("get_expiries{now}{name}"), json!({"timestamp": now, "messages": [name]})),
        ("revoked_subaccounts", format!("revoked_subaccounts{now}"), json!({"timestamp": now})),
    ];
    for (method, text, params) in reads {
        let params = net.signed(&text, params).to_string();
        let pipeline = Pipeline::default();
        let [reading, writing] = std::array::from_fn(|_| pipeline.ticket());
        let mut read = Box::pin(net.nodes[0].call(method, params.as_bytes(), Via::Omq, Some(reading)));
        assert!(read.as_mut().now_or_never().is_none(), "{method} needs nobody to prove it");
        let mut turn = Box::pin(writing.enter(|each| each(&account)));
        assert!(turn.as_mut().now_or_never().is_none(), "{method} has given its turn away");
        assert_eq!(read.await.unwrap().1.status, Status::OK);
        assert!(turn.now_or_never().is_some());
    }
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
