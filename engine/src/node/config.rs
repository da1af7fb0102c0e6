//! How a node runs, what it is given, and why it does not start.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use tokio::runtime::Handle;

use crate::{
    rpc::CustomMethods,
    store::{Durability, StoreConfig, StoreError},
    transport::{Patience, RateLimits, default_memory_limit},
    types::X25519PublicKey,
};

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
    /// Threads that serve requests, at most 1024.
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

/// What a node is given by whoever embeds it.
#[derive(Default)]
pub struct Lent {
    /// Where it runs, rather than on threads of its own.
    pub runtime: Option<Handle>,
    /// Requests that it hands over.
    pub own: Option<CustomMethods>,
}
