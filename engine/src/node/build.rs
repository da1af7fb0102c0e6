//! Wires the parts of a node, and starts it.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use super::{
    config::{Lent, NodeConfig, NodeError},
    running::Node,
};
use crate::{
    clock::Clock,
    crypto::{Identity, measure_aside},
    replicate::{Handshake, Merge, PeerLink, Rebalancer, Reconciler, Redelivery},
    rpc::{Daemon, Rpc, RpcParts, Storage, Verifier, Version},
    store::{Store, StoreConfig, StoreError},
    swarm::Network,
    threads::Threads,
    transport::{
        ConnectionLimits, Https, Limiter, Listeners, Liveness, Memory, Omq, OmqPeers, OnionRelay, Peeler, Peers,
        Pinged, Quic, QuicPeers, Readiness, Refusals, ServerContext, Slots, StorageContext, Traffic, Upstream,
        peers::time,
    },
    types::Ed25519PublicKey,
    watchdog::Watchdog,
};

/// Connections of all transports together.
const MAX_CONNECTIONS: usize = 32_768;
/// How often what nobody needs any more is looked for.
const TIDY: Duration = Duration::from_secs(10);
/// How long those who came while nobody served are held for the first picture of the network.
const HOLD: Duration = Duration::from_secs(20);

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
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", config.data_dir.display()));
        std::fs::create_dir_all(&config.data_dir).map_err(named)?;
        let clock = Clock::unsure();
        let store = config.keeps_messages.then(|| open_store(config, clock.clone())).transpose()?;
        let mut threads = match lent.runtime {
            Some(handle) => Threads::lent(handle),
            None => Threads::own(config.worker_threads, config.pin_threads)?,
        };
        measure_aside();
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
        let context = Arc::new(ServerContext {
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
        threads.duty(open_at_last(Arc::clone(&context)));
        threads.duty(tidy(Arc::clone(&context)));
        let reconciler = context.storage.as_ref().map(|storage| Arc::clone(&storage.reconciler));
        let network = Arc::clone(&context.network);
        threads.duty(time::follow(network, own, Arc::clone(&links), reconciler, clock.clone()));
        let handle = threads.handle().clone();
        // From here on the drop of `node` cleans up.
        let mut node = Self {
            context: Arc::clone(&context),
            links,
            clock,
            listeners: Some(listeners),
            https: None,
            omq: None,
            quic: None,
            // Those of clients are bounded, of which these are some.
            of_program: Slots::new(usize::MAX),
            threads: Some(threads),
            ward: Arc::default(),
            watchdog: None,
        };
        let _entered = handle.enter();
        let (https, omq, quic) = sockets;
        node.https = Some(Https::start(https, &config.data_dir, Arc::clone(&context))?);
        let address = SocketAddr::new(config.bind_ip, config.omq_port);
        node.omq = Some(Omq::start(omq, address, &omq_peers, Arc::clone(&context), handle.clone())?);
        node.quic = Some(Quic::start(quic, context)?);
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
fn keep(threads: &mut Threads, store: Store, redelivery: Arc<Redelivery>, parts: Parts<'_>) -> StorageContext {
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
    StorageContext { store, rebalancer, reconciler, handshake }
}

/// A node that is in no network for so long says so to whoever asks.
async fn open_at_last(context: Arc<ServerContext>) {
    let _ = tokio::time::timeout(HOLD, context.readiness.opened()).await;
    context.readiness.open();
}

async fn tidy(context: Arc<ServerContext>) {
    let mut ticks = tokio::time::interval(TIDY);
    while !context.readiness.is_closing() {
        ticks.tick().await;
        context.limiter.prune();
        context.rpc.counts().sample();
        context.rpc.monitors().prune();
        context.quic_peers.tidy(&context.network.load());
    }
}
