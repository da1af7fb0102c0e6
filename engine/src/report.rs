//! What a node tells of itself to whoever runs it.

use crate::{
    crypto::{Operation, known_keys, plan},
    metrics::Distribution,
    node::Node,
    rpc::{RequestTimes, Requests, Status},
    store::{StoreError, StoreMetrics},
    transport::{NodeStats, TrafficCount},
    types::Ed25519PublicKey,
};

/// A place where requests or work wait, or are under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Its name.
    pub name: &'static str,
    /// How many there are.
    pub taken: usize,
    /// How many there may be.
    pub limit: usize,
}

impl From<(&'static str, usize, usize)> for Queue {
    fn from((name, taken, limit): (&'static str, usize, usize)) -> Self {
        Self { name, taken, limit }
    }
}

/// All that a node counts.
#[derive(Clone, Debug)]
pub struct NodeMetrics {
    /// What it is doing.
    pub stats: NodeStats,
    /// Requests, by how they came, what for, and how they ended.
    pub requests: Vec<Requests>,
    /// How long they took.
    pub request_times: Vec<RequestTimes>,
    /// Requests turned away: transport, reason, number.
    pub refusals: Vec<(&'static str, &'static str, u64)>,
    /// Requests between nodes: `"in"` or `"out"`, command, outcome, number.
    pub traffic: Vec<TrafficCount>,
    /// Messages that other nodes have sent: what became of them, number.
    pub arrivals: Vec<(&'static str, u64)>,
    /// Onion requests: what was inside, the outer status, number.
    pub onions: Vec<(&'static str, Status, u64)>,
    /// How long they took, by what was inside.
    pub onion_times: Vec<(&'static str, Distribution)>,
    /// Where something waits or is under way.
    pub queues: Vec<Queue>,
    /// How much was done together, by what.
    pub batches: Vec<(&'static str, Distribution)>,
    /// What its store counts; nothing when it has none.
    pub store: StoreMetrics,
    /// Memory held for others: what for, bytes in use, bytes that there are, how often there was no room.
    pub memory: Vec<(&'static str, usize, usize, u64)>,
    /// What is done how in batches, since the processor was measured: the kind of work, the backend, from which size on.
    pub plan: Vec<(&'static str, &'static str, usize)>,
    /// Bytes that is remembered of public keys take, and may take.
    pub known_keys: (usize, usize),
    /// Open connections by transport.
    pub connections: Vec<(&'static str, usize)>,
    /// Swarms of the network in force.
    pub swarms: usize,
    /// Members of the node's own swarm, itself included; 0 in none.
    pub swarm_members: usize,
    /// Tests of whether others can be reached: transport, whether so, number.
    pub tests: Vec<(&'static str, bool, u64)>,
    /// Nodes that were not reached when they were last tested.
    pub unreachable: usize,
}

fn steps(work: Operation) -> impl Iterator<Item = (&'static str, &'static str, usize)> {
    plan().steps(work).into_iter().map(move |(backend, from)| (work.as_str(), backend.as_str(), from))
}

impl Node {
    /// All that it counts.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn metrics(&self) -> Result<NodeMetrics, StoreError> {
        let context = self.context();
        let (rpc, onion) = (&context.rpc, &context.onion);
        let store = context.storage.as_ref().map(|keeping| keeping.store.metrics()).transpose()?.unwrap_or_default();
        let queue = |name, (taken, limit): (usize, usize)| Queue { name, taken, limit };
        let waits = usize::try_from(store.queued).unwrap_or(usize::MAX);
        let mut queues = vec![
            queue("https", (context.clients.taken(), context.clients.limit())),
            queue("relay", (onion.waiting().taken(), onion.waiting().limit())),
            queue("peel", onion.peeler().queued()),
            queue("verify", rpc.verifying()),
            queue("sign", rpc.signing()),
            queue("store", (waits, store.queue)),
        ];
        let mut connections = Vec::new();
        if let Some(https) = self.https() {
            connections.push(("https", https.connections()));
        }
        if let Some(omq) = self.omq() {
            queues.extend(omq.under_way().map(Queue::from));
        }
        if let Some(quic) = self.quic() {
            queues.extend(quic.under_way().map(Queue::from));
            connections.push(("quic", quic.connections()));
        }
        let network = context.network.load();
        let own: Ed25519PublicKey = context.identity.ed25519.public();
        let swarm = network.by_ed25519(&own).map(|node| node.swarm);
        Ok(NodeMetrics {
            stats: context.stats()?,
            requests: rpc.metrics().requests(),
            request_times: rpc.metrics().times(),
            refusals: context.refusals.read(),
            traffic: context.traffic.read(),
            arrivals: rpc.arrivals(),
            onions: onion.metrics().requests(),
            onion_times: onion.metrics().times(),
            queues,
            batches: vec![
                ("peel", onion.peeler().batches()),
                ("verify", rpc.verify_batches()),
                ("sign", rpc.sign_batches()),
                ("store", store.batches.clone()),
                ("replicate", context.quic_peers.together()),
            ],
            store,
            memory: context
                .memory
                .read()
                .map(|(name, budget)| (name, budget.used(), budget.limit(), budget.refused()))
                .into(),
            plan: Operation::ALL.into_iter().flat_map(steps).collect(),
            known_keys: known_keys(),
            connections,
            swarms: network.swarms().len(),
            swarm_members: swarm.map_or(0, |swarm| network.members(swarm).len()),
            tests: context.liveness.tests(),
            unreachable: context.liveness.unreachable(),
        })
    }
}
