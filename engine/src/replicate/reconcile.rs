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

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use negentropy::{Id, Negentropy, NegentropyStorageVector};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    fanout::MEMBER_TIMEOUT,
    link::{PeerError, PeerLink},
    things::{Thing, decode, encode},
    topology::Topology,
    transfer::Transferred,
    turns::{Scan, Turns},
    wishes::Wishes,
};
use crate::{
    bencode::Bt,
    clock::Clock,
    store::{Inventory, Place, Store, StoreError},
    swarm::{Network, NodeInfo, SwarmId},
    types::{AccountId, Ed25519PublicKey, Millis},
};

/// The command, as OMQ would name it.
pub const COMMAND: &str = "sn.reconcile";
const TIMEOUT: Duration = Duration::from_secs(30);
/// Things compared at once.
const SLICE: usize = 100_000;
/// Bytes of a negentropy message, about.
const MESSAGE: u64 = 500_000;
/// Bytes of things in one message, about.
const BATCH: usize = 1_000_000;
/// Digests asked for at once.
const ASKED: usize = 10_000;
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

    /// Compares with `node`, until both have what either had.
    ///
    /// # Errors
    /// [`PeerError`]; what was exchanged until then stays.
    pub async fn compare(&self, node: &Arc<NodeInfo>) -> Result<Compared, PeerError> {
        let began = Instant::now();
        let mut done = Compared::default();
        let mut from = AccountId([0; 33]);
        loop {
            let (inventory, vector) = self.inventory(from, None, SLICE, None).await?;
            let end = inventory.end;
            let result = self.compare_slice(node, from, (&inventory, vector), &mut done).await;
            let mut total = self.total.lock();
            total.given += done.given;
            total.taken += done.taken;
            total.bytes += done.bytes;
            drop(total);
            result?;
            match end {
                Some(end) => from = end,
                None => {
                    *self.took.lock() = began.elapsed();
                    return Ok(done);
                }
            }
        }
    }

    async fn compare_slice(
        &self,
        node: &Arc<NodeInfo>,
        from: AccountId,
        (inventory, vector): (&Inventory, NegentropyStorageVector),
        done: &mut Compared,
    ) -> Result<(), PeerError> {
        let mut number = [0; 8];
        getrandom::fill(&mut number).map_err(refused)?;
        let session = u64::from_be_bytes(number) >> 1;
        let (mut have, mut need) = (Vec::new(), Vec::new());
        let mut negentropy = Negentropy::owned(vector, MESSAGE).map_err(refused)?;
        let mut message = Some(negentropy.initiate().map_err(refused)?);
        for _ in 0..ROUNDS {
            let Some(asked) = message else { break };
            done.bytes += asked.len() as u64;
            let to = inventory.end.map_or_else(Vec::new, |end| end.0.to_vec());
            let range =
                [("from", from.0.as_slice().into()), ("to", to.as_slice().into()), ("m", asked.as_slice().into())];
            let answer = self.ask(node, "compare", session, range).await?;
            let Some(Bt::Bytes(told)) = answer.get(b"m".as_slice()) else { return Err(malformed()) };
            done.bytes += told.len() as u64;
            message = negentropy.reconcile_with_ids(told, &mut have, &mut need).map_err(refused)?;
        }
        self.take(node, session, &need, done).await?;
        self.give(node, session, inventory, &have, done).await?;
        self.ask(node, "end", session, []).await.map(drop)
    }

    async fn take(
        &self,
        node: &Arc<NodeInfo>,
        session: u64,
        mut need: &[Id],
        done: &mut Compared,
    ) -> Result<(), PeerError> {
        while !need.is_empty() {
            let ids: Vec<u8> = need.iter().take(ASKED).flat_map(|id| id.to_bytes()).collect();
            let mut answer = self.ask(node, "get", session, [("ids", ids.as_slice().into())]).await?;
            let covered = match answer.get(b"n".as_slice()) {
                Some(Bt::Int(covered)) => usize::try_from(*covered).unwrap_or(0).min(need.len()),
                _ => 0,
            };
            if covered == 0 {
                return Err(malformed());
            }
            let things = answer.remove(b"things".as_slice()).and_then(decode).ok_or_else(malformed)?;
            done.taken += things.len() as u64;
            self.learn(&node.ed25519, things).await;
            need = &need[covered..];
        }
        Ok(())
    }

    async fn give(
        &self,
        node: &Arc<NodeInfo>,
        session: u64,
        inventory: &Inventory,
        mut have: &[Id],
        done: &mut Compared,
    ) -> Result<(), PeerError> {
        while !have.is_empty() {
            let (things, covered) = self.things(inventory, have.iter().map(|id| id.to_bytes())).map_err(refused)?;
            done.given += things.len() as u64;
            self.ask(node, "put", session, [("things", encode(things))]).await?;
            have = &have[covered..];
        }
        Ok(())
    }

    async fn ask<const N: usize>(
        &self,
        node: &Arc<NodeInfo>,
        what: &'static str,
        session: u64,
        fields: [(&'static str, Bt); N],
    ) -> Result<BTreeMap<Vec<u8>, Bt>, PeerError> {
        let head = [("q", what.as_bytes().into()), ("s", session.into())];
        let body = Bytes::from(Bt::dict(head.into_iter().chain(fields)).encode());
        let answer = self.peers.request(node, COMMAND, vec![body], TIMEOUT).await?;
        match answer.as_slice() {
            [answer] => match Bt::parse(answer) {
                Ok(Bt::Dict(answer)) => Ok(answer),
                _ => Err(malformed()),
            },
            parts => Err(PeerError::Refused(String::from_utf8_lossy(&parts.concat()).into_owned())),
        }
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

    /// Answers another member.
    ///
    /// # Errors
    /// The refusal, as text.
    pub async fn answer(&self, from: &Ed25519PublicKey, body: &[u8]) -> Result<Vec<u8>, String> {
        let malformed = || "Malformed".to_owned();
        let replica = self.network.load().by_ed25519(from).map(|node| node.swarm);
        if replica.is_none() || replica != self.own_swarm() {
            return Err("Swarm mismatch".to_owned());
        }
        let Ok(Bt::Dict(mut asked)) = Bt::parse(body) else { return Err(malformed()) };
        let (Some(Bt::Bytes(what)), Some(Bt::Int(number))) =
            (asked.remove(b"q".as_slice()), asked.get(b"s".as_slice()))
        else {
            return Err(malformed());
        };
        let number = u64::try_from(*number).map_err(|_| malformed())?;
        match what.as_slice() {
            b"compare" => {
                let vector = self.vector_for(from, number, &asked).await?;
                let Some(Bt::Bytes(message)) = asked.get(b"m".as_slice()) else { return Err(malformed()) };
                let mut negentropy = Negentropy::borrowed(vector.as_ref(), MESSAGE).map_err(|_| malformed())?;
                let answer = negentropy.reconcile(message).map_err(|_| malformed())?;
                Ok(Bt::dict([("m", answer.as_slice().into())]).encode())
            }
            b"get" => {
                let inventory = self.current(from, number, |session| Arc::clone(&session.inventory));
                let Some(inventory) = inventory else { return Err("No such session".to_owned()) };
                let Some(Bt::Bytes(ids)) = asked.get(b"ids".as_slice()) else { return Err(malformed()) };
                let digests = ids.as_chunks::<32>().0.iter().copied();
                let (things, covered) = self.things(&inventory, digests).map_err(|error| unreadable(&error))?;
                Ok(Bt::dict([("n", Bt::from(covered as u64)), ("things", encode(things))]).encode())
            }
            b"put" => {
                let things = asked.remove(b"things".as_slice()).and_then(decode).ok_or_else(malformed)?;
                let _ = self.current(from, number, |_| ());
                self.learn(from, things).await;
                let _ = self.current(from, number, |_| ());
                Ok(b"de".to_vec())
            }
            b"end" => {
                let is_theirs = |session: &mut Session| session.number == number && session.with == *from;
                if self.session.lock().take_if(is_theirs).is_some() {
                    self.turns.end(from);
                }
                Ok(b"de".to_vec())
            }
            _ => Err("Unknown question".to_owned()),
        }
    }

    /// The session, if it is this one; it is in use.
    fn current<T>(&self, from: &Ed25519PublicKey, number: u64, read: impl FnOnce(&mut Session) -> T) -> Option<T> {
        let mut session = self.session.lock();
        let session = session.as_mut().filter(|session| session.number == number && session.with == *from)?;
        self.turns.used(from);
        Some(read(session))
    }

    /// What is compared in this session, which begins if it is new.
    async fn vector_for(
        &self,
        from: &Ed25519PublicKey,
        number: u64,
        asked: &BTreeMap<Vec<u8>, Bt>,
    ) -> Result<Arc<NegentropyStorageVector>, String> {
        let ask = |session: &mut Session| {
            session.rounds += 1;
            (session.rounds <= ROUNDS).then(|| Arc::clone(&session.vector))
        };
        if let Some(vector) = self.current(from, number, ask) {
            return vector.ok_or_else(|| "Too many rounds".to_owned());
        }
        let account = |name: &[u8]| match asked.get(name) {
            Some(Bt::Bytes(bytes)) if bytes.is_empty() => Some(None),
            Some(Bt::Bytes(bytes)) => bytes.as_slice().try_into().ok().map(|bytes| Some(AccountId(bytes))),
            _ => None,
        };
        let (Some(Some(first)), Some(to)) = (account(b"from"), account(b"to")) else {
            return Err("Malformed".to_owned());
        };
        let scan = self.turns.begin(*from, first).ok_or_else(|| "Busy".to_owned())?;
        // What was held for the last session goes before there is more.
        *self.session.lock() = None;
        // The other's slice may hold more here, but not without end.
        let (inventory, vector) =
            self.inventory(first, to, 4 * SLICE, Some(scan)).await.map_err(|error| match error {
                PeerError::Refused(text) => text,
                _ => "Malformed".to_owned(),
            })?;
        let (inventory, vector) = (Arc::new(inventory), Arc::new(vector));
        *self.session.lock() = Some(Session { number, with: *from, inventory, vector: Arc::clone(&vector), rounds: 1 });
        Ok(vector)
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

fn malformed() -> PeerError {
    PeerError::Refused("a malformed answer".to_owned())
}

fn vector(inventory: &Inventory) -> Result<NegentropyStorageVector, PeerError> {
    let mut vector = NegentropyStorageVector::with_capacity(inventory.things.len());
    for (digest, (time, _)) in &inventory.things {
        vector.insert(time.0, Id::from_byte_array(*digest)).map_err(refused)?;
    }
    vector.seal().map_err(refused)?;
    Ok(vector)
}

/// What another member gives, or asks.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz_things(bytes: &[u8]) -> usize {
    let Ok(told) = Bt::parse(bytes) else { return 0 };
    if let Bt::Dict(mut fields) = told {
        let mut answered = 0;
        if let Some(Bt::Bytes(message)) = fields.get(b"m".as_slice()) {
            let vector = vector(&Inventory::default());
            let answer =
                vector.ok().and_then(|vector| Negentropy::owned(vector, MESSAGE).ok()?.reconcile(message).ok());
            answered = answer.map_or(0, |answer| answer.len());
        }
        if let Some(things) = fields.remove(b"things".as_slice()).and_then(decode) {
            // A member that is given this has the same.
            let count = things.len();
            assert_eq!(decode(encode(things)).map(|things| things.len()), Some(count));
        }
        return answered;
    }
    0
}
