//! Connections between nodes (`spec/transports` §3.4): one per pair, used by both sides whoever opened it.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use quinn::{Connection, Endpoint, VarInt};
use tokio::{runtime::Handle, sync::Notify};

use super::together::{Line, command_body, command_parts};
use crate::{
    crypto::Identity,
    metrics::{Distribution, Histograms},
    replicate::{PeerError, RECONCILE},
    swarm::{NodeInfo, Snapshot},
    transport::quic::{
        QuicError,
        client::connect,
        config::{BETWEEN_NODES, Protocol},
        frame::{self, BadFraming},
        stream::RequestStream,
    },
    types::Ed25519PublicKey,
};

const CONNECT: Duration = Duration::from_secs(5);
const FIRST_CONTACT: Duration = Duration::from_secs(2);
/// How long a node that has no QUIC, or does not let us in, is left alone.
const REFUSED: Duration = Duration::from_secs(600);
/// When both sides have opened a connection, how long either is used: who ends one does so after 20 s (`spec/transports`
/// §3.4), and with it what others still wait for.
const BOTH: Duration = if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(10) };
/// How much longer the one that goes is kept here, until all that was asked on it is answered.
const LAST_ANSWERS: Duration = if cfg!(test) { Duration::from_millis(500) } else { Duration::from_secs(45) };
/// Application codes of closing.
const DUPLICATE: VarInt = VarInt::from_u32(6);
const NO_NODE: VarInt = VarInt::from_u32(7);
const GONE: VarInt = VarInt::from_u32(0);
const ONION_STREAMS: usize = 4;
/// Bytes that one onion stream may have under way.
const CONGESTED: usize = 16 << 20;

/// Serves what the other end of a connection asks.
pub(crate) trait PeerServer: Send + Sync {
    /// Until the connection ends.
    fn serve<'a>(
        self: Arc<Self>,
        node: &'a Ed25519PublicKey,
        connection: Connection,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
}

/// A connection to another node, and our streams on it.
pub struct PeerConnection {
    connection: Connection,
    commands: Arc<RequestStream>,
    data: RequestStream,
    onions: Vec<RequestStream>,
    ours: bool,
    /// Whether the other end takes many stores in one message.
    pub(super) takes_stores: bool,
    /// What waits to be passed on to such a one.
    pub(super) line: Arc<Line>,
}

impl PeerConnection {
    async fn open(connection: Connection, ours: bool, sizes: Arc<Histograms>) -> Result<Self, QuicError> {
        let commands = Arc::new(RequestStream::open(&connection, None).await?);
        let data = RequestStream::open(&connection, None).await?;
        let mut onions = Vec::with_capacity(ONION_STREAMS);
        for _ in 0..ONION_STREAMS {
            onions.push(RequestStream::open(&connection, None).await?);
        }
        let takes_stores = Protocol::of(&connection) == Protocol::Allium { stores: true };
        let line = Arc::new(Line::new(Arc::clone(&commands), sizes));
        Ok(Self { connection, commands, data, onions, ours, takes_stores, line })
    }

    pub(super) fn is_open(&self) -> bool {
        self.connection.close_reason().is_none()
    }

    /// How often the other end has said what it has received.
    pub(super) fn acknowledgements(&self) -> u64 {
        self.connection.stats().frame_rx.acks
    }

    /// Gives the connection up: whoever waits for an answer learns it.
    pub fn give_up(&self) {
        self.connection.close(GONE, b"");
    }

    /// Whether the other end answers on this connection.
    pub async fn ping(&self, limit: Duration) -> bool {
        self.commands.request("snode_ping", Bytes::new(), limit).await.is_ok()
    }

    /// How long nothing has come.
    #[must_use]
    pub fn silence(&self) -> Duration {
        let others = [self.commands.as_ref(), &self.data];
        let heard = self.onions.iter().chain(others).map(RequestStream::heard).max();
        heard.map_or(Duration::ZERO, |heard| heard.elapsed())
    }

