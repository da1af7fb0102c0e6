//! One running node: wires the parts, owns the threads, starts and stops as a whole.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, mpsc},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::runtime::Handle;

use crate::{
    batch::Source,
    clock::Clock,
    crypto::Identity,
    onion::Piece,
    replicate::{Daemon, Handshake, Merge, PeerError, PeerLink, Rebalancer, Reconciler, Redelivery},
    rpc::{BUSY, CustomMethods, Encoding, Rpc, RpcParts, Status, Storage, Verifier, Version, Via},
    store::{Durability, Store, StoreConfig, StoreError},
    swarm::{Network, NodeInfo, Snapshot},
    threads::Threads,
    transport::{
        ConnectionLimits, Limiter, Listeners, Liveness, Memory, OnionAnswer, OnionRelay, Patience, Peeler, Peers,
        Pinged, RateLimits, Reachable, Readiness, Refusals, Services, Slot, Slots, StorageServices, Traffic, Upstream,
        control,
        control::Control,
        default_memory_limit,
        https::Https,
        omq::{Omq, OmqPeers},
        quic::{Quic, QuicPeers},
        reachability, time,
    },
    types::{Ed25519PublicKey, Millis, X25519PublicKey},
    watchdog::{Ward, Watchdog},
};

pub use crate::transport::NodeStats;

/// Connections of all transports together.
const MAX_CONNECTIONS: usize = 32_768;
/// Nodes that one question is put to at the same time.
const ASKED_AT_ONCE: usize = 256;
/// Bytes of the answer of one of them.
const MAX_ANSWER: usize = 64 << 10;
/// How often what nobody needs any more is looked for.
const TIDY: Duration = Duration::from_secs(10);
/// How long requests that write may take once nobody is served any more.
const LAST_WRITES: Duration = Duration::from_secs(10);
/// What a request is told that comes too late.
const CLOSED: &[u8] = b"Service node is not ready: shutting down\n";

/// How long those who came while nobody served are held for the first picture of the network.
const HOLD: Duration = Duration::from_secs(20);

/// How a node runs.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Where its messages and its certificate are.
    pub data_dir: PathBuf,
    /// Address to listen on.
    pub bind_ip: IpAddr,
    /// Port of HTTPS.
    pub https_port: u16,
    /// Port of OMQ.
    pub omq_port: u16,
    /// Bytes that the store may grow to.
    pub max_store_bytes: u64,
    /// Bytes that the messages of one account may take.
    pub account_bytes: u64,
    /// Messages that one account may have.
    pub account_messages: u64,
    /// What members of the swarm have missed: things kept for them at most.
    pub max_missed: u64,
    /// What the acknowledgement of a write means.
    pub durability: Durability,
    /// Threads that serve requests.
    pub worker_threads: usize,
    /// Whether each of them stays on one core.
    pub pin_threads: bool,
    /// Clients' requests that may be under way; more are told that the node is busy.
    pub queue: usize,
    /// How fast one address may ask.
    pub rate_limits: RateLimits,
    /// How long an HTTPS client may take.
    pub patience: Patience,
    /// Connections that one address may have, on all transports together.
    pub connections_per_address: usize,
    /// Bytes of memory that may be held for others: requests under way, and answers until they are read.
    pub memory_limit: usize,
    /// X25519 keys that may ask for `service.get_stats`.
    pub admins: Vec<X25519PublicKey>,
    /// Whether nodes are spoken to over QUIC where they have it.
    pub quic_between_nodes: bool,
    /// Where the network's daemon listens for OMQ (`ipc://…`, `tcp://…`); clients' questions to it are passed on.
    pub oxend_rpc: Option<String>,
    /// Whether onion requests may be posted to private, loopback and link-local addresses.
    pub allow_private_servers: bool,
    /// Whether the node keeps messages. One that does not relays onion requests, and sends clients to the swarms.
    pub keeps_messages: bool,
}

