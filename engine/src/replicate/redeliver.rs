//! Tells members of the swarm what they have missed, as soon as they can be reached again.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    link::PeerLink,
    member::{ELSEWHERE, PeerError},
    originals::Originals,
    transfer::{self, Transferred},
};
use crate::{
    store::{Hint, Store, StoreError},
    swarm::{Network, NodeInfo},
    types::{Ed25519PublicKey, MessageHash},
};

/// Between two attempts to reach a member: from this, doubling, to that.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// Entries read at once, and bytes of messages sent at once.
const ENTRIES: usize = 500;
const BATCH: usize = 1_000_000;
const DATA_TIMEOUT: Duration = Duration::from_secs(30);
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// A member that is behind.
#[derive(Clone, Copy, Debug)]
struct Behind {
    next: Instant,
    pause: Duration,
}

/// Keeps and delivers what was missed. One for a node.
pub struct Redelivery {
    store: Store,
    network: Arc<Network>,
    peers: Arc<dyn PeerLink>,
    own: Ed25519PublicKey,
    behind: Mutex<HashMap<Ed25519PublicKey, Behind>>,
    originals: Mutex<Originals>,
    wake: Notify,
}

impl Redelivery {
    /// Goes on where the last run of this store stopped.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn new(
        store: Store,
        network: Arc<Network>,
        peers: Arc<dyn PeerLink>,
        own: Ed25519PublicKey,
    ) -> Result<Self, StoreError> {
        let now = Instant::now();
        let behind = store.behind()?.into_iter().map(|key| (key, Behind { next: now, pause: FIRST_PAUSE })).collect();
        let (behind, originals) = (Mutex::new(behind), Mutex::default());
        Ok(Self { store, network, peers, own, behind, originals, wake: Notify::new() })
    }

    /// Whether a member has missed something: what comes next has to wait for its turn.
    #[must_use]
    pub fn is_behind(&self, member: &Ed25519PublicKey) -> bool {
        self.behind.lock().contains_key(member)
    }

    /// Members that have missed something.
    #[must_use]
    pub fn members_behind(&self) -> usize {
        self.behind.lock().len()
    }

    /// `members` have missed something. On disk when this returns.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add(&self, members: Vec<Ed25519PublicKey>, missed: Hint) -> Result<(), StoreError> {
        let count = members.len();
        self.mark(&members);
        let kept = self.store.add_hints(members.clone(), missed).await?;
        // Again: whoever found nothing to tell meanwhile has taken the mark away.
        self.mark(&members);
        if kept < count {
            tracing::warn!(lost = count - kept, "no room to remember what members of the swarm have missed");
        }
        self.wake.notify_one();
        Ok(())
    }

    /// One of `members` will get the store of `hash` late. It is told as it was signed, with these `params`, if it would lose
    /// the namespace otherwise and it is before `until`.
    pub fn keep_original(&self, members: &[Ed25519PublicKey], hash: MessageHash, params: Bytes, until: Instant) {
        let network = self.network.load();
        if members.iter().filter_map(|member| network.by_ed25519(member)).any(|node| self.loses_namespaces(node)) {
            self.originals.lock().keep(hash, params, until);
        }
    }

    fn loses_namespaces(&self, node: &NodeInfo) -> bool {
        node.version < transfer::NAMED && !self.peers.is_allium(node)
    }

    /// The store of a message as it was signed, where that is how `node` has to get it.
    fn original(&self, node: &NodeInfo, missed: &Hint) -> Option<Bytes> {
        let Hint::Message(_, hash) = missed else { return None };
        self.loses_namespaces(node).then(|| self.originals.lock().get(hash)).flatten()
    }

    /// Members that were promised to be told of a change: `told` have been, `missed_by` have not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep(
        &self,
        told: Vec<(Ed25519PublicKey, u64)>,
        missed_by: &[Ed25519PublicKey],
    ) -> Result<(), StoreError> {
        if !missed_by.is_empty() {
            self.mark(missed_by);
            self.wake.notify_one();
        }
        if told.is_empty() { Ok(()) } else { self.store.forget_hints(told).await }
    }

    /// There is a new picture of the network.
    pub fn network_changed(&self) {
        self.wake.notify_one();
    }

    /// Tells the swarm of messages that it may not have been told of, once it is known who that is.
    async fn hint_unreplicated(&self) -> Result<(), StoreError> {
        let network = self.network.load();
        let Some(own) = network.by_ed25519(&self.own).filter(|own| own.is_active()) else { return Ok(()) };
        let replicas = network.members(own.swarm).iter().map(|node| node.ed25519).filter(|key| *key != self.own);
        let replicas: Vec<Ed25519PublicKey> = replicas.collect();
        for unreplicated in self.store.take_unreplicated() {
            let (account, hash) = unreplicated.message();
            self.add(replicas.clone(), Hint::Message(account, hash)).await?;
            unreplicated.told();
        }
        Ok(())
    }

    fn mark(&self, members: &[Ed25519PublicKey]) {
        let mut behind = self.behind.lock();
        let next = Instant::now() + FIRST_PAUSE;
        for member in members {
            behind.entry(*member).or_insert(Behind { next, pause: FIRST_PAUSE });
        }
    }

    /// Delivers for ever, and says who has caught up.
    pub async fn run(self: Arc<Self>, caught_up: impl Fn(Ed25519PublicKey) + Send + Sync) {
        loop {
            if let Err(error) = self.hint_unreplicated().await {
                tracing::error!(%error, "messages that the swarm was not told of could not be noted");
            }
            let now = Instant::now();
            let due: Vec<Ed25519PublicKey> =
                self.behind.lock().iter().filter(|(_, behind)| behind.next <= now).map(|(key, _)| *key).collect();
            join_all(due.iter().map(|member| self.catch_up(*member))).await;
            due.into_iter().filter(|member| !self.is_behind(member)).for_each(&caught_up);
            let next = self.behind.lock().values().map(|behind| behind.next).min();
            let pause = next.map_or(Duration::from_secs(3600), |next| next.saturating_duration_since(Instant::now()));
            tokio::select! {
                () = self.wake.notified() => {}
                () = self.store.unreplicated() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Tells one member all that it missed, in order, or as much as it takes.
    async fn catch_up(&self, member: Ed25519PublicKey) {
        let network = self.network.load();
        let swarm = network.by_ed25519(&self.own).map(|own| own.swarm);
        let node = network.by_ed25519(&member).filter(|node| Some(node.swarm) == swarm && node.is_active());
        let Some(node) = node.map(Arc::clone) else {
            if swarm.is_some() && !network.nodes().is_empty() {
                self.give_up(member).await;
            }
            return self.later(member);
        };
        self.peers.acquaint(&node).await;
        loop {
            let missed = match self.store.hints(&member, ENTRIES) {
                Ok(missed) => missed,
                Err(error) => {
                    tracing::error!(%error, "what a member missed could not be read");
                    return self.later(member);
                }
            };
            if missed.is_empty() {
                let mut behind = self.behind.lock();
                // Something may have been added since the look.
                if matches!(self.store.hints(&member, 1), Ok(missed) if missed.is_empty()) {
                    behind.remove(&member);
                    return;
                }
                continue;
            }
            let told = match self.tell(&node, &missed).await {
                Ok(told) => told,
                Err(error) => {
                    tracing::debug!(%error, node = %member, "a member is still behind");
                    return self.later(member);
                }
            };
            let told = told.into_iter().map(|number| (member, number)).collect();
            if let Err(error) = self.store.forget_hints(told).await {
                tracing::error!(%error, "what a member was told could not be noted");
                return self.later(member);
            }
            if let Some(behind) = self.behind.lock().get_mut(&member) {
                behind.pause = FIRST_PAUSE;
            }
        }
    }

    /// Sends the first of `missed`, and what can go with it; the numbers of what arrived.
    async fn tell(&self, node: &Arc<NodeInfo>, missed: &[(u64, Hint)]) -> Result<Vec<u64>, PeerError> {
        let command = match missed.first() {
            Some((number, Hint::Command(command))) => Some((number, command.clone())),
            Some((number, Hint::Logged(key))) => {
                let command = self.store.command(key).map_err(|error| PeerError::Refused(error.to_string()))?;
                let Some(command) = command else { return Ok(vec![*number]) };
                Some((number, command))
            }
            Some((_, Hint::Message(..))) | None => None,
        };
        if let Some((number, command)) = command {
            let plain = || command.without_time().unwrap_or_else(|| command.params.clone());
            let params = if self.peers.is_allium(node) { command.params.clone() } else { plain() };
            self.command(node, &command.method, params.into()).await?;
            return Ok(vec![*number]);
        }
        if let Some((number, first @ Hint::Message(_, hash))) = missed.first()
            && let Some(params) = self.original(node, first)
        {
            if self.command(node, "store", params).await? {
                return Ok(vec![*number]);
            }
            // Too late by its clock, perhaps.
            self.originals.lock().forget(hash);
        }
        let (mut numbers, mut messages, mut size) = (Vec::new(), Vec::new(), 0);
        for (number, item) in missed {
            let Hint::Message(account, hash) = item else { break };
            if !numbers.is_empty() && self.original(node, item).is_some() {
                break;
            }
            let found =
                self.store.messages(&[(*account, *hash)]).map_err(|error| PeerError::Refused(error.to_string()))?;
            // What maps elsewhere by now goes another way.
            let network = self.network.load();
            for message in found.into_iter().filter(|message| network.swarm_of(&message.account) == Some(node.swarm)) {
                size += message.data.len() + 80;
                messages.push(Transferred::from(message));
            }
            numbers.push(*number);
            if size >= BATCH {
                break;
            }
        }
        if messages.is_empty() {
            return Ok(numbers);
        }
        let blobs =
            transfer::encode(&messages, usize::MAX, self.peers.is_allium(node)).into_iter().map(Bytes::from).collect();
        let answer = self.peers.request(node, "sn.data", blobs, DATA_TIMEOUT).await?;
        transfer::accepted(&answer).map(|()| numbers)
    }

    /// Tells a client's command late; whether it was carried out.
    async fn command(&self, node: &Arc<NodeInfo>, method: &str, params: Bytes) -> Result<bool, PeerError> {
        let parts = vec![Bytes::copy_from_slice(method.as_bytes()), params];
        let answer = self.peers.request(node, "sn.storage_cc", parts, COMMAND_TIMEOUT).await?;
        let [code, reason] = answer.as_slice() else { return Ok(true) };
        let (code, reason) = (String::from_utf8_lossy(code), String::from_utf8_lossy(reason));
        if code == ELSEWHERE {
            return Err(PeerError::Refused("it does not know yet that it is a member".to_owned()));
        }
        tracing::debug!(%code, %reason, method, node = %node.ed25519, "a late command was refused");
        Ok(false)
    }

    async fn give_up(&self, member: Ed25519PublicKey) {
        match self.store.forget_member(member).await {
            Ok(count) => tracing::info!(count, node = %member, "a member has left before it was told all"),
            Err(error) => tracing::error!(%error, "what a member missed could not be forgotten"),
        }
        self.behind.lock().remove(&member);
    }

    fn later(&self, member: Ed25519PublicKey) {
        if let Some(behind) = self.behind.lock().get_mut(&member) {
            behind.next = Instant::now() + behind.pause;
            behind.pause = (behind.pause * 2).min(LAST_PAUSE);
        }
    }
}