    /// Asks as OMQ would: parts in, parts out.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn request(
        &self,
        command: &'static str,
        parts: &[Bytes],
        limit: Duration,
    ) -> Result<Vec<Bytes>, PeerError> {
        match command {
            "sn.onion_request" => {
                let stream = self.onions.iter().min_by_key(|stream| stream.outstanding());
                let Some(stream) = stream.filter(|stream| stream.outstanding() < CONGESTED) else {
                    return Err(PeerError::Congested);
                };
                match stream.request("onion_request", parts.first().cloned().unwrap_or_default(), limit).await {
                    Ok(reply) => Ok(onion_parts(reply).unwrap_or_default()),
                    Err(QuicError::Refused(text)) => Ok(vec![Bytes::from_static(b"502"), text.into()]),
                    Err(QuicError::Timeout | QuicError::Connection(_)) => Err(PeerError::Timeout),
                }
            }
            "sn.data" => match self.data.request("data", parts.concat(), limit).await {
                Ok(reply) => Ok(vec![reply.freeze()]),
                Err(QuicError::Refused(text)) => Ok(vec![Bytes::from_static(b"500"), text.into()]),
                Err(QuicError::Timeout | QuicError::Connection(_)) => Err(PeerError::Timeout),
            },
            "sn.data_ready" => match self.commands.request("data_ready", parts.concat(), limit).await {
                Ok(reply) => Ok(vec![reply.freeze()]),
                Err(QuicError::Refused(reply)) => Ok(vec![reply.into()]),
                Err(QuicError::Timeout | QuicError::Connection(_)) => Err(PeerError::Timeout),
            },
            RECONCILE => match self.data.request("reconcile", parts.concat(), limit).await {
                Ok(reply) => Ok(vec![reply.into()]),
                Err(QuicError::Refused(text)) => Ok(vec![Bytes::from_static(b"500"), text.into()]),
                Err(QuicError::Timeout | QuicError::Connection(_)) => Err(PeerError::Timeout),
            },
            "sn.storage_cc" => command_parts(self.commands.request("storage_cc", command_body(parts), limit).await),
            _ => Err(PeerError::Refused(format!("no such command over QUIC: {command}"))),
        }
    }
}

/// `[code, body]` as OMQ's two parts; something else has fewer, which makes it an invalid answer.
fn onion_parts(mut reply: BytesMut) -> Result<Vec<Bytes>, BadFraming> {
    frame::open_list(&mut reply)?;
    let code = frame::take_int(&mut reply)?;
    let body = frame::take_string(&mut reply)?;
    frame::close_list(&reply)?;
    Ok(vec![code.to_string().into(), body.freeze()])
}

enum PeerState {
    /// Somebody is at it.
    Connecting,
    Up(Arc<PeerConnection>),
    /// Not before then.
    Down(Instant),
}

/// What it takes to connect and to serve the connection. Gone once the node closes.
#[derive(Clone)]
struct Listening {
    endpoint: Endpoint,
    server: Arc<dyn PeerServer>,
    runtime: Handle,
}

/// Every connection to another node.
pub struct QuicPeers {
    identity: Arc<Identity>,
    wanted: bool,
    listening: Mutex<Option<Listening>>,
    states: Mutex<HashMap<Ed25519PublicKey, PeerState>>,
    /// Nodes whose last connection was one of Allium. Who is not reached any more may come back as another make.
    allium: Mutex<HashSet<Ed25519PublicKey>>,
    /// Stores in one message to another node.
    together: Arc<Histograms>,
    /// Somebody has been connected to, or could not be.
    changed: Notify,
}

impl QuicPeers {
    /// Connects to nobody until the endpoint listens; `wanted`: whether to at all.
    #[must_use]
    pub fn new(identity: Arc<Identity>, wanted: bool) -> Arc<Self> {
        Arc::new(Self {
            identity,
            wanted,
            listening: Mutex::default(),
            states: Mutex::default(),
            allium: Mutex::default(),
            together: Line::sizes(),
            changed: Notify::new(),
        })
    }

    pub(crate) fn listen(&self, endpoint: Endpoint, server: Arc<dyn PeerServer>) {
        *self.listening.lock() = Some(Listening { endpoint, server, runtime: Handle::current() });
    }

    /// From here on there is no connection.
    pub(crate) fn close(&self) {
        *self.listening.lock() = None;
        self.states.lock().clear();
        self.allium.lock().clear();
    }