impl NodeConfig {
    /// The reference's ports and limits (`spec/transports` §0, §1.4; `spec/storage`).
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        let data_dir = data_dir.into();
        let StoreConfig { max_bytes, account_bytes, account_messages, max_missed, durability, .. } =
            StoreConfig::new(&data_dir);
        Self {
            data_dir,
            bind_ip: Ipv4Addr::UNSPECIFIED.into(),
            https_port: 22021,
            omq_port: 22020,
            max_store_bytes: max_bytes,
            account_bytes,
            account_messages,
            max_missed,
            durability,
            worker_threads: 2,
            pin_threads: false,
            queue: 1000,
            rate_limits: RateLimits::default(),
            patience: Patience::default(),
            connections_per_address: 512,
            memory_limit: default_memory_limit(),
            admins: Vec::new(),
            quic_between_nodes: true,
            oxend_rpc: None,
            allow_private_servers: false,
            keeps_messages: true,
        }
    }
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// Its messages cannot be opened.
    #[error("the message store cannot be opened: {0}")]
    Store(#[from] StoreError),
    /// A socket, a thread or a file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The TLS library.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// What nodes answered, later.
pub type Answers = mpsc::Receiver<Vec<Result<Vec<Bytes>, PeerError>>>;

/// What goes back to whoever asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// An HTTP status.
    pub status: u16,
    /// What is said.
    pub body: Bytes,
}

/// What a node is given by whoever embeds it.
#[derive(Default)]
pub struct Lent {
    /// Where it runs, rather than on threads of its own.
    pub runtime: Option<Handle>,
    /// Requests that it hands over.
    pub own: Option<CustomMethods>,
}

/// A running node. Dropping it shuts it down.
pub struct Node {
    services: Arc<Services>,
    links: Arc<Peers>,
    clock: Clock,
    listeners: Option<Listeners>,
    https: Option<Https>,
    omq: Option<Omq>,
    quic: Option<Quic>,
    threads: Option<Threads>,
    ward: Arc<Ward>,
    watchdog: Option<Watchdog>,
}

impl Node {
    /// Opens the store, binds the sockets, serves. Until a snapshot with the node in it is in force, requests are
    /// refused as "not ready".
    ///
    /// # Errors
    /// [`NodeError`]; nothing is left running.
    pub fn start(config: &NodeConfig, identity: Identity) -> Result<Self, NodeError> {
        Self::start_with(config, identity, Lent::default())
    }

    /// As [`Self::start`], with what is `lent` to the node.
    ///
    /// # Errors
    /// [`NodeError`]; nothing is left running.
    pub fn start_with(config: &NodeConfig, identity: Identity, lent: Lent) -> Result<Self, NodeError> {
        let listeners = Listeners::bind(config.bind_ip, config.https_port, config.omq_port)?;
        Self::start_on(listeners, config, identity, lent)
    }

