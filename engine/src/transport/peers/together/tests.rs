//! Against a node whose answers the test writes, over sockets.

use std::net::{Ipv4Addr, UdpSocket};

use futures_util::future::join_all;
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use tokio::sync::Semaphore;

use super::{super::*, *};
use crate::{
    bencode::Bt,
    crypto::{Ed25519Secret, Identity},
    replicate::PeerLink,
    swarm::{NodeInfo, SwarmId},
    transport::quic::{
        ALPN, ALPN_NODES, client, client_endpoint,
        config::{ACCEPTED, ALPN_ALLIUM_1, BETWEEN_NODES, MAX_FRAME, endpoint},
        frame::{self, Frames, QuicMessage},
    },
    types::{LegacyPublicKey, X25519PublicKey},
};

const LIMIT: Duration = Duration::from_secs(30);

/// The params of each command in a message of this kind.
fn each(command: &str, body: BytesMut) -> Vec<Bytes> {
    if command == "stores" {
        return stores::each(body).unwrap().into_iter().map(BytesMut::freeze).collect();
    }
    let Ok(Bt::List(parts)) = Bt::parse(&body) else { panic!("{body:?}") };
    let [Bt::Bytes(_), Bt::Bytes(params)] = parts.as_slice() else { panic!("{parts:?}") };
    vec![params.clone().into()]
}

/// An answer to a message with these params; `None`: the connection ends.
type Answer = fn(Vec<Bytes>) -> Option<Result<Vec<u8>, Vec<u8>>>;

/// A node that answers as it is told, and what has come to it.
struct Other {
    peers: Peers,
    node: Arc<NodeInfo>,
    /// Kind and number of commands of each message.
    seen: Arc<Mutex<Vec<(String, usize)>>>,
    _endpoints: [Endpoint; 2],
}

