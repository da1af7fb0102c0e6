//! Requests, to a whole node that has nobody beside it. It is the same for all cases, so that what one leaves behind meets
//! the next.

use std::{
    pin::Pin,
    sync::{Arc, LazyLock},
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};

use crate::{
    Identity,
    clock::Clock,
    holder::Holder,
    replicate::{PeerAnswer, PeerError, PeerLink, Redelivery},
    rpc::{Encoding, Notice, Rpc, RpcParts, Storage, Subscriber, Verifier, Version, Via},
    store::{Store, StoreConfig},
    swarm::{Network, NodeInfo, Snapshot, SwarmId},
    types::LegacyPublicKey,
};

struct Nobody;

impl PeerLink for Nobody {
    fn request<'a>(&'a self, _: &Arc<NodeInfo>, _: &'static str, _: Vec<Bytes>, _: Duration) -> PeerAnswer<'a> {
        Box::pin(std::future::ready(Err(PeerError::Timeout)))
    }

    fn acquaint<'a>(&'a self, _: &'a Arc<NodeInfo>) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(std::future::ready(()))
    }

    fn is_allium(&self, _: &NodeInfo) -> bool {
        true
    }
}

impl Subscriber for Nobody {
    fn connection(&self) -> &[u8] {
        b"nobody"
    }

    fn holder(&self) -> Holder {
        Holder::at([192, 0, 2, 1].into())
    }

    fn notify(&self, _: Notice, _: Bytes) {}
}

/// One case at a time.
static NODE: LazyLock<Mutex<(Runtime, Arc<Rpc>)>> = LazyLock::new(|| Mutex::new(start()));

#[allow(clippy::unwrap_used)]
fn start() -> (Runtime, Arc<Rpc>) {
    let directory = std::env::temp_dir().join(format!("allium-fuzz-{}", std::process::id()));
    let (clock, network) = (Clock::default(), Arc::new(Network::default()));
    let identity = Identity::new(&[96; 32], LegacyPublicKey([1; 32]));
    let own = identity.ed25519.public();
    network.replace(Snapshot::new(
        1,
        String::new(),
        [19, 4],
        vec![NodeInfo {
            legacy: identity.legacy,
            ed25519: own,
            x25519: identity.x25519.public(),
            ip: [127, 0, 0, 1].into(),
            https_port: 22021,
            omq_port: 22020,
            swarm: SwarmId(0),
            version: Version::default().0,
            requested_unlock_height: 0,
        }],
    ));
    let store = Store::open(StoreConfig::new(&directory), clock.clone()).unwrap();
    // The process may end at any time; its files go with it.
    std::fs::remove_dir_all(directory).unwrap();
    let peers: Arc<dyn PeerLink> = Arc::new(Nobody);
    let redelivery = Redelivery::new(store.clone(), Arc::clone(&network), Arc::clone(&peers), own).unwrap();
    let rpc = Rpc::new(RpcParts {
        storage: Some(Storage { store, redelivery: Arc::new(redelivery) }),
        network,
        identity: Arc::new(identity),
        clock,
        peers,
        verifier: Verifier::new(1),
        daemon: None,
        own: None,
        version: Version::default(),
        subscriptions: 100,
    });
    (Builder::new_current_thread().enable_all().build().unwrap(), Arc::new(rpc))
}

/// The body of a request as clients post it.
pub(super) fn json(body: &[u8]) -> usize {
    let node = NODE.lock();
    let (runtime, rpc) = &*node;
    let answer = runtime.block_on(rpc.call_json(body, Via::Https, ())).encode(Encoding::Json);
    assert!(!answer.is_empty());
    answer.len()
}

/// A method, a line's end, its parameters: of a client, as another member passes them on, and as a subscription.
pub(super) fn bencode(request: &[u8]) -> usize {
    let node = NODE.lock();
    let (runtime, rpc) = &*node;
    let split = request.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (method, params) = request.split_at(split);
    let params = params.strip_prefix(b"\n").unwrap_or(params);
    let method = String::from_utf8_lossy(method);
    let mut answered = 0;
    if let Some((encoding, reply)) = runtime.block_on(rpc.call(&method, params, Via::Omq, None)) {
        let answer = reply.encode(encoding);
        assert!(!answer.is_empty());
        answered += answer.len();
    }
    let forwarded = runtime.block_on(rpc.call_forwarded(&method, params, None)).encode(Encoding::Bencode);
    assert!(!forwarded.is_empty());
    answered += forwarded.len();
    let subscriber: Arc<dyn Subscriber> = Arc::new(Nobody);
    let told = rpc.monitor(params, &subscriber);
    assert!(!told.is_empty());
    answered + told.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_right_is_carried_out() {
        let node = NODE.lock();
        let (runtime, rpc) = &*node;
        let now = Clock::default().now().0;
        let account = "05".to_owned() + &"11".repeat(32);
        let body = format!(
            r#"{{"method":"store","params":{{"pubkey":"{account}","timestamp":{now},"ttl":60000,"data":"aGVsbG8="}}}}"#
        );
        for _ in 0..2 {
            let reply = runtime.block_on(rpc.call_json(body.as_bytes(), Via::Https, ()));
            assert_eq!(reply.status.code(), 200, "{:?}", reply.encode(Encoding::Json));
        }
    }
}
