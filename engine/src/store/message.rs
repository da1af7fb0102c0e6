//! Messages as they are put in, and what becomes of them.

use crate::types::{AccountId, MAX_LIFETIME, MessageHash, Millis, Namespace};

/// How much there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Of all accounts together.
    pub(super) max_bytes: u64,
    /// Of one account, in its public inboxes, and as much again elsewhere.
    pub(super) account_bytes: u64,
    /// Likewise.
    pub(super) account_messages: u64,
}

/// A message to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// Whose it is.
    pub account: AccountId,
    /// Where in the account.
    pub namespace: Namespace,
    /// Its hash, as [`MessageHash::of`] computes it; or what another node calls it, where that is the hash in no namespace
    /// that could be found.
    pub hash: MessageHash,
    /// When the sender says it was sent.
    pub timestamp: Millis,
    /// When it goes.
    pub expiry: Millis,
    /// When the swarm took it from a client ([`super::Store::stamp`]); the timestamp, where that is not known.
    pub stored: Millis,
    /// When its expiry was last changed.
    pub changed: Millis,
    /// What it says.
    pub data: Vec<u8>,
}

impl NewMessage {
    /// A message under the hash that every node gives it, sent at `timestamp` and to go at `expiry`.
    #[must_use]
    pub fn new(account: AccountId, namespace: Namespace, timestamp: Millis, expiry: Millis, data: Vec<u8>) -> Self {
        let hash = MessageHash::of(&account, namespace, &data);
        Self { account, namespace, hash, timestamp, expiry, stored: timestamp, changed: timestamp, data }
    }

    /// Whether its hash is that of its content, and not only what another node calls it.
    pub(super) fn is_proven(&self) -> bool {
        MessageHash::of(&self.account, self.namespace, &self.data) == self.hash
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was not there.
    New,
    /// It was there; its expiry is later now.
    Extended,
    /// It was there and stays as it was.
    Exists,
    /// It was deleted since, or the public outbox holds a newer one.
    Obsolete,
}

/// The answer to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What became of the message.
    pub outcome: Outcome,
    /// The expiry now in force; zero for [`Outcome::Obsolete`].
    pub expiry: Millis,
}

/// One namespace of an account, or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// This one.
    One(Namespace),
    /// Every one.
    All,
}

/// Which expiries a change may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpireMode {
    /// All.
    Set,
    /// Earlier ones.
    Extend,
    /// Later ones.
    Shorten,
}

/// An extension by less than this part of a message's lifetime is a small one.
const SMALL: u64 = 100;

/// Whether `wanted` is only a little later than `current`, for a message sent at `timestamp`.
pub(super) const fn is_small_extension(timestamp: Millis, current: Millis, wanted: Millis) -> bool {
    let (lifetime, longer) = (current.0.saturating_sub(timestamp.0), wanted.0.saturating_sub(current.0));
    let lifetime = if lifetime < MAX_LIFETIME { lifetime } else { MAX_LIFETIME };
    longer > 0 && longer.saturating_mul(SMALL) < lifetime
}

impl ExpireMode {
    /// Whether a message that goes at `current` is to go at `wanted` instead.
    pub(super) fn changes(self, current: Millis, wanted: Millis) -> bool {
        match self {
            Self::Set => true,
            Self::Extend => current < wanted,
            Self::Shorten => current > wanted,
        }
    }
}

/// The answer to a change of expiries. Messages that are not there are in neither list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpireResult {
    /// Changed (with [`ExpireMode::Set`], all that are there but for small extensions where these are ignored) and the expiry
    /// asked for.
    pub updated: Vec<(MessageHash, Millis)>,
    /// Left as they were, with their expiry.
    pub unchanged: Vec<(MessageHash, Millis)>,
}