/// Takes the application protocols `accepted`.
async fn other(accepted: &[&[u8]], answer: Answer) -> Other {
    let identity = Arc::new(Identity::new(&[1; 32], LegacyPublicKey([1; 32])));
    let theirs = Ed25519Secret::from_seed(&[2; 32]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let server = endpoint(socket, accepted, &theirs).unwrap();
    let seen = Arc::<Mutex<Vec<_>>>::default();
    tokio::spawn(serve(server.clone(), answer, Arc::clone(&seen)));
    let client = client_endpoint("127.0.0.1:0".parse().unwrap()).unwrap();
    let own = &identity.ed25519;
    let connection = client::connect(&client, address, theirs.public(), own, BETWEEN_NODES, LIMIT).await.unwrap();
    let quic = QuicPeers::new(Arc::clone(&identity), true);
    quic.add(theirs.public(), connection, true).await;
    let node = NodeInfo {
        legacy: LegacyPublicKey([2; 32]),
        ed25519: theirs.public(),
        x25519: X25519PublicKey([2; 32]),
        ip: Ipv4Addr::LOCALHOST,
        https_port: address.port(),
        omq_port: address.port(),
        swarm: SwarmId(0),
        version: [2, 8, 0],
        requested_unlock_height: 0,
    };
    let omq = Arc::new(OmqPeers::new().unwrap());
    let peers = Peers::new(omq, quic, Arc::default(), Arc::default());
    Other { peers, node: Arc::new(node), seen, _endpoints: [server, client] }
}

async fn serve(server: Endpoint, answer: Answer, seen: Arc<Mutex<Vec<(String, usize)>>>) {
    let connection = server.accept().await.unwrap().await.unwrap();
    while let Ok((send, receive)) = connection.accept_bi().await {
        tokio::spawn(stream(connection.clone(), send, receive, answer, Arc::clone(&seen)));
    }
}

async fn stream(
    connection: Connection,
    mut send: SendStream,
    receive: RecvStream,
    answer: Answer,
    seen: Arc<Mutex<Vec<(String, usize)>>>,
) {
    let mut frames = Frames::new(receive, Arc::new(Semaphore::new(MAX_FRAME)), None, MAX_FRAME);
    while let Ok(Some((message, _share))) = frames.next().await {
        let Ok(QuicMessage::Command { rid, endpoint, body }) = QuicMessage::parse(message) else { panic!() };
        let endpoint = String::from_utf8(endpoint.to_vec()).unwrap();
        let params = each(&endpoint, body);
        seen.lock().push((endpoint, params.len()));
        let Some(told) = answer(params) else { return connection.close(0_u32.into(), b"") };
        let told = told.map(Bytes::from).map_err(Bytes::from);
        send.write_all_chunks(&mut frame::answer(rid, told)).await.unwrap();
    }
}

impl Other {
    /// Passes these on as if they came at the same moment; what became of each.
    async fn forward(&self, commands: &[(&'static str, Bytes)]) -> Vec<MemberAnswer> {
        let ask =
            |(method, params): &(&'static str, Bytes)| self.peers.forward(&self.node, method, params.clone(), LIMIT);
        join_all(commands.iter().map(ask)).await
    }

    fn seen(&self) -> Vec<(String, usize)> {
        std::mem::take(&mut *self.seen.lock())
    }
}

fn number(number: usize) -> Bt {
    Bt::dict([("n", Bt::from(number as u64))])
}

fn commands(method: &'static str, count: usize) -> Vec<(&'static str, Bytes)> {
    (0..count).map(|n| (method, number(n).encode().into())).collect()
}

/// The result of each is its params.
#[expect(clippy::unnecessary_wraps, reason = "an `Answer`")]
fn echo(params: Vec<Bytes>) -> Option<Result<Vec<u8>, Vec<u8>>> {
    let each = params.iter().map(|params| Ok([b"li200e", params.as_ref(), b"e"].concat()));
    Some(Ok(stores::answer(each)))
}

/// As [`echo`], of one command by itself.
#[expect(clippy::unnecessary_wraps, reason = "an `Answer`")]
fn echo_alone(params: Vec<Bytes>) -> Option<Result<Vec<u8>, Vec<u8>>> {
    let [params] = params.as_slice() else { return Some(Err(b"400 Bad Request\n\n".to_vec())) };
    Some(Ok([b"li200e", params.as_ref(), b"e"].concat()))
}

fn messages(sizes: &[(&str, usize)]) -> Vec<(String, usize)> {
    sizes.iter().map(|(kind, size)| ((*kind).to_owned(), *size)).collect()
}

#[tokio::test]
async fn stores_that_are_ready_together_go_together() {
    let other = other(ACCEPTED, echo).await;
    let told = other.forward(&commands("store", MOST + 6)).await;
    let want: Vec<MemberAnswer> = (0..MOST + 6).map(|n| MemberAnswer::Done(number(n))).collect();
    assert_eq!(told, want);
    assert_eq!(other.seen(), messages(&[("stores", MOST), ("stores", 6)]));
    // One that is alone does not wait for others.
    assert_eq!(other.forward(&commands("store", 1)).await, [MemberAnswer::Done(number(0))]);
    assert_eq!(other.seen(), messages(&[("stores", 1)]));
    // However many there are, a message has an end.
    let large = vec![("store", Bytes::from(vec![b'x'; MOST_BYTES / 4])); 6];
    other.forward(&large).await;
    assert_eq!(other.seen(), messages(&[("stores", 4), ("stores", 2)]));
    assert_eq!(other.peers.quic().together().sum, (MOST + 6 + 1 + 6) as u64);
}

#[tokio::test]
async fn what_is_no_store_keeps_its_place() {
    let other = other(ACCEPTED, |params| Some(Ok(params.concat()))).await;
    let all = [commands("store", 2), commands("delete", 1), commands("store", 3), commands("expire", 2)].concat();
    other.forward(&all).await;
    let want = [("stores", 2), ("storage_cc", 1), ("stores", 3), ("storage_cc", 1), ("storage_cc", 1)];
    assert_eq!(other.seen(), messages(&want));
}

#[tokio::test]
async fn each_has_an_outcome_of_its_own() {
    let refused = |code: &str, reason: &str| MemberAnswer::Refused { code: code.into(), reason: reason.into() };
    // One is refused, and the answer ends before the last two.
    let half: Answer = |_| {
        let done = || Ok(b"li200edee".to_vec());
        Some(Ok(stores::answer([done(), Err(b"401 Unauthorized\n\nno".to_vec()), done()])))
    };
    let done = || MemberAnswer::Done(Bt::dict::<&str>([]));
    let told = other(ACCEPTED, half).await.forward(&commands("store", 5)).await;
    assert_eq!(told, [done(), refused("401", "no"), done(), MemberAnswer::TimedOut, MemberAnswer::TimedOut]);
    assert!(told[3].is_missed() && !told[1].is_missed());
    // All are refused; what comes makes no sense.
    let busy = other(ACCEPTED, |_| Some(Err(b"503 Service Unavailable\n\nbusy".to_vec()))).await;
    assert_eq!(busy.forward(&commands("store", 2)).await, [refused("503", "busy"), refused("503", "busy")]);
    let bad = other(ACCEPTED, |_| Some(Ok(b"nonsense".to_vec()))).await;
    assert_eq!(bad.forward(&commands("store", 2)).await, [MemberAnswer::Bad, MemberAnswer::Bad]);
}

#[tokio::test]
async fn whoever_hangs_up_has_missed_all() {
    let other = other(ACCEPTED, |_| None).await;
    let all = [commands("store", 3), commands("delete", 1), commands("store", 1)].concat();
    assert_eq!(other.forward(&all).await, vec![MemberAnswer::TimedOut; 5]);
    assert_eq!(other.seen()[0], ("stores".to_owned(), 3));
}

/// The bytes of one of before are those that it has always had.
#[tokio::test]
async fn a_node_that_does_not_know_the_message_gets_each_by_itself() {
    for accepted in [&[ALPN_ALLIUM_1, ALPN_NODES, ALPN][..], &[ALPN_NODES, ALPN]] {
        let other = other(accepted, echo_alone).await;
        assert_eq!(other.peers.is_allium(&other.node), accepted.contains(&ALPN_ALLIUM_1));
        let told = other.forward(&commands("store", 3)).await;
        assert_eq!(told, [0, 1, 2].map(|n| MemberAnswer::Done(number(n))));
        assert_eq!(other.seen(), messages(&[("storage_cc", 1); 3]));
        assert_eq!(other.peers.quic().together().sum, 0);
    }
}

#[tokio::test]
async fn what_nobody_waits_for_is_not_sent_and_no_more_waits_than_may() {
    let other = other(ACCEPTED, echo).await;
    let peer = other.peers.quic().get(&other.node).unwrap();
    let line = &peer.line;
    let forwarded = || {
        let (asker, coming) = oneshot::channel();
        let params = Bytes::from(vec![0; 1 << 20]);
        (Forwarded { method: "store", params, limit: LIMIT, asker }, coming)
    };
    let mut coming = Vec::new();
    let full = loop {
        let (one, answer) = forwarded();
        match line.push(one) {
            Ok(first) => assert_eq!(first, coming.is_empty()),
            Err(full) => break full,
        }
        coming.push(answer);
    };
    assert_eq!((full, coming.len()), (PeerError::Congested, 15));
    // The first has gone, the last too.
    coming.remove(0);
    coming.pop();
    let sent: Vec<usize> = std::iter::from_fn(|| line.take()).map(|batch| batch.len()).collect();
    assert_eq!(sent, vec![1; 13]);
    let waiting = line.waiting.lock();
    assert_eq!((waiting.forwarded.len(), waiting.bytes, waiting.sending), (0, 0, false));
}
