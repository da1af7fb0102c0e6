//! What every method works with: the node's parts, the swarm as a request finds it, the checks of time and proof, and what
//! answers have in common (`spec/node-rpc`).

use std::{borrow::Cow, collections::BTreeMap, pin::Pin, sync::Arc, time::Instant};

use tokio::sync::Semaphore;

use super::{
    auth::Auth,
    counts::RequestCounts,
    custom_methods::CustomMethods,
    daemon::Daemon,
    limit,
    metrics::{RequestMetrics, Via},
    monitors::Monitors,
    pipeline::Turn,
    receiving::Receiving,
    reply::Reply,
    room::AnswerRoom,
    signer::Signer,
    status::{BUSY, Status},
    value::Value,
    verifier::Verifier,
    version::Version,
};
use crate::{
    batch::{Full, Source},
    clock::Clock,
    crypto::Identity,
    replicate::{PeerLink, Redelivery},
    store::Store,
    swarm::{Network, NodeInfo, Snapshot, SwarmId},
    types::{AccountId, Ed25519PublicKey, MessageHash, Millis},
};

/// What is answered to whoever wants messages kept, by a node that keeps none.
pub const KEEPS_NOTHING: &str = "This node keeps no messages";

/// Requests that write, under way at once, whether or not somebody waits for them.
pub(super) const MAX_WRITING: usize = 4096;
/// Questions to the network's daemon that wait for their answers at once.
pub(super) const MAX_ASKING: usize = 4;

/// What a node has that keeps messages.
pub struct Storage {
    /// Its messages.
    pub store: Store,
    /// Keeps what other members have missed.
    pub redelivery: Arc<Redelivery>,
}

/// What a request is executed with.
pub struct RpcParts {
    /// What keeps this node's messages, if it keeps any.
    pub storage: Option<Storage>,
    /// The picture of the network.
    pub network: Arc<Network>,
    /// How many subscriptions there may be.
    pub subscriptions: usize,
    /// This node's keys.
    pub identity: Arc<Identity>,
    /// Its clock.
    pub clock: Clock,
    /// Its way to other nodes.
    pub peers: Arc<dyn PeerLink>,
    /// Verifies signatures.
    pub verifier: Verifier,
    /// The network's daemon, where there is one.
    pub daemon: Option<Arc<dyn Daemon>>,
    /// What is handed over to whoever embeds the engine.
    pub own: Option<CustomMethods>,
    /// What it advertises.
    pub version: Version,
}

/// Who sent a request: a client's is passed on to the swarm, a peer's is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Client,
    /// Another Allium node says when the swarm took it from the client, which may be long ago.
    Peer {
        at: Option<Millis>,
        /// The latest expiry that it allowed the client.
        latest: Option<Millis>,
    },
}

/// How and when a request came, its turn among those of its connection, given back once its effect can be seen, and the room
/// that the whole answer has.
pub(super) struct CallContext {
    pub(super) via: Via,
    pub(super) came: Instant,
    pub(super) turn: Option<Arc<Turn>>,
    pub(super) room: AnswerRoom,
}

impl CallContext {
    pub(super) fn new(via: Via) -> Self {
        Self { via, came: Instant::now(), turn: None, room: AnswerRoom::new() }
    }

    /// Of a part of a request whose turn this is.
    pub(super) fn within(turn: Option<&Arc<Turn>>, room: &AnswerRoom) -> Self {
        Self { via: Via::Batch, came: Instant::now(), turn: turn.map(Arc::clone), room: room.clone() }
    }
}

/// The swarm that this node is in, and what it has as a member.
pub(super) struct SwarmView<'a> {
    pub(super) store: &'a Store,
    pub(super) redelivery: &'a Redelivery,
    pub(super) account: AccountId,
    /// As the request found it.
    pub(super) network: Arc<Snapshot>,
    /// The other members.
    pub(super) replicas: Vec<Arc<NodeInfo>>,
}

/// The fields of an answer.
pub(super) type Entries = BTreeMap<Cow<'static, str>, Value>;
/// An answer that is under way.
pub(super) type Answering<'a> = Pin<Box<dyn Future<Output = Reply> + Send + 'a>>;

