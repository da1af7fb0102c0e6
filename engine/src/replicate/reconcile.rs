//! Two members compare what they hold and give each other what is missing, at a cost near the difference: range-based set
//! reconciliation over digests of messages and clients' commands, spoken between Allium nodes only.
//!
//! One asks, with a bencoded dict whose `q` says what; the other answers with a dict.
//!
//! | `q` | beside `s`, the session's number | answer |
//! |---|---|---|
//! | `compare` | `from`, `to` (accounts; none: the end), `m`: a negentropy message | `m`: the next one |
//! | `get` | `ids`: digests, one after the other | `n`: how many of them `things` covers |
//! | `put` | `things` | empty |
//! | `end` | | empty |
//!
//! `things` is a list of messages (a blob of [`transfer`]) and commands (`[method, params]`).

mod answer;
mod compare;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use negentropy::{Id, NegentropyStorageVector};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    fanout::MEMBER_TIMEOUT,
    link::PeerLink,
    member::PeerError,
    things::Thing,
    topology::Topology,
    transfer::Transferred,
    turns::{Scan, Turns},
    wishes::Wishes,
};
use crate::{
    clock::Clock,
    store::{Inventory, Place, Store, StoreError},
    swarm::{Network, NodeInfo, SwarmId},
    types::{AccountId, Ed25519PublicKey, Millis},
};

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use answer::fuzz_things;

/// The command, as OMQ would name it.
pub const COMMAND: &str = "sn.reconcile";
/// Things compared at once.
const SLICE: usize = 100_000;
/// Bytes of a negentropy message, about.
const MESSAGE: u64 = 500_000;
/// Bytes of things in one message, about.
const BATCH: usize = 1_000_000;
/// Rounds of one comparison at most: each divides a range by 16.
const ROUNDS: usize = 200;
/// Messages that go so soon, in milliseconds, are not worth it.
const SOON: u64 = 10_000;
/// Between two attempts to compare: from this, doubling, to that, so often.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(15);
const ATTEMPTS: u32 = 12;
/// Members are compared with, one at random, about this often though nothing has happened.
const NOW_AND_THEN: Duration = Duration::from_secs(300);
/// After this, what was under way when the swarm changed, or when something was stored, has ended: it is no longer on its way.
const SETTLED: Duration = Duration::from_secs(MEMBER_TIMEOUT.as_secs() + 1);
/// How many times as long as it took is the rest before others are compared with for what a comparison has brought.
const REST: u32 = 4;

/// Takes what another member gives, as far as it is right.
pub trait Merge: Send + Sync {
    /// Checks and keeps. A refusal of some of it is not told. Whether there was a message among it that was missing here, or
    /// stays longer now, though it is from before `settled`: others may miss it as well.
    fn merge<'a>(
        &'a self,
        things: Vec<Thing>,
        settled: Millis,
    ) -> std::pin::Pin<Box<dyn Future<Output = bool> + Send + 'a>>;
}

/// What a comparison did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compared {
    /// Things that we had and the other had not.
    pub given: u64,
    /// Things that the other had and we had not.
    pub taken: u64,
    /// Bytes of comparing, both ways; the things themselves are not counted.
    pub bytes: u64,
}

/// What another member compares with. There is one at a time, so that nobody is given the same by several.
struct Session {
    number: u64,
    with: Ed25519PublicKey,
    inventory: Arc<Inventory>,
    vector: Arc<NegentropyStorageVector>,
    rounds: usize,
}

/// Compares with other members. One for a node.
pub struct Reconciler {
    store: Store,
    network: Arc<Network>,
    peers: Arc<dyn PeerLink>,
    own: Ed25519PublicKey,
    clock: Clock,
    merge: Arc<dyn Merge>,
    session: Mutex<Option<Session>>,
    turns: Turns,
    wishes: Mutex<Wishes>,
    wake: Notify,
    total: Mutex<Compared>,
    /// How long the last comparison that we began took.
    took: Mutex<Duration>,
}