    /// The connection to `node`, if there is one; if not, one is opened for later use.
    #[must_use]
    pub fn get(self: &Arc<Self>, node: &Arc<NodeInfo>) -> Option<Arc<PeerConnection>> {
        if !self.wanted {
            return None;
        }
        let mut states = self.states.lock();
        match states.get(&node.ed25519) {
            // There is none once nobody listens.
            Some(PeerState::Up(peer)) if peer.is_open() => return Some(Arc::clone(peer)),
            Some(PeerState::Connecting) => return None,
            Some(PeerState::Down(until)) if *until > Instant::now() => return None,
            _ => {}
        }
        let Listening { endpoint, server, runtime } = self.listening.lock().clone()?;
        states.insert(node.ed25519, PeerState::Connecting);
        let (peers, node) = (Arc::clone(self), Arc::clone(node));
        runtime.spawn(async move {
            let address = SocketAddr::new(node.ip.into(), node.omq_port);
            let own = &peers.identity.ed25519;
            match connect(&endpoint, address, node.ed25519, own, BETWEEN_NODES, CONNECT).await {
                Ok(connection) => {
                    peers.add(node.ed25519, connection.clone(), true).await;
                    Arc::clone(&server).serve(&node.ed25519, connection).await;
                }
                Err(_) => {
                    let mut states = peers.states.lock();
                    if !matches!(states.get(&node.ed25519), Some(PeerState::Up(_))) {
                        peers.allium.lock().remove(&node.ed25519);
                        states.insert(node.ed25519, PeerState::Down(Instant::now() + REFUSED));
                    }
                    drop(states);
                    peers.changed.notify_waiters();
                }
            }
        });
        None
    }

    /// A connection that stands. When both sides opened one, one of them goes after a while.
    pub(crate) async fn add(self: &Arc<Self>, key: Ed25519PublicKey, connection: Connection, ours: bool) {
        let is_allium = Protocol::of(&connection).is_allium();
        let Ok(peer) = PeerConnection::open(connection, ours, Arc::clone(&self.together)).await else { return };
        let peer = Arc::new(peer);
        let before = {
            let mut states = self.states.lock();
            if is_allium {
                self.allium.lock().insert(key);
            } else {
                self.allium.lock().remove(&key);
            }
            states.insert(key, PeerState::Up(Arc::clone(&peer)))
        };
        self.changed.notify_waiters();
        let Some(PeerState::Up(other)) =
            before.filter(|state| matches!(state, PeerState::Up(other) if other.is_open()))
        else {
            return;
        };
        let own = self.identity.ed25519.public();
        let peers = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(BOTH).await;
            // What the node with the higher key opened goes; of two in one direction, the older.
            let ours_goes = own.0 > key.0;
            let (stays, goes) =
                if other.ours == peer.ours || other.ours == ours_goes { (peer, other) } else { (other, peer) };
            if stays.is_open() {
                peers.states.lock().insert(key, PeerState::Up(stays));
                tokio::time::sleep(LAST_ANSWERS).await;
                goes.connection.close(DUPLICATE, b"");
            }
        });
    }

    /// The connection did not do what it is for: it is closed, and another may be tried soon.
    pub fn lost(&self, node: &NodeInfo, peer: &PeerConnection, again_in: Duration) {
        peer.give_up();
        self.states.lock().insert(node.ed25519, PeerState::Down(Instant::now() + again_in));
    }

    /// Closes connections to those who are no nodes any more, and forgets them and old failures.
    pub fn tidy(&self, network: &Snapshot) {
        self.allium.lock().retain(|key| network.by_ed25519(key).is_some());
        let now = Instant::now();
        self.states.lock().retain(|key, state| match state {
            PeerState::Up(peer) if network.by_ed25519(key).is_none() => {
                peer.connection.close(NO_NODE, b"");
                false
            }
            PeerState::Up(peer) => peer.is_open(),
            PeerState::Connecting => true,
            PeerState::Down(until) => *until > now,
        });
    }

    /// Who this node is.
    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The endpoint, while it listens.
    pub(super) fn endpoint(&self) -> Option<Endpoint> {
        self.listening.lock().as_ref().map(|listening| listening.endpoint.clone())
    }

    /// Waits until there is a connection to `node`, or none to be had; not for long.
    pub async fn contacted(self: &Arc<Self>, node: &Arc<NodeInfo>) {
        let contact = async {
            loop {
                let mut changed = std::pin::pin!(self.changed.notified());
                changed.as_mut().enable();
                let connected = self.get(node).is_some();
                if connected || !matches!(self.states.lock().get(&node.ed25519), Some(PeerState::Connecting)) {
                    return;
                }
                changed.await;
            }
        };
        let _ = tokio::time::timeout(FIRST_CONTACT, contact).await;
    }

    /// Whether a node, when it was last reached, spoke as Allium does.
    pub fn is_allium(&self, node: &NodeInfo) -> bool {
        self.allium.lock().contains(&node.ed25519)
    }

    /// Stores sent in one message.
    #[must_use]
    pub fn together(&self) -> Distribution {
        self.together.read(0)
    }

    /// Connections that stand.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.states.lock().values().filter(|state| matches!(state, PeerState::Up(peer) if peer.is_open())).count()
    }
}