impl SwarmView<'_> {
    /// The time of a change: it does nothing to what is later.
    pub(super) fn time_of_change(&self, account: &AccountId, origin: Origin) -> Millis {
        match origin {
            Origin::Peer { at: Some(at), .. } => at,
            Origin::Peer { at: None, .. } | Origin::Client => self.store.stamp_change(account),
        }
    }
}

/// Executes requests. One for a node, shared by its transports.
pub struct Rpc {
    pub(super) parts: RpcParts,
    pub(super) own: Ed25519PublicKey,
    pub(super) signer: Signer,
    pub(super) monitors: Monitors,
    pub(super) counts: RequestCounts,
    pub(super) metrics: RequestMetrics,
    pub(super) receiving: Receiving,
    /// Requests under way that write.
    pub(super) writing: Arc<Semaphore>,
    /// Questions under way to the network's daemon.
    pub(super) asking: Semaphore,
}

impl Rpc {
    /// `account`'s swarm, or the 421 that names the members of the right one.
    pub(super) fn swarm_view(&self, account: &AccountId) -> Result<SwarmView<'_>, Reply> {
        let network = self.parts.network.load();
        let swarm = network.swarm_of(account);
        let own = network.by_ed25519(&self.own).map(|node| node.swarm);
        match swarm {
            Some(swarm) if own == Some(swarm) => {
                let Some(Storage { store, redelivery }) = &self.parts.storage else {
                    return Err(Reply::text(Status::SERVICE_UNAVAILABLE, KEEPS_NOTHING));
                };
                let replicas = network.members(swarm).iter().filter(|node| node.ed25519 != self.own).map(Arc::clone);
                let replicas = replicas.collect();
                Ok(SwarmView { store, redelivery, account: *account, network, replicas })
            }
            None if self.parts.version.says_no_swarms() => {
                Err(Reply::text(Status::INTERNAL_SERVER_ERROR, "No swarms known!"))
            }
            _ => {
                let body = Value::Dict(self.swarm_answer(&network, account));
                Err(Reply::value(Status::MISDIRECTED_REQUEST, body))
            }
        }
    }

    pub(super) fn near_now(&self, time: Millis, tolerance: u64, text: &'static str) -> Result<(), Reply> {
        self.near(time, tolerance, Origin::Client, text)
    }

    /// Whether `time` is about now, or about when the swarm took the request.
    pub(super) fn near(&self, time: Millis, tolerance: u64, origin: Origin, text: &'static str) -> Result<(), Reply> {
        let is_near = |now: Millis| time >= now.minus(tolerance) && time <= now.plus(tolerance);
        if is_near(self.parts.clock.now()) || is_near(self.taken(origin)) {
            return Ok(());
        }
        Err(Reply::text(Status::NOT_ACCEPTABLE, text))
    }

    /// The earlier of now and when the swarm took the request.
    pub(super) fn taken(&self, origin: Origin) -> Millis {
        let now = self.parts.clock.now();
        match origin {
            Origin::Peer { at: Some(at), .. } if at > now.minus(limit::MAX_TTL) => at.min(now),
            _ => now,
        }
    }

    /// A time that another member names, as far as its clock may be ahead.
    pub(super) fn believable(&self, time: Millis) -> Millis {
        time.min(self.parts.clock.now().plus(limit::SIGNATURE))
    }

    /// Refuses what is not signed for by whoever may do it.
    pub(super) async fn proven(
        &self,
        view: &SwarmView<'_>,
        (auth, account): (&Auth, &AccountId),
        text: impl AsRef<[u8]> + Send,
        flags: u8,
        revocable: bool,
        refusal: &'static str,
    ) -> Result<(), Reply> {
        let proofs = auth.proofs(view.store, account, text.as_ref(), flags, revocable).map_err(|error| {
            tracing::error!(%error, "revocations could not be read");
            Reply::text(Status::INTERNAL_SERVER_ERROR, "request failed")
        })?;
        let holds = match proofs {
            Some(proofs) => self.parts.verifier.all(Source::of(&account.key()), proofs).await,
            None => Ok(false),
        };
        match holds {
            Ok(true) => Ok(()),
            Ok(false) => Err(Reply::text(Status::UNAUTHORIZED, refusal)),
            Err(Full) => Err(busy()),
        }
    }

    pub(super) fn time(&self) -> Value {
        Value::Uint(self.parts.clock.now().0)
    }

    /// Adds `t` and `hf`.
    pub(super) fn stamp(&self, entries: &mut Entries) {
        let hardfork = self.parts.network.load().hardfork;
        entries.insert("t".into(), self.time());
        entries.insert("hf".into(), Value::Hardfork(hardfork));
    }

    /// Of `text`, in an answer about `account`.
    pub(super) async fn signature(&self, account: &AccountId, text: &[u8]) -> Value {
        Value::Bytes(self.signer.sign(Source::of(&account.key()), text).await.to_vec())
    }

    pub(super) async fn signed_entries(
        &self,
        account: &AccountId,
        name: &'static str,
        result: Value,
        signed: &[u8],
    ) -> Entries {
        Entries::from([(name.into(), result), ("signature".into(), self.signature(account, signed).await)])
    }

    /// `get_swarm`'s answer, which is also the body of a 421.
    pub(super) fn swarm_answer(&self, network: &Snapshot, account: &AccountId) -> Entries {
        let swarm = network.swarm(account);
        let (id, members) = swarm.map_or((SwarmId::UNASSIGNED, &[][..]), |swarm| (swarm.id, swarm.members));
        let mut entries = Entries::new();
        let all = !self.parts.version.leaves_out_unreachable();
        let told = members.iter().filter(|node| all || node.is_reachable());
        entries.insert("snodes".into(), Value::List(told.map(|node| snode(node)).collect()));
        entries.insert("swarm".into(), Value::text(id.to_string()));
        self.stamp(&mut entries);
        entries
    }
}