    /// As [`Self::start_with`], on sockets that are there already. If a predecessor listened on them before, those who came
    /// since are let in with the first picture of the network that the node serves in, or after 20 seconds.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_on(
        listeners: Listeners,
        config: &NodeConfig,
        identity: Identity,
        lent: Lent,
    ) -> Result<Self, NodeError> {
        std::fs::create_dir_all(&config.data_dir)?;
        let clock = Clock::unsure();
        let store = config.keeps_messages.then(|| open_store(config, clock.clone())).transpose()?;
        let mut threads = match lent.runtime {
            Some(handle) => Threads::lent(handle),
            None => Threads::own(config.worker_threads, config.pin_threads)?,
        };
        let identity = Arc::new(identity);
        let network = Arc::new(Network::default());
        let own = identity.ed25519.public();
        let version = Version::default();
        let readiness = Readiness::new(Arc::clone(&network), own, store.is_some(), listeners.are_inherited(), version);
        let readiness = Arc::new(readiness);
        let omq_peers = Arc::new(OmqPeers::new()?);
        let quic_peers = QuicPeers::new(Arc::clone(&identity), config.quic_between_nodes);
        let liveness = Arc::new(Liveness::default());
        let traffic = Arc::<Traffic>::default();
        let links = Arc::new(Peers::new(
            Arc::clone(&omq_peers),
            Arc::clone(&quic_peers),
            Arc::clone(&liveness),
            Arc::clone(&traffic),
        ));
        let peers: Arc<dyn PeerLink> = Arc::<Peers>::clone(&links);
        let own = identity.ed25519.public();
        let storage = match &store {
            Some(store) => {
                let redelivery = Redelivery::new(store.clone(), Arc::clone(&network), Arc::clone(&peers), own)?;
                Some(Storage { store: store.clone(), redelivery: Arc::new(redelivery) })
            }
            None => None,
        };
        let redelivery = storage.as_ref().map(|storage| Arc::clone(&storage.redelivery));
        let memory = Memory::new(config.memory_limit);
        let rpc = Arc::new(Rpc::new(RpcParts {
            storage,
            subscriptions: memory.subscriptions,
            network: Arc::clone(&network),
            identity: Arc::clone(&identity),
            clock: clock.clone(),
            peers: Arc::clone(&peers),
            verifier: Verifier::new(config.worker_threads),
            daemon: config.oxend_rpc.as_ref().map(|_| -> Arc<dyn Daemon> { Arc::<OmqPeers>::clone(&omq_peers) }),
            own: lent.own,
            version,
        }));
        let storage = store.zip(redelivery).map(|(store, redelivery)| {
            let merge: Arc<dyn Merge> = Arc::<Rpc>::clone(&rpc);
            keep(&mut threads, store, redelivery, Parts { network: &network, peers: &peers, own, clock: &clock, merge })
        });
        let upstream = Upstream::new(config.allow_private_servers)?;
        let onion = OnionRelay::new(
            Arc::clone(&identity),
            Arc::clone(&network),
            Arc::clone(&rpc),
            peers,
            upstream,
            Arc::clone(&readiness),
            Peeler::new(Arc::clone(&identity), config.worker_threads),
        );
        let clients = Slots::new(config.queue);
        let services = Arc::new(Services {
            identity,
            network,
            rpc,
            onion,
            readiness,
            storage,
            pinged: Pinged::default(),
            liveness,
            control: Arc::default(),
            gossip: Arc::default(),
            oxend_rpc: config.oxend_rpc.clone(),
            quic_peers: Arc::clone(&quic_peers),
            clients,
            memory,
            limiter: Limiter::new(config.rate_limits.clone()),
            refusals: Refusals::default(),
            traffic,
            patience: config.patience,
            connections: ConnectionLimits::new(MAX_CONNECTIONS, config.connections_per_address),
            admins: config.admins.clone(),
        });
        let sockets = (listeners.https()?, listeners.omq()?, listeners.quic()?);
        threads.duty(open_at_last(Arc::clone(&services)));
        threads.duty(tidy(Arc::clone(&services)));
        threads.duty(time::follow(Arc::clone(&services), Arc::clone(&links), clock.clone()));
        let handle = threads.handle().clone();
        // From here on the drop of `node` cleans up.
        let mut node = Self {
            services: Arc::clone(&services),
            links,
            clock,
            listeners: Some(listeners),
            https: None,
            omq: None,
            quic: None,
            threads: Some(threads),
            ward: Arc::default(),
            watchdog: None,
        };
        let _entered = handle.enter();
        let (https, omq, quic) = sockets;
        node.https = Some(Https::start(https, &config.data_dir, Arc::clone(&services))?);
        let address = SocketAddr::new(config.bind_ip, config.omq_port);
        node.omq = Some(Omq::start(omq, address, &omq_peers, Arc::clone(&services), handle.clone())?);
        node.quic = Some(Quic::start(quic, services)?);
        node.watchdog = Some(node.watched()?);
        Ok(node)
    }

    /// A watchdog over all that the node depends on.
    fn watched(&self) -> io::Result<Watchdog> {
        self.threads.iter().for_each(|threads| threads.put_in(&self.ward));
        self.omq.iter().for_each(|omq| omq.put_in(&self.ward));
        self.store().into_iter().for_each(|store| store.put_in(&self.ward));
        Watchdog::start(Arc::clone(&self.ward))
    }

    /// What is watched, and how it is.
    #[must_use]
    pub fn ward(&self) -> Arc<Ward> {
        Arc::clone(&self.ward)
    }

    /// Puts a new picture of the network in force.
    pub fn set_network(&self, snapshot: Snapshot) {
        self.services.liveness.keep(&snapshot);
        self.services.network.replace(snapshot);
        if self.services.readiness.reason().is_none() {
            self.services.readiness.open();
        }
        if let Some(storage) = &self.services.storage {
            storage.network_changed();
        }
        self.services.rpc.network_changed();
    }

    /// A lever of test networks: from now on exactly these nodes are not reached.
    pub fn cut_off(&self, nodes: impl IntoIterator<Item = Ed25519PublicKey>) {
        self.links.cut_off(nodes.into_iter().collect());
    }

    /// The time by which it judges requests: the system's, or that of most other nodes if it is another.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// How far the system's clock is ahead of most other nodes', in milliseconds; `None` while that is not known.
    #[must_use]
    pub fn clock_ahead(&self) -> Option<i64> {
        self.clock.ahead()
    }

    /// A lever of test networks: the node's clock runs `ms` ahead of the system's.
    pub fn set_clock_offset(&self, ms: i64) {
        self.clock.set_offset(ms);
    }

    /// Tests whether another node can be reached (`spec/swarms` §5.1): the result comes within some seconds, or nothing
    /// when the node shuts down. `None` for a node that is not known, or has no address.
    #[must_use]
    pub fn test_peer(&self, node: &Ed25519PublicKey) -> Option<mpsc::Receiver<Reachable>> {
        let node = Arc::clone(self.services.network.load().by_ed25519(node)?);
        let runtime = self.runtime().filter(|_| node.is_reachable())?;
        let (answer, coming) = mpsc::channel();
        let (services, links) = (Arc::clone(&self.services), Arc::clone(&self.links));
        runtime.spawn(async move {
            let result = reachability::test(Arc::clone(&services), links, Arc::clone(&node)).await;
            services.liveness.tested(node.ed25519, result);
            answer.send(result)
        });
        Some(coming)
    }

    /// Questions of other nodes and of people, for whoever runs this one.
    #[must_use]
    pub fn control(&self) -> Arc<Control> {
        Arc::clone(&self.services.control)
    }

    /// What other nodes tell of who works, for whoever runs this one.
    #[must_use]
    pub fn gossip(&self) -> Arc<Control> {
        Arc::clone(&self.services.gossip)
    }

    /// Puts one of [`control::CLAIMS`] or [`control::LIVENESS`] to many nodes: their answers come in the order of `nodes`, all at once, or
    /// nothing when the node shuts down. `None` for another command, and after the shutdown.
    #[must_use]
    pub fn ask(&self, nodes: Vec<NodeInfo>, command: &str, parts: Vec<Bytes>, limit: Duration) -> Option<Answers> {
        let command = *control::CLAIMS.iter().chain(&control::LIVENESS).find(|name| **name == command)?;
        let runtime = self.runtime()?;
        let (answer, coming) = mpsc::channel();
        let links = Arc::clone(&self.links);
        runtime.spawn(async move {
            let asked = stream::iter(nodes).map(|node| {
                let (links, parts) = (Arc::clone(&links), parts.clone());
                async move {
                    let answer = links.request_omq(&Arc::new(node), command, parts, limit).await?;
                    let length: usize = answer.iter().map(Bytes::len).sum();
                    // All of them are held at the same time.
                    if length > MAX_ANSWER {
                        Err(PeerError::Refused("too long an answer".to_owned()))
                    } else {
                        Ok(answer)
                    }
                }
            });
            answer.send(asked.buffered(ASKED_AT_ONCE).collect().await)
        });
        Some(coming)
    }

    /// When somebody has last tested whether this node can be reached.
    #[must_use]
    pub fn pinged(&self) -> &Pinged {
        &self.services.pinged
    }

    /// Why requests are refused; `None` when the node serves.
    #[must_use]
    pub fn not_ready(&self) -> Option<String> {
        self.services.readiness.reason()
    }

    pub(crate) fn services(&self) -> &Services {
        &self.services
    }

    pub(crate) const fn https(&self) -> Option<&Https> {
        self.https.as_ref()
    }

    pub(crate) const fn omq(&self) -> Option<&Omq> {
        self.omq.as_ref()
    }

    pub(crate) const fn quic(&self) -> Option<&Quic> {
        self.quic.as_ref()
    }

    /// What the node is doing.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn stats(&self) -> Result<NodeStats, StoreError> {
        self.services.stats()
    }

    /// The picture of the network that is in force.
    #[must_use]
    pub fn network(&self) -> Arc<Snapshot> {
        self.services.network.load()
    }

    /// Its messages, if it keeps any.
    #[must_use]
    pub fn store(&self) -> Option<&Store> {
        self.services.storage.as_ref().map(|storage| &storage.store)
    }

    /// An onion request that came another way than through the node's own sockets. It is carried out also when nobody waits
    /// for the answer.
    pub fn onion(&self, payload: impl Into<Piece>) -> impl Future<Output = Answer> + Send + 'static {
        let payload = payload.into();
        self.carry_out(|services, slot| async move {
            let OnionAnswer { status, body, .. } = services.onion.entry(payload, Source::new(), slot).await;
            Answer { status: status.as_u16(), body }
        })
    }

    /// A client's request `{"method", "params"}` in JSON that came another way than through the node's own sockets. It is
    /// carried out also when nobody waits for the answer.
    pub fn request(&self, body: impl Into<Bytes>) -> impl Future<Output = Answer> + Send + 'static {
        let body = body.into();
        self.carry_out(|services, slot| async move {
            let reply = services.rpc.call_json(&body, Via::Program, ()).await;
            drop(slot);
            Answer { status: reply.status.code(), body: reply.encode(Encoding::Json).into() }
        })
    }

    fn carry_out<F: Future<Output = Answer> + Send + 'static>(
        &self,
        what: impl FnOnce(Arc<Services>, Slot) -> F,
    ) -> impl Future<Output = Answer> + Send + 'static {
        let services = &self.services;
        let slot = match services.readiness.reason() {
            Some(reason) => Err(format!("Service node is not ready: {reason}\n").into()),
            None => services.clients.take().ok_or(Bytes::from_static(BUSY.as_bytes())),
        };
        let answer = match (slot, self.runtime()) {
            (Ok(slot), Some(runtime)) => Ok(runtime.spawn(what(Arc::clone(services), slot))),
            (Err(text), _) => Err(text),
            (Ok(_), None) => Err(Bytes::from_static(CLOSED)),
        };
        async move {
            let body = match answer {
                Ok(answer) => match answer.await {
                    Ok(answer) => return answer,
                    Err(_) => Bytes::from_static(CLOSED),
                },
                Err(text) => text,
            };
            Answer { status: Status::SERVICE_UNAVAILABLE.code(), body }
        }
    }

    /// Sends clients away without refusing a request, finishes those under way, writes what is queued, closes. The sockets
    /// go on listening: whoever comes waits for the successor that is started on them. `None` after the shutdown. As
    /// [`Self::shutdown`] on a runtime that is lent to the node.
    pub fn hand_over(&mut self) -> Option<Listeners> {
        let threads = self.threads.as_ref()?;
        if let Some(https) = self.https.take() {
            threads.carry_out(https.leave());
        }
        let listeners = self.listeners.take();
        if let Some(Err(error)) = listeners.as_ref().map(Listeners::hush_omq) {
            tracing::warn!(%error, "who connects over OMQ now may have to connect again");
        }
        if let Some(omq) = &self.omq {
            omq.leave();
        }
        if let Some(quic) = self.quic.take() {
            threads.carry_out(quic.leave());
        }
        self.shutdown();
        listeners
    }

    /// Refuses new requests, finishes those under way, writes what is queued, closes. Idempotent. On a runtime that is lent
    /// to the node, which may have no other thread than this one, it waits for no request; [`Self::close`] does.
    pub fn shutdown(&mut self) {
        let Some(threads) = self.threads.take() else { return };
        let closing = self.closing();
        threads.carry_out(closing);
        self.end(threads);
    }

    /// As [`Self::shutdown`], from inside a runtime: it waits for the requests under way wherever they run.
    pub async fn close(&mut self) {
        let Some(threads) = self.threads.take() else { return };
        let _ = threads.handle().spawn(self.closing()).await;
        self.end(threads);
    }

    /// Where it runs; `None` after the shutdown.
    #[must_use]
    pub fn runtime(&self) -> Option<&Handle> {
        self.threads.as_ref().map(Threads::handle)
    }

    /// Refuses new requests at once, and finishes those under way.
    fn closing(&mut self) -> impl Future<Output = ()> + Send + use<> {
        if self.listeners.is_some() {
            self.services.readiness.close();
        }
        self.services.control.close();
        self.services.gossip.close();
        let (https, quic, rpc) = (self.https.take(), self.quic.take(), Arc::clone(&self.services.rpc));
        async move {
            if let Some(https) = https {
                https.close().await;
            }
            if let Some(quic) = quic {
                quic.close().await;
            }
            rpc.written(LAST_WRITES).await;
        }
    }

    fn end(&mut self, threads: Threads) {
        // What ends now is not missed.
        self.watchdog = None;
        if let Some(omq) = self.omq.take() {
            omq.close();
        }
        self.services.readiness.close();
        if let Some(store) = self.store() {
            store.close();
        }
        drop(threads);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shutdown();
    }
}

