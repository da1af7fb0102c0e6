//! The engine as other programs embed it. What [`crate::node`] has beyond this is for Allium's own node.

use std::{net::IpAddr, path::PathBuf, sync::Arc};

use bytes::Bytes;
use tokio::runtime::Handle;

use crate::{
    crypto::Identity,
    node::{Lent, Node, NodeConfig},
    onion::Piece,
    rpc::CustomMethods,
    store::{Durability, Store, StoreError},
    swarm::Snapshot,
};

pub use crate::{
    node::{Answer, NodeError as EngineError},
    replicate::Compared,
    rpc::Call,
    transport::NodeStats as EngineStats,
};

/// How an engine runs; [`Engine::builder`] makes one.
///
/// What is not said is as a node of the network has it: every address, the network's ports, 3,584 MiB of messages.
#[must_use = "nothing runs before `start`"]
pub struct EngineBuilder {
    config: NodeConfig,
    identity: Identity,
    lent: Lent,
}

impl EngineBuilder {
    /// Listens on `address`: HTTPS on TCP `https_port`, OMQ on TCP `omq_port`, QUIC on UDP `omq_port`.
    pub const fn bind(mut self, address: IpAddr, https_port: u16, omq_port: u16) -> Self {
        (self.config.bind_ip, self.config.https_port, self.config.omq_port) = (address, https_port, omq_port);
        self
    }

    /// Keeps no messages: relays onion requests, and tells clients which swarm has what they ask for. It serves as soon as
    /// the network in force names it, in a swarm or not.
    pub const fn without_store(mut self) -> Self {
        self.config.keeps_messages = false;
        self
    }

    /// Bytes that messages may take, of all accounts and of one, and messages that one account may have.
    pub const fn store_limits(mut self, bytes: u64, account_bytes: u64, account_messages: u64) -> Self {
        self.config.max_store_bytes = bytes;
        (self.config.account_bytes, self.config.account_messages) = (account_bytes, account_messages);
        self
    }

    /// What the acknowledgement of a write means.
    pub const fn durability(mut self, durability: Durability) -> Self {
        self.config.durability = durability;
        self
    }

    /// Threads that serve requests; on a runtime that is handed in, what the threads that do batches are counted by.
    pub const fn workers(mut self, threads: usize) -> Self {
        self.config.worker_threads = threads;
        self
    }

    /// Clients' requests that may be under way; more are told that the node is busy.
    pub const fn queue(mut self, requests: usize) -> Self {
        self.config.queue = requests;
        self
    }

    /// How many requests of one address may come at once, and per second in the long run.
    pub const fn rate_limit(mut self, burst: u32, per_second: u32) -> Self {
        (self.config.rate_limits.burst, self.config.rate_limits.per_second) = (burst, per_second);
        self
    }

    /// Posts onion requests also to servers at private, loopback and link-local addresses. For test networks.
    pub const fn allow_private_servers(mut self) -> Self {
        self.config.allow_private_servers = true;
        self
    }

    /// Runs on this runtime, which must have its I/O and time drivers on and outlive the engine. Without, the engine makes
    /// one of its own.
    pub fn runtime(mut self, handle: Handle) -> Self {
        self.lent.runtime = Some(handle);
        self
    }

    /// Hands requests of clients for `methods` over, whether the protocol knows them or not: those that come by HTTPS, in
    /// onion requests and through [`Engine::request`]. `handler` is called on a thread that serves others too, so it must not
    /// wait; it may keep the [`Call`] and answer within 30 s from anywhere.
    pub fn answers<M: Into<String>>(
        mut self,
        methods: impl IntoIterator<Item = M>,
        handler: impl Fn(Call) + Send + Sync + 'static,
    ) -> Self {
        self.lent.own = Some(CustomMethods::new(methods.into_iter().map(Into::into), handler));
        self
    }

    /// Opens the store, binds the sockets, serves. Until [`Engine::set_network`] has been told of a network with this node in
    /// it, requests are refused. May be called inside a runtime or outside of any.
    ///
    /// # Errors
    /// [`EngineError`]; nothing is left running.
    pub fn start(self) -> Result<Engine, EngineError> {
        let Self { config, identity, lent } = self;
        Ok(Engine { node: Node::start_with(&config, identity, lent)? })
    }
}

/// A running engine. Any number of them run in one process, on their own data directories and ports.
///
/// Dropping it stops it as [`Self::shutdown`] does.
pub struct Engine {
    node: Node,
}

impl Engine {
    /// An engine whose messages and certificate are in `data_dir`, which is made if it is not there, and whose keys are
    /// `identity`.
    pub fn builder(data_dir: impl Into<PathBuf>, identity: Identity) -> EngineBuilder {
        EngineBuilder { config: NodeConfig::new(data_dir), identity, lent: Lent::default() }
    }

    /// Puts a new picture of the network in force, in place of the one before. Requests under way go on with the old one.
    pub fn set_network(&self, snapshot: Snapshot) {
        self.node.set_network(snapshot);
    }

    /// The picture of the network that is in force.
    #[must_use]
    pub fn network(&self) -> Arc<Snapshot> {
        self.node.network()
    }

    /// Why requests are refused; `None` when the engine serves.
    #[must_use]
    pub fn not_ready(&self) -> Option<String> {
        self.node.not_ready()
    }

    /// The messages; `None` for an engine without a store.
    #[must_use]
    pub fn store(&self) -> Option<&Store> {
        self.node.store()
    }

    /// An onion request that came over a transport of the embedder's own. The future may be polled anywhere; what it waits
    /// for goes on without it.
    pub fn onion(&self, payload: impl Into<Piece>) -> impl Future<Output = Answer> + Send + 'static {
        self.node.onion(payload)
    }

    /// A client's request, JSON `{"method", "params"}`, that came over a transport of the embedder's own. The future may be
    /// polled anywhere; what it waits for goes on without it.
    pub fn request(&self, body: impl Into<Bytes>) -> impl Future<Output = Answer> + Send + 'static {
        self.node.request(body)
    }

    /// What the engine is doing.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn stats(&self) -> Result<EngineStats, StoreError> {
        self.node.stats()
    }

    /// Refuses new requests, finishes those under way (for at most 70 s), writes what is queued, closes. On a runtime that was
    /// handed in, whose only thread may be this one, it does not wait for requests: [`Self::close`] does.
    pub fn shutdown(mut self) {
        self.node.shutdown();
    }

    /// As [`Self::shutdown`], without blocking: requests under way are waited for wherever they run.
    pub async fn close(mut self) {
        self.node.close().await;
    }
}