impl Reconciler {
    /// With the node's parts.
    #[must_use]
    pub fn new(
        store: Store,
        network: Arc<Network>,
        peers: Arc<dyn PeerLink>,
        own: Ed25519PublicKey,
        clock: Clock,
        merge: Arc<dyn Merge>,
    ) -> Self {
        let (session, wishes, total, took) = (Mutex::default(), Mutex::default(), Mutex::default(), Mutex::default());
        let (turns, wake) = (Turns::default(), Notify::new());
        Self { store, network, peers, own, clock, merge, session, turns, wishes, wake, total, took }
    }

    /// Compares with this member soon.
    pub fn want(&self, member: Ed25519PublicKey) {
        self.want_at(member, Instant::now());
    }

    fn want_at(&self, member: Ed25519PublicKey, next: Instant) {
        self.wishes.lock().add(member, next, 0);
        self.wake.notify_one();
    }

    /// Whether a comparison is planned.
    #[cfg(test)]
    pub(crate) fn has_plans(&self) -> bool {
        self.wishes.lock().next().is_some()
    }

    /// Compares with every member soon.
    pub fn want_all(&self) {
        self.replicas().iter().for_each(|replica| self.want(replica.ed25519));
    }

    /// Compares for ever: with every member at first, and again when somebody has come or left (who leaves may have told some
    /// what it will not tell the others); then with those that it was asked to, and now and then with one at random.
    pub async fn run(self: Arc<Self>) {
        let mut known = Topology::default();
        let mut again = Instant::now() + NOW_AND_THEN;
        loop {
            let topology = Topology::of(&self.network.load(), &self.own);
            if topology.own().is_some() && known.own() != topology.own() {
                self.want_all();
            } else if topology.own().is_some() && !known.has_same_members(&topology) {
                let settled = Instant::now() + SETTLED;
                self.replicas().iter().for_each(|replica| self.want_at(replica.ed25519, settled));
            }
            if topology.own().is_some() {
                known = topology;
            }
            let now = Instant::now();
            if now >= again {
                again = now + NOW_AND_THEN;
                let mut random = [0; 8];
                let replicas = self.replicas();
                if getrandom::fill(&mut random).is_ok() && !replicas.is_empty() {
                    let chosen = usize::try_from(u64::from_be_bytes(random) % replicas.len() as u64).unwrap_or(0);
                    self.want(replicas[chosen].ed25519);
                }
            }
            let due = self.wishes.lock().take_due(now);
            if let Some((member, attempts)) = due {
                self.attempt(member, attempts).await;
                continue;
            }
            let next = self.wishes.lock().next().map_or(again, |next| next.min(again));
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep_until(next.into()) => {}
            }
        }
    }

    /// There is a new picture of the network.
    pub fn network_changed(&self) {
        self.wake.notify_one();
    }

    fn replicas(&self) -> Vec<Arc<NodeInfo>> {
        let network = self.network.load();
        let Some(swarm) = self.own_swarm() else { return Vec::new() };
        network.members(swarm).iter().filter(|node| node.ed25519 != self.own).map(Arc::clone).collect()
    }

    async fn attempt(&self, member: Ed25519PublicKey, attempts: u32) {
        let Some(replica) = self.replicas().into_iter().find(|replica| replica.ed25519 == member) else { return };
        self.peers.acquaint(&replica).await;
        let result =
            if self.peers.is_allium(&replica) { self.compare(&replica).await } else { Err(PeerError::Timeout) };
        match result {
            Ok(Compared { given, taken, bytes }) => {
                tracing::debug!(node = %member, given, taken, bytes, "compared with a member of the swarm");
            }
            Err(error) => {
                tracing::debug!(node = %member, %error, "not compared with a member of the swarm");
                let attempts = attempts + 1;
                let next = Instant::now() + (FIRST_PAUSE * 2_u32.saturating_pow(attempts)).min(LAST_PAUSE);
                if attempts < ATTEMPTS {
                    self.wishes.lock().add(member, next, attempts);
                }
            }
        }
    }

    /// Keeps what a member gives. What was missing here may be missing at others, too: they are compared with, after a rest.
    async fn learn(&self, from: &Ed25519PublicKey, things: Vec<Thing>) {
        let settled = u64::try_from(SETTLED.as_millis()).unwrap_or(u64::MAX);
        if !self.merge.merge(things, self.clock.now().minus(settled)).await {
            return;
        }
        let replicas = self.replicas();
        let rest = REST * self.took.lock().saturating_mul(u32::try_from(replicas.len()).unwrap_or(u32::MAX));
        let next = Instant::now() + rest.clamp(SETTLED, NOW_AND_THEN);
        replicas
            .iter()
            .filter(|replica| replica.ed25519 != *from)
            .for_each(|replica| self.want_at(replica.ed25519, next));
    }

    /// All that comparisons which we began have done so far.
    #[must_use]
    pub fn total(&self) -> Compared {
        *self.total.lock()
    }

    fn own_swarm(&self) -> Option<SwarmId> {
        self.network.load().by_ed25519(&self.own).filter(|own| own.is_active()).map(|own| own.swarm)
    }

    /// With a `scan` the way goes on until it is done, whether or not somebody waits for that.
    async fn inventory(
        &self,
        from: AccountId,
        to: Option<AccountId>,
        most: usize,
        scan: Option<Scan>,
    ) -> Result<(Inventory, NegentropyStorageVector), PeerError> {
        let (store, network, swarm) = (self.store.clone(), self.network.load(), self.own_swarm());
        let horizon = self.clock.now().plus(SOON);
        let look = move || {
            let belong = |account: &AccountId| swarm.is_some() && network.swarm_of(account) == swarm;
            let inventory = store
                .inventory(&from, to.as_ref(), most, horizon, belong)
                .map_err(|error| PeerError::Refused(unreadable(&error)))?;
            let vector = vector(&inventory)?;
            if let Some(mut scan) = scan {
                scan.stopped_at(inventory.end);
            }
            Ok((inventory, vector))
        };
        tokio::task::spawn_blocking(look).await.unwrap_or_else(|error| Err(refused(error)))
    }

    /// Those of the things with these digests that are still there, about [`BATCH`] bytes of them, and how many digests that
    /// covers.
    fn things(
        &self,
        inventory: &Inventory,
        digests: impl Iterator<Item = [u8; 32]>,
    ) -> Result<(Vec<Thing>, usize), StoreError> {
        let (mut things, mut covered, mut size) = (Vec::new(), 0, 0);
        for digest in digests {
            if size >= BATCH {
                break;
            }
            covered += 1;
            let thing = match inventory.things.get(&digest) {
                Some((_, Place::Message(key))) => {
                    self.store.message_at(key)?.map(|message| Thing::Message(Transferred::from(message)))
                }
                Some((_, Place::Command(key))) => self.store.command(key)?.map(Thing::Command),
                None => None,
            };
            let Some(thing) = thing else { continue };
            size += 80
                + match &thing {
                    Thing::Message(message) => message.data.len(),
                    Thing::Command(command) => command.params.len(),
                };
            things.push(thing);
        }
        Ok((things, covered))
    }
}

/// What the other member is told.
fn unreadable(error: &StoreError) -> String {
    tracing::error!(%error, "what is to be compared could not be read");
    error.public()
}

fn refused(error: impl std::fmt::Display) -> PeerError {
    PeerError::Refused(error.to_string())
}

fn vector(inventory: &Inventory) -> Result<NegentropyStorageVector, PeerError> {
    let mut vector = NegentropyStorageVector::with_capacity(inventory.things.len());
    for (digest, (time, _)) in &inventory.things {
        vector.insert(time.0, Id::from_byte_array(*digest)).map_err(refused)?;
    }
    vector.seal().map_err(refused)?;
    Ok(vector)
}