fn open_store(config: &NodeConfig, clock: Clock) -> Result<Store, StoreError> {
    let store = StoreConfig {
        max_bytes: config.max_store_bytes,
        account_bytes: config.account_bytes,
        account_messages: config.account_messages,
        max_missed: config.max_missed,
        durability: config.durability,
        ignores_small_extensions: Version::default().ignores_small_extensions(),
        ..StoreConfig::new(&config.data_dir)
    };
    Store::open(store, clock)
}

/// What the parts that keep messages have in common.
struct Parts<'a> {
    network: &'a Arc<Network>,
    peers: &'a Arc<dyn PeerLink>,
    own: Ed25519PublicKey,
    clock: &'a Clock,
    merge: Arc<dyn Merge>,
}

/// Starts what a node does for its messages besides answering.
fn keep(threads: &mut Threads, store: Store, redelivery: Arc<Redelivery>, parts: Parts<'_>) -> StorageServices {
    let Parts { network, peers, own, clock, merge } = parts;
    let (network, peers) = (|| Arc::clone(network), || Arc::clone(peers));
    let reconciler = Arc::new(Reconciler::new(store.clone(), network(), peers(), own, clock.clone(), merge));
    let rebalancer = Arc::new(Rebalancer::new(store.clone(), network(), peers(), own, Arc::clone(&reconciler)));
    let handshake = Arc::new(Handshake::new(store.clone(), network(), peers(), own, Arc::clone(&rebalancer)));
    threads.duty(Arc::clone(&rebalancer).run());
    threads.duty(Arc::clone(&reconciler).run());
    threads.duty(Arc::clone(&handshake).run());
    let caught_up = Arc::clone(&reconciler);
    threads.duty(redelivery.run(move |member| caught_up.want(member)));
    StorageServices { store, rebalancer, reconciler, handshake }
}

