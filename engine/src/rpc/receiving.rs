//! What it takes to receive messages that other nodes send, and what each of them is.

use std::time::Duration;

use tokio::sync::Semaphore;

use super::limit::{self, MAX_MESSAGE};
use crate::{
    metrics::Stripes,
    replicate::transfer::Transferred,
    store::{NamespaceSearch, NewMessage, SeenNamespaces},
    types::{MessageHash, Millis, Namespace},
};

/// What became of a message that another node sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Its hash is that of its content in the namespace that was named, 0 if none was.
    Named,
    /// In another namespace, which was found.
    Found,
    /// In none that was tried: it is kept in namespace 0 under the hash that it came with.
    Unproven,
    /// What it is called is no hash, or it is too long, of the future, over or to stay too long.
    Dropped,
}

impl Arrival {
    pub(super) const ALL: [(Self, &'static str); 4] =
        [(Self::Named, "named"), (Self::Found, "found"), (Self::Unproven, "unproven"), (Self::Dropped, "dropped")];
}

/// What it takes to receive.
pub(super) struct Receiving {
    /// Of messages that clients or other nodes store.
    pub(super) seen: SeenNamespaces,
    /// One transfer's namespaces are looked for at a time, so that transfers take one core at most.
    pub(super) turn: Semaphore,
    /// Transfers that came before the change of the network that they follow from.
    pub(super) waiting: Semaphore,
    pub(super) arrivals: Stripes,
}

/// How long they wait for it: less than a sender does for an answer.
pub(super) const CHANGE: Duration = Duration::from_secs(5);
/// How many may.
const MOST_WAITING: usize = 16;

impl Default for Receiving {
    fn default() -> Self {
        Self {
            seen: SeenNamespaces::default(),
            turn: Semaphore::new(1),
            waiting: Semaphore::new(MOST_WAITING),
            arrivals: Stripes::new(Arrival::ALL.len()),
        }
    }
}

/// A message as it is to be stored, at `now`; no time of it is after `latest`.
pub(super) fn checked(
    message: Transferred,
    search: &mut NamespaceSearch,
    now: Millis,
    latest: Millis,
) -> (Arrival, Option<NewMessage>) {
    let Transferred { account, hash, timestamp, expiry, data, namespace, times } = message;
    let hash = std::str::from_utf8(&hash).ok().and_then(MessageHash::from_text);
    let may_stay =
        data.len() <= MAX_MESSAGE && timestamp <= latest && expiry > now && expiry <= now.plus(limit::MAX_TTL);
    let Some(hash) = hash.filter(|_| may_stay) else { return (Arrival::Dropped, None) };
    let (arrival, namespace) = match search.find(&account, &hash, &data, namespace) {
        Some(found) if found == namespace => (Arrival::Named, found),
        Some(found) => (Arrival::Found, found),
        None => (Arrival::Unproven, Namespace(0)),
    };
    let (stored, changed) = times.unwrap_or((timestamp, timestamp));
    let (stored, changed) = (stored.min(latest), changed.min(latest));
    (arrival, Some(NewMessage { account, namespace, hash, timestamp, expiry, stored, changed, data }))
}
