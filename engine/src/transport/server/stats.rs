//! What a node is doing, as its servers know it: the answer to `service.get_stats` (`spec/storage` §5).

use serde_json::{Map, Value};

use super::context::ServerContext;
use crate::{
    batch::BatchSizes,
    replicate::Compared,
    rpc::PROTOCOL_VERSION,
    store::{Census, StoreError, StoreStats},
};

/// What a node is doing.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct NodeStats {
    /// Of its store; nothing but zeros without one.
    pub store: StoreStats,
    /// Clients' requests under way.
    pub requests: usize,
    /// Onion requests waiting for another node or a server.
    pub relaying: usize,
    /// Subscriptions to accounts.
    pub monitors: usize,
    /// QUIC connections to other nodes.
    pub quic_peers: usize,
    /// Members of the swarm that have missed something.
    pub members_behind: usize,
    /// Transfers to other nodes that are not finished.
    pub transfers: usize,
    /// Layers opened together, by number.
    pub peel_batches: BatchSizes,
    /// Signatures verified together, by number.
    pub verify_batches: BatchSizes,
    /// What comparing with other members has done.
    pub compared: Compared,
    /// Nodes in the snapshot in force.
    pub nodes: usize,
    /// Nodes of the list that have a key of one before them, and are not in the network.
    pub nodes_left_out: usize,
    /// Height of the snapshot in force.
    pub height: u64,
}

impl ServerContext {
    /// What the node is doing.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn stats(&self) -> Result<NodeStats, StoreError> {
        let network = self.network.load();
        let storage = self.storage.as_ref();
        Ok(NodeStats {
            store: storage.map(|storage| storage.store.stats()).transpose()?.unwrap_or_default(),
            requests: self.clients.taken(),
            relaying: self.onion.waiting().taken(),
            monitors: self.rpc.monitors().len(),
            quic_peers: self.quic_peers.connected(),
            members_behind: self.rpc.members_behind(),
            transfers: storage.map_or(Ok(0), |storage| storage.rebalancer.unfinished())?,
            peel_batches: self.onion.batch_sizes(),
            verify_batches: self.rpc.batch_sizes(),
            compared: storage.map(|storage| storage.reconciler.total()).unwrap_or_default(),
            nodes: network.nodes().len(),
            nodes_left_out: network.left_out(),
            height: network.height,
        })
    }

    /// What `service.get_stats` answers (`spec/storage` §5).
    #[must_use]
    pub fn stats_json(&self) -> String {
        let [major, minor, patch] = PROTOCOL_VERSION;
        let network = self.network.load();
        let mut answer = Map::new();
        answer.insert("version".to_owned(), format!("{major}.{minor}.{patch}").into());
        answer.insert("height".to_owned(), network.height.into());
        answer.insert("target_height".to_owned(), network.height.into());
        self.rpc.counts().describe(&mut answer);
        answer.insert("peers".to_owned(), self.liveness.describe(&network).into());
        let census = self.storage.as_ref().map(|storage| storage.store.census()).transpose();
        match (self.stats(), census.map(Option::unwrap_or_default)) {
            (Ok(stats), Ok(census)) => describe(&stats, &census, &mut answer),
            (Err(error), _) | (_, Err(error)) => tracing::error!(%error, "the store could not be counted"),
        }
        Value::Object(answer).to_string()
    }
}

fn describe(stats: &NodeStats, census: &Census, answer: &mut Map<String, Value>) {
    let mut set = |name: &str, value: Value| answer.insert(name.to_owned(), value);
    set("requests", stats.requests.into());
    set("relaying", stats.relaying.into());
    set("monitors", stats.monitors.into());
    set("quic_peers", stats.quic_peers.into());
    set("members_behind", stats.members_behind.into());
    set("missed", stats.store.hints.into());
    set("missed_dropped", stats.store.hints_dropped.into());
    set("transfers", stats.transfers.into());
    set("peel_batches", stats.peel_batches.to_vec().into());
    set("verify_batches", stats.verify_batches.to_vec().into());
    set("compared_given", stats.compared.given.into());
    set("compared_taken", stats.compared.taken.into());
    set("compared_bytes", stats.compared.bytes.into());
    set("total_stored", stats.store.messages.into());
    let counts = &census.by_account;
    set("accounts", counts.len().into());
    if !counts.is_empty() {
        #[expect(clippy::cast_precision_loss, reason = "a mean, for people")]
        set("account_msg_mean", (stats.store.messages as f64 / counts.len() as f64).into());
    }
    if counts.len() >= 5 {
        for (name, percent) in
            [("min", 0), ("5th", 5), ("25th", 25), ("median", 50), ("75th", 75), ("95th", 95), ("max", 100)]
        {
            set(&format!("account_msg_count_{name}"), counts[(counts.len() - 1) * percent / 100].into());
        }
    }
    let namespaces = census.by_namespace.iter().map(|(namespace, count)| (namespace.to_string(), (*count).into()));
    set("namespace_messages", Value::Object(namespaces.collect()));
    set("db_used", census.used_bytes.into());
    set("db_total", census.file_bytes.into());
    set("db_max", stats.store.max_bytes.into());
    set("durability", stats.store.durability.name().into());
}