/// A node that is in no network for so long says so to whoever asks.
async fn open_at_last(services: Arc<Services>) {
    let _ = tokio::time::timeout(HOLD, services.readiness.opened()).await;
    services.readiness.open();
}

async fn tidy(services: Arc<Services>) {
    let mut ticks = tokio::time::interval(TIDY);
    while !services.readiness.is_closing() {
        ticks.tick().await;
        services.limiter.prune();
        services.rpc.counts().sample();
        services.rpc.monitors().prune();
        services.quic_peers.tidy(&services.network.load());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bencode::Bt,
        crypto::{Ed25519Secret, EncType},
        onion::build::{Destination, Hop, build},
        swarm::{NodeInfo, SwarmId},
        transport::quic::{self, QuicClient, QuicError},
        types::{AccountId, LegacyPublicKey},
    };
    use serde_json::{Value, json};
    use std::net::TcpListener;

    fn free_ports(count: usize) -> Vec<u16> {
        // Held until all are known, so that no two are the same.
        let held: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        held.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
    }

    /// A node alone in its network, in a directory that must outlive it.
    fn lone_node(directory: &std::path::Path) -> (Node, NodeInfo) {
        let ports = free_ports(2);
        let legacy = LegacyPublicKey([1; 32]);
        let identity = Identity::new(&[1; 32], legacy);
        let info = NodeInfo {
            legacy,
            ed25519: identity.ed25519.public(),
            x25519: identity.x25519.public(),
            ip: Ipv4Addr::LOCALHOST,
            https_port: ports[0],
            omq_port: ports[1],
            swarm: SwarmId(7),
            version: [2, 8, 0],
            requested_unlock_height: 0,
        };
        let mut config = NodeConfig::new(directory);
        config.bind_ip = Ipv4Addr::LOCALHOST.into();
        (config.https_port, config.omq_port) = (ports[0], ports[1]);
        let node = Node::start(&config, identity).unwrap();
        node.set_network(Snapshot::new(1, String::new(), [19, 4], vec![info.clone()]));
        (node, info)
    }

    #[test]
    fn quic_serves_requests_onions_and_notifications() {
        const LIMIT: Duration = Duration::from_secs(20);
        let directory = tempfile::tempdir().unwrap();
        let (mut node, info) = lone_node(directory.path());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let endpoint = quic::client_endpoint((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
            let address = SocketAddr::new(info.ip.into(), info.omq_port);
            let own = Ed25519Secret::from_seed(&[9; 32]);
            let stranger = Ed25519PublicKey([3; 32]);
            let wrong = QuicClient::connect(&endpoint, address, stranger, &own, LIMIT).await;
            assert!(matches!(wrong, Err(QuicError::Connection(_))));
            let (client, mut pushes) =
                QuicClient::connect(&endpoint, address, info.ed25519, &own, LIMIT).await.unwrap();
            assert_eq!(client.request("snode_ping", b"", LIMIT).await.unwrap(), b"pong");

            let json: Value = serde_json::from_slice(&client.request("info", b"{}", LIMIT).await.unwrap()).unwrap();
            assert_eq!((&json[0], &json[1]["version"]), (&json!(200), &json!([2, 8, 0])));
            assert!(client.request("info", b"de", LIMIT).await.unwrap().starts_with(b"li200ed"));
            let refused = |error: Result<Vec<u8>, QuicError>| match error {
                Err(QuicError::Refused(body)) => String::from_utf8(body).unwrap(),
                other => panic!("{other:?}"),
            };
            assert_eq!(refused(client.request("nope", b"{}", LIMIT).await), "Invalid endpoint 'nope'");
            let missing = "400 Bad Request\n\ninvalid request: Required field 'timestamp' missing";
            assert_eq!(refused(client.request("store", b"{}", LIMIT).await), missing);

            let user = Ed25519Secret::from_seed(&[5; 32]);
            let account = AccountId::new(AccountId::SESSION, user.x25519().public().0);
            let now = Clock::default().now().0;
            let signature = user.sign(format!("MONITOR{}{}10", account.hex(), now / 1000).as_bytes());
            let subscription = Bt::dict([
                ("P", user.public().0.as_slice().into()),
                ("d", Bt::Int(1)),
                ("n", Bt::List(vec![Bt::Int(0)])),
                ("s", signature.as_slice().into()),
                ("t", (now / 1000).into()),
            ]);
            let body = Bt::List(vec![subscription.clone(), Bt::dict([("x", Bt::Int(1))])]).encode();
            let answer = client.request("monitor", &body, LIMIT).await.unwrap();
            assert!(answer.starts_with(b"ld7:successi1eed7:errcodei1e5:error"), "{answer:?}");

            let params = json!({"pubkey": account.hex(), "timestamp": now, "ttl": 86_400_000, "data": "aGVsbG8="});
            let call = json!({"method": "store", "params": params}).to_string();
            let hop = Hop { ed25519: info.ed25519, x25519: info.x25519 };
            let (payload, key) = build(&[], &Destination::Node(hop), call.as_bytes(), EncType::XChaCha20).unwrap();
            let reply = client.request("onion_req", &payload, LIMIT).await.unwrap();
            let reply: Value = serde_json::from_slice(&key.open(&reply, true).unwrap()).unwrap();
            assert_eq!(reply["status"], 200);
            let Ok(Bt::Dict(pushed)) = Bt::parse(&pushes.recv().await.unwrap()) else { panic!("not a dict") };
            assert_eq!(pushed[b"@".as_slice()], Bt::Bytes(account.0.to_vec()));
            assert_eq!(pushed[b"~".as_slice()], Bt::Bytes(b"hello".to_vec()));
            assert!(
                refused(client.request("onion_req", b"x", LIMIT).await).starts_with("400 Bad Request\n\nError parsing")
            );

            assert_eq!(node.stats().unwrap().monitors, 1);
            client.write_raw(b"this is no frame").await.unwrap();
            let cut = client.request("snode_ping", b"", LIMIT).await;
            assert!(matches!(cut, Err(QuicError::Connection(_))), "{cut:?}");
            drop(client);
            while node.stats().unwrap().monitors > 0 {
                tokio::task::yield_now().await;
            }
        });
        node.shutdown();
    }

    /// What a client is owed that asks over QUIC and reads nothing is counted until it is gone, and bounded.
    #[test]
    fn answers_that_nobody_reads_over_quic() {
        const LIMIT: Duration = Duration::from_secs(20);
        let directory = tempfile::tempdir().unwrap();
        let (mut node, info) = lone_node(directory.path());
        let answers = node.services.memory.answers.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let until = async |reached: &dyn Fn() -> bool| {
            let wait = async {
                while !reached() {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(LIMIT, wait).await.unwrap();
        };
        runtime.block_on(async {
            let endpoint = quic::client_endpoint((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
            let address = SocketAddr::new(info.ip.into(), info.omq_port);
            let own = Ed25519Secret::from_seed(&[9; 32]);
            let (client, _pushes) = QuicClient::connect(&endpoint, address, info.ed25519, &own, LIMIT).await.unwrap();
            let user = Ed25519Secret::from_seed(&[5; 32]);
            let account = AccountId::new(AccountId::SESSION, user.x25519().public().0).hex();
            let now = Clock::default().now().0;
            for number in 0..70 {
                let data = base64_simd::STANDARD.encode_to_string([number; 76_000]);
                let params = json!({"pubkey": account, "timestamp": now, "ttl": 86_400_000, "data": data}).to_string();
                let stored = client.request("store", params.as_bytes(), LIMIT).await.unwrap();
                assert!(stored.starts_with(b"[200,"), "{stored:?}");
            }
            let signature = user.sign(format!("retrieve{now}").as_bytes());
            let params = json!({
                "pubkey": account, "pubkey_ed25519": hex::encode(user.public().0), "timestamp": now,
                "signature": base64_simd::STANDARD.encode_to_string(signature), "max_size": 7_800_000,
            });
            let params = Bytes::from(params.to_string());
            let answer = client.request("retrieve", &params, LIMIT).await.unwrap().len();
            assert!(answer > 5_000_000, "{answer}");
            until(&|| answers.used() == 0).await;
            let silent = client.ask_unread("retrieve", &params, 20).await.unwrap();
            // So many do not fit, and the rest is told so.
            until(&|| answers.refused() > 10).await;
            assert!(answers.used() > answer && answers.used() <= 24 << 20, "{}", answers.used());
            drop((silent, client));
            until(&|| answers.used() == 0).await;
        });
        node.shutdown();
    }

    /// Three nodes in one process: over two relays into a store that reaches every member.
    #[test]
    fn a_store_over_three_hops_reaches_the_swarm() {
        let directory = tempfile::tempdir().unwrap();
        let ports = free_ports(6);
        let mut infos = Vec::new();
        let mut nodes = Vec::new();
        for n in 0..3_u8 {
            let index = usize::from(n);
            let legacy = LegacyPublicKey([n + 1; 32]);
            let identity = Identity::new(&[n + 1; 32], legacy);
            let (https_port, omq_port) = (ports[2 * index], ports[2 * index + 1]);
            infos.push(NodeInfo {
                legacy,
                ed25519: identity.ed25519.public(),
                x25519: identity.x25519.public(),
                ip: Ipv4Addr::LOCALHOST,
                https_port,
                omq_port,
                swarm: SwarmId(7),
                version: [2, 8, 0],
                requested_unlock_height: 0,
            });
            let mut config = NodeConfig::new(directory.path().join(n.to_string()));
            config.bind_ip = Ipv4Addr::LOCALHOST.into();
            (config.https_port, config.omq_port) = (https_port, omq_port);
            nodes.push(Node::start(&config, identity).unwrap());
        }
        assert!(nodes[0].not_ready().unwrap().contains("not in any swarm"));
        for node in &nodes {
            node.set_network(Snapshot::new(1, String::new(), [19, 4], infos.clone()));
            assert_eq!(node.not_ready(), None);
        }
        let hops: Vec<Hop> = infos.iter().map(|info| Hop { ed25519: info.ed25519, x25519: info.x25519 }).collect();
        let account = AccountId::new(AccountId::SESSION, [9; 32]).hex();
        let timestamp = Clock::default().now().0;
        let params = json!({"pubkey": account, "timestamp": timestamp, "ttl": 86_400_000, "data": "aGVsbG8="});
        let body = json!({"method": "store", "params": params}).to_string();
        let onion = |node: &Node| {
            let (payload, key) =
                build(&hops[..2], &Destination::Node(hops[2]), body.as_bytes(), EncType::AesGcm).unwrap();
            let slot = node.services.clients.take().unwrap();
            let answer =
                node.runtime().unwrap().block_on(node.services.onion.entry(payload.as_slice(), Source::new(), slot));
            (answer, key)
        };
        let (answer, key) = onion(&nodes[0]);
        assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
        let answer: Value = serde_json::from_slice(&key.open(&answer.body, true).unwrap()).unwrap();
        assert_eq!(answer["status"], 200, "{answer}");
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        let swarm = body["swarm"].as_object().unwrap();
        assert_eq!(swarm.len(), 3);
        assert!(swarm.values().all(|entry| entry.get("failed").is_none()), "{body}");
        for node in &nodes {
            assert_eq!(node.stats().unwrap().store.messages, 1);
        }
        // By now, or soon, the nodes that spoke to each other have QUIC connections, which then carry the same.
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while nodes.iter().any(|node| node.stats().unwrap().quic_peers < 2) {
            assert!(std::time::Instant::now() < deadline, "no QUIC between nodes");
            let _ = onion(&nodes[0]);
            std::thread::yield_now();
        }
        let (answer, key) = onion(&nodes[0]);
        let answer: Value = serde_json::from_slice(&key.open(&answer.body, true).unwrap()).unwrap();
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        assert!(body["swarm"].as_object().unwrap().values().all(|entry| entry.get("failed").is_none()), "{body}");
        nodes[0].shutdown();
        assert!(nodes[0].not_ready().unwrap().contains("shutting down"));
    }
}
