//! Requests to nodes of one swarm, all in this process, a file a subject. Here is the swarm.

mod allocations;
mod answers;
mod receive;
mod reconcile;
mod redelivery;
mod refusals;
mod requests;
mod stores;
mod swarm;
mod versions;

use std::{collections::BTreeMap, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::{
    clock::Clock,
    crypto::{Ed25519Secret, Identity, verify_ed25519},
    replicate::{Compared, Merge, PeerAnswer, PeerError, PeerLink, RECONCILE, Reconciler, Redelivery},
    rpc::{
        Encoding, Status, Verifier, Version, Via,
        core::{Rpc, RpcParts, Storage},
    },
    store::{Limits, Store, StoreConfig},
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
