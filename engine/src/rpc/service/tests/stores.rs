//! Many stores of another member in one message.

use super::*;
use crate::{
    bencode::Bt,
    rpc::{Body, Pipeline, Reply, core::MAX_WRITING},
};

fn bytes(text: &[u8]) -> Bt {
    Bt::from(text)
}

impl Fixture {
    /// The params of a store that another member passes on, with a time of the swarm.
    fn params(&self, data: &[u8], change: impl FnOnce(&mut BTreeMap<Vec<u8>, Bt>)) -> Vec<u8> {
        let now = self.now();
        let mut fields = BTreeMap::from([
            (b"@".to_vec(), Bt::from(now)),
            (b"pubkey".to_vec(), bytes(&user().1.0)),
            (b"data".to_vec(), bytes(data)),
            (b"timestamp".to_vec(), Bt::from(now)),
            (b"expiry".to_vec(), Bt::from(now + 86_400_000)),
        ]);
        change(&mut fields);
        Bt::Dict(fields).encode()
    }

    async fn stores(&self, params: &[Vec<u8>]) -> Vec<Reply> {
        self.nodes[0].call_forwarded_stores(params.to_vec(), None).await
    }
}

fn field(reply: &Reply, name: &str) -> Option<String> {
    let Body::Value(value) = &reply.body else { return None };
    value.to_json().get(name).map(ToString::to_string)
}

fn statuses(replies: &[Reply]) -> Vec<u16> {
    replies.iter().map(|reply| reply.status.code()).collect()
}

/// In one message or each in its own: the same answers, and the same messages.
#[tokio::test]
async fn the_answers_are_those_that_each_would_have_alone() {
    let (together, alone) = (fixture(1), fixture(1));
    let (secret, _) = user();
    let now = together.now();
    let signature = secret.sign(format!("store5{now}").as_bytes());
    let signed = |signature: [u8; 64]| {
        move |fields: &mut BTreeMap<Vec<u8>, Bt>| {
            fields.insert(b"namespace".to_vec(), Bt::Int(5));
            fields.insert(b"pubkey_ed25519".to_vec(), bytes(&user().0.public().0));
            fields.insert(b"signature".to_vec(), bytes(&signature));
            fields.insert(b"sig_timestamp".to_vec(), Bt::from(now));
        }
    };
    let params = [
        together.params(b"first", |_| {}),
        b"no dict".to_vec(),
        together.params(b"signed", signed(signature)),
        together.params(b"forged", signed([7; 64])),
        together.params(b"unsigned", |fields| drop(fields.insert(b"namespace".to_vec(), Bt::Int(5)))),
        together.params(b"without an account", |fields| drop(fields.remove(b"pubkey".as_slice()))),
        together.params(b"of the future", |fields| drop(fields.insert(b"timestamp".to_vec(), Bt::from(u64::MAX)))),
        together.params(&[0; 80_000], |_| {}),
        together.params(b"first", |_| {}),
        together.params(b"last", |_| {}),
    ];
    let replies = together.stores(&params).await;
    assert_eq!(statuses(&replies), [200, 400, 200, 401, 401, 400, 403, 400, 200, 200]);
    assert_eq!(field(&replies[0], "already"), None);
    assert_eq!(field(&replies[8], "already").as_deref(), Some("true"));
    for (params, reply) in params.iter().zip(&replies) {
        let one = alone.nodes[0].call_forwarded("store", params, None).await;
        assert_eq!((one.status, one.body), (reply.status, reply.body.clone()));
    }
    assert_eq!(together.held(0), alone.held(0));
    assert_eq!(together.held(0).len(), 2);
    // Each is counted, by what became of it.
    let count = |net: &Fixture| {
        let requests = net.nodes[0].metrics().requests().into_iter();
        requests.map(|one| (one.via, one.method, one.status.code(), one.count)).collect::<Vec<_>>()
    };
    assert_eq!(count(&together), count(&alone));
}

#[tokio::test]
async fn so_many_that_they_are_signed_together_are_signed_by_this_node() {
    let net = fixture(1);
    let params: Vec<_> = (0..40_u8).map(|number| net.params(&[number], |_| {})).collect();
    let replies = net.stores(&params).await;
    assert_eq!(net.held(0).len(), 40);
    for reply in &replies {
        let entry = reply.json_body();
        all_sign(&json!({net.nodes[0].own.to_string(): entry}), entry["hash"].as_str().unwrap());
    }
    assert_eq!(net.nodes[0].sign_batches().sum, 40);
}

/// `spec/transports` §2.1b, between members.
#[tokio::test]
async fn what_comes_later_on_a_connection_takes_effect_later() {
    let net = fixture(1);
    let pipeline = Pipeline::default();
    let [before, stores, after] = std::array::from_fn(|_| pipeline.ticket());
    let node = &net.nodes[0];
    let one = |data| vec![net.params(data, |_| {})];
    // The last is carried out first, if nothing holds it up.
    let later = node.call_forwarded_stores(one(b"x"), Some(after));
    let stored = node.call_forwarded_stores(vec![net.params(b"x", |_| {}), net.params(b"y", |_| {})], Some(stores));
    let first = node.call_forwarded_stores(one(b"y"), Some(before));
    let (later, stored, first) = futures_util::join!(later, stored, first);
    let already = |replies: &[Reply]| replies.iter().map(|reply| field(reply, "already").is_some()).collect::<Vec<_>>();
    assert_eq!((already(&first), already(&stored), already(&later)), (vec![false], vec![false, true], vec![true]));
    assert!(pipeline.is_idle());
}

#[tokio::test]
async fn those_that_there_is_no_place_for_are_refused() {
    let net = fixture(1);
    let places = Arc::clone(&net.nodes[0].writing);
    let taken = places.acquire_many_owned(u32::try_from(MAX_WRITING - 2).unwrap()).await.unwrap();
    let params: Vec<_> = (0..4_u8).map(|number| net.params(&[number], |_| {})).collect();
    assert_eq!(statuses(&net.stores(&params).await), [200, 200, 503, 503]);
    drop(taken);
    assert_eq!(statuses(&net.stores(&params).await), [200; 4]);
    assert_eq!(net.nodes[0].writing.available_permits(), MAX_WRITING);
}