pub(super) fn busy() -> Reply {
    Reply::text(Status::SERVICE_UNAVAILABLE, BUSY)
}

pub(super) const fn tolerance(origin: Origin) -> u64 {
    match origin {
        Origin::Client => limit::SIGNATURE,
        Origin::Peer { .. } => limit::SIGNATURE_FORWARDED,
    }
}

pub(super) fn sorted(hashes: Vec<MessageHash>) -> Vec<String> {
    let mut texts: Vec<String> = hashes.iter().map(MessageHash::to_string).collect();
    texts.sort_unstable();
    texts
}

pub(super) fn texts(hashes: Vec<String>) -> Value {
    Value::List(hashes.into_iter().map(Value::text).collect())
}

fn snode(node: &NodeInfo) -> Value {
    Value::dict([
        ("address", Value::text(format!("{}.snode", base32z(&node.legacy.0)))),
        ("pubkey_legacy", Value::text(node.legacy.to_string())),
        ("pubkey_x25519", Value::text(node.x25519.to_string())),
        ("pubkey_ed25519", Value::text(node.ed25519.to_string())),
        ("port", Value::text(node.https_port.to_string())),
        ("port_https", Value::Int(node.https_port.into())),
        ("port_omq", Value::Int(node.omq_port.into())),
        ("port_quic", Value::Int(node.omq_port.into())),
        ("ip", Value::text(node.ip.to_string())),
    ])
}

/// 52 characters of z-base-32, most significant bit first.
pub fn base32z(key: &[u8; 32]) -> String {
    const ALPHABET: &[u8; 32] = b"ybndrfg8ejkmcpqxot1uwisza345h769";
    let mut out = String::with_capacity(52);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for &byte in key {
        bits = (bits << 8) | u32::from(byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            out.push(char::from(ALPHABET[(bits >> held & 31) as usize]));
        }
        bits &= (1 << held) - 1;
    }
    if held > 0 {
        out.push(char::from(ALPHABET[(bits << (5 - held) & 31) as usize]));
    }
    out
}
