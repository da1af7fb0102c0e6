//! Messages that other nodes send (`spec/swarms` §4): those that belong here are kept, under the hashes that clients know
//! them by.

use std::{pin::Pin, sync::Arc};

use tokio::{task::spawn_blocking, time::timeout};

use crate::{
    replicate::{
        Merge, Thing,
        transfer::{self, Transferred},
    },
    rpc::{
        Via,
        core::{CallContext, Rpc, Storage},
        receiving::{Arrival, CHANGE, checked},
        status::Status,
    },
    store::{Command, NewMessage, Outcome, Stored},
    types::{Ed25519PublicKey, Millis},
};

impl Rpc {
    /// Messages that `from` sends, as a blob.
    ///
    /// # Errors
    /// What to answer when not all was stored. A message of another swarm is refused aloud: the sender may know of a change
    /// of swarms sooner than we do, and has to try again. One of another make tries once: its messages wait a while for the
    /// change. So is one refused of a sender that, as far as is known here, never was in the swarm that keeps it.
    pub async fn receive(&self, from: &Ed25519PublicKey, blob: &[u8]) -> Result<(), &'static str> {
        if blob.is_empty() {
            return Err("Empty data push");
        }
        let transferred = transfer::decode(blob).map_err(|_| "Failed to store messages")?;
        // From before the look, so that no change comes in between.
        let mut changes = self.parts.network.changes();
        let (ours, early) = self.sort(from, transferred);
        self.keep(ours, Millis(0)).await?;
        if early.is_empty() {
            return Ok(());
        }
        let sender = self.parts.network.load().by_ed25519(from).map(Arc::clone);
        let tries_once = sender.is_some_and(|sender| !self.parts.peers.is_allium(&sender));
        let Some(_place) = self.receiving.waiting.try_acquire().ok().filter(|_| tries_once) else {
            return Err("Swarm mismatch");
        };
        if !matches!(timeout(CHANGE, changes.changed()).await, Ok(Ok(()))) {
            return Err("Swarm mismatch");
        }
        let (ours, others) = self.sort(from, early);
        self.keep(ours, Millis(0)).await?;
        if others.is_empty() { Ok(()) } else { Err("Swarm mismatch") }
    }

    /// Messages that belong here and may come from there, and all others.
    fn sort(&self, from: &Ed25519PublicKey, transferred: Vec<Transferred>) -> (Vec<Transferred>, Vec<Transferred>) {
        let network = self.parts.network.load();
        let own = network.by_ed25519(&self.own).map(|node| node.swarm);
        transferred.into_iter().partition(|message| {
            network.swarm_of(&message.account) == own && self.parts.network.has_kept(from, &message.account)
        })
    }

    /// What became of messages that other nodes have sent: its name, and how many.
    #[must_use]
    pub fn arrivals(&self) -> Vec<(&'static str, u64)> {
        Arrival::ALL.iter().map(|(arrival, name)| (*name, self.receiving.arrivals.sum(*arrival as usize))).collect()
    }

    /// Whether one of them from before `settled` was missing, or stays longer now.
    async fn keep(&self, transferred: Vec<Transferred>, settled: Millis) -> Result<bool, &'static str> {
        let failed = "Failed to store messages";
        let Some(Storage { store, .. }) = &self.parts.storage else { return Err("Swarm mismatch") };
        let network = self.parts.network.load();
        let own = network.by_ed25519(&self.own).map(|node| node.swarm);
        let count = transferred.len();
        let ours: Vec<Transferred> =
            transferred.into_iter().filter(|message| network.swarm_of(&message.account) == own).collect();
        let all_are_ours = ours.len() == count;
        let (now, latest) = (self.parts.clock.now(), self.believable(Millis(u64::MAX)));
        let mut search = self.receiving.seen.search();
        let turn = self.receiving.turn.acquire().await.map_err(|_| failed)?;
        let read = move || ours.into_iter().map(|message| checked(message, &mut search, now, latest)).collect();
        let read: Vec<(Arrival, Option<NewMessage>)> = spawn_blocking(read).await.map_err(|_| failed)?;
        drop(turn);
        let mut messages = Vec::with_capacity(read.len());
        for (arrival, message) in read {
            self.receiving.arrivals.add(arrival as usize, 1);
            if let (Arrival::Named | Arrival::Found, Some(message)) = (arrival, &message) {
                self.receiving.seen.note(message.namespace);
            }
            messages.extend(message);
        }
        let watched: Vec<Option<NewMessage>> =
            messages.iter().map(|message| self.monitors.any(&message.account).then(|| message.clone())).collect();
        let is_settled = |message: &NewMessage| message.stored.max(message.changed) < settled;
        let settled: Vec<bool> = messages.iter().map(is_settled).collect();
        let stored = store.receive(messages).await.map_err(|error| {
            tracing::warn!(%error, "messages from another node were not stored");
            failed
        })?;
        let grows = |stored: &Stored| matches!(stored.outcome, Outcome::New | Outcome::Extended);
        let grown = settled.iter().zip(&stored).any(|(settled, stored)| *settled && grows(stored));
        for (message, stored) in watched.iter().zip(stored) {
            if let (Some(message), Outcome::New) = (message, stored.outcome) {
                self.monitors.notify(message, store);
            }
        }
        if all_are_ours { Ok(grown) } else { Err("Swarm mismatch") }
    }
}

impl Merge for Rpc {
    fn merge<'a>(&'a self, things: Vec<Thing>, settled: Millis) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async move {
            let mut messages = Vec::new();
            for thing in things {
                match thing {
                    Thing::Message(message) => messages.push(message),
                    Thing::Command(Command { method, params }) => {
                        let asked = CallContext::new(Via::Swarm);
                        let reply = match self.forwarded(&method, &params, &asked) {
                            Ok((request, origin)) => self.run(request, origin, asked).await,
                            Err(refusal) => refusal,
                        };
                        if reply.status != Status::OK {
                            tracing::debug!(method, status = reply.status.code(), "a late command was refused");
                        }
                    }
                }
            }
            self.keep(messages, settled).await.unwrap_or_else(|refusal| {
                tracing::debug!(refusal, "not all messages of another member were kept");
                false
            })
        })
    }
}
