//! What other members of the swarm have missed, in the order in which it happened.

use std::{
    ops::Bound,
    sync::{Arc, atomic::Ordering},
};

use super::{
    Store, StoreError,
    commands::Command,
    layout::{Meta, account_of, damaged, expiring, u64_at},
    tables::Tables,
    work::{NewMessage, Work},
};
use crate::types::{AccountId, Ed25519PublicKey, MessageHash, Millis};

/// Something that a member has to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missed {
    /// A message of an account that is in the store (if it is not any more, nobody needs it).
    Message(AccountId, MessageHash),
    /// A client's command.
    Command(Command),
}

impl Missed {
    fn encode(&self, now: Millis) -> Vec<u8> {
        let mut value = now.0.to_be_bytes().to_vec();
        match self {
            Self::Message(account, hash) => {
                value.push(0);
                value.extend_from_slice(&account.0);
                value.extend_from_slice(&hash.0);
            }
            Self::Command(command) => {
                value.push(1);
                value.extend_from_slice(&command.encode());
            }
        }
        value
    }

    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let (kind, rest) = value.get(8..)?.split_first()?;
        match kind {
            0 => {
                let (account, hash) = rest.split_first_chunk()?;
                Some(Self::Message(AccountId(*account), MessageHash(hash.try_into().ok()?)))
            }
            1 => Some(Self::Command(Command::decode(rest)?)),
            _ => None,
        }
    }
}

/// What was done, and the numbers of the entries for members that are to be told of it, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promised<T> {
    /// The result.
    pub done: T,
    /// Empty where nobody is.
    pub numbers: Vec<u64>,
}

/// A message that the swarm is being told of. Dropped when it has been, or when what was missed is noted.
pub struct Unsettled {
    pub(super) tables: Arc<Tables>,
    pub(super) number: Option<u64>,
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.tables.in_flight.lock().remove(&number);
        }
    }
}

/// Messages behind the mark that a crash has left.
pub(super) fn unsettled(tables: &Tables) -> Result<Vec<(AccountId, MessageHash)>, StoreError> {
    let txn = tables.view()?;
    let (settled, last) = (tables.meta(&txn, Meta::Settled)?, tables.meta(&txn, Meta::Sequence)?);
    let mut found = Vec::new();
    // 0: a version that kept no mark, or nothing to mark.
    if settled > 0 && settled < last {
        for entry in tables.expiries.iter(&txn)? {
            let (at, whose) = entry?;
            if at.get(8..).and_then(u64_at).ok_or_else(damaged)? > settled {
                let (_, key) = expiring((at, whose)).ok_or_else(damaged)?;
                found.push((AccountId(account_of(&key)), tables.record(&txn, &key)?.hash));
            }
        }
    }
    Ok(found)
}

fn key(member: &Ed25519PublicKey, sequence: u64) -> [u8; 40] {
    let mut key = [0; 40];
    key[..32].copy_from_slice(&member.0);
    key[32..].copy_from_slice(&sequence.to_be_bytes());
    key
}

impl Work<'_> {
    /// The numbers of the entries, as many as there was room for.
    pub(super) fn add_missed(&mut self, members: &[Ed25519PublicKey], missed: &Missed) -> Result<Vec<u64>, StoreError> {
        let now = self.now();
        self.guard(|work| {
            let mut added = Vec::new();
            for member in members {
                if work.tables.len(&work.tables.missed, &work.txn) >= work.tables.max_missed {
                    break;
                }
                let sequence = work.tables.meta(&work.txn, Meta::Missed)? + 1;
                work.tables.set_meta(&mut work.txn, Meta::Missed, sequence)?;
                work.tables.missed.put(&mut work.txn, &key(member, sequence), &missed.encode(now))?;
                added.push(sequence);
            }
            let dropped = (members.len() - added.len()) as u64;
            work.tables.missed_dropped.fetch_add(dropped, Ordering::Relaxed);
            Ok(added)
        })
    }

    fn forget_missed(&mut self, told: &[(Ed25519PublicKey, u64)]) -> Result<(), StoreError> {
        self.guard(|work| {
            for (member, sequence) in told {
                work.tables.missed.delete(&mut work.txn, &key(member, *sequence))?;
            }
            Ok(())
        })
    }

    fn forget_member(&mut self, member: &Ed25519PublicKey) -> Result<u64, StoreError> {
        self.guard(|work| {
            let (first, last) = (key(member, 0), key(member, u64::MAX));
            let range = (Bound::Included(first.as_slice()), Bound::Included(last.as_slice()));
            let entries = work.tables.missed.range(&work.txn, &range)?;
            let keys = entries.map(|entry| Ok(entry?.0.to_vec())).collect::<Result<Vec<_>, StoreError>>()?;
            keys.iter().try_for_each(|key| work.tables.missed.delete(&mut work.txn, key))?;
            Ok(keys.len() as u64)
        })
    }
}

impl Store {
    /// Remembers that `members` have missed something; how many of them there was room for.
    ///
    /// # Errors
    /// [`StoreError`].
    #[doc(hidden)]
    pub async fn add_missed(&self, members: Vec<Ed25519PublicKey>, missed: Missed) -> Result<usize, StoreError> {
        self.writer.submit(move |work| Ok(work.add_missed(&members, &missed)?.len())).await
    }

    /// Members have been told, each of the entry with this number.
    ///
    /// # Errors
    /// [`StoreError`].
    #[doc(hidden)]
    pub async fn forget_missed(&self, told: Vec<(Ed25519PublicKey, u64)>) -> Result<(), StoreError> {
        self.writer.submit(move |work| work.forget_missed(&told)).await
    }

    /// Messages that the last run may not have told the swarm of. None when asked again.
    #[must_use]
    #[doc(hidden)]
    pub fn take_unsettled(&self) -> Vec<(AccountId, MessageHash)> {
        std::mem::take(&mut *self.unsettled.lock())
    }

    /// A member has left; the answer is how much it will never be told.
    ///
    /// # Errors
    /// [`StoreError`].
    #[doc(hidden)]
    pub async fn forget_member(&self, member: Ed25519PublicKey) -> Result<u64, StoreError> {
        self.writer.submit(move |work| work.forget_member(&member)).await
    }

    /// The oldest things that `member` has missed, at most `count`, each with its number.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    #[doc(hidden)]
    pub fn missed(&self, member: &Ed25519PublicKey, count: usize) -> Result<Vec<(u64, Missed)>, StoreError> {
        let txn = self.tables.view()?;
        let mut found = Vec::new();
        for entry in self.tables.missed.prefix_iter(&txn, &member.0)?.take(count) {
            let (key, value) = entry?;
            let sequence = key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes)).ok_or_else(damaged)?;
            found.push((sequence, Missed::decode(value).ok_or_else(damaged)?));
        }
        Ok(found)
    }

    /// Every member that has missed something.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    #[doc(hidden)]
    pub fn behind(&self) -> Result<Vec<Ed25519PublicKey>, StoreError> {
        let txn = self.tables.view()?;
        let mut members: Vec<Ed25519PublicKey> = Vec::new();
        let mut from = [0; 40];
        while let Some(entry) = self.tables.missed.range(&txn, &(Bound::Excluded(&from[..]), Bound::Unbounded))?.next()
        {
            let (key, _) = entry?;
            let member = Ed25519PublicKey(*key.first_chunk().ok_or_else(damaged)?);
            from = self::key(&member, u64::MAX);
            members.push(member);
        }
        Ok(members)
    }

    /// Messages as they are, by account and hash; those that are not there are left out.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    #[doc(hidden)]
    pub fn messages(&self, wanted: &[(AccountId, MessageHash)]) -> Result<Vec<NewMessage>, StoreError> {
        let txn = self.tables.view()?;
        let mut found = Vec::new();
        for (account, hash) in wanted {
            if let Some(key) = self.tables.find(&txn, &account.0, hash)? {
                found.push(self.tables.record(&txn, &key)?.message(&key));
            }
        }
        Ok(found)
    }

    /// Stores messages that another node sent, in one transaction; what became of each, in order.
    ///
    /// # Errors
    /// [`StoreError`]: none of them was stored.
    #[doc(hidden)]
    pub async fn receive(&self, messages: Vec<NewMessage>) -> Result<Vec<super::Stored>, StoreError> {
        let room = self.room;
        messages.iter().for_each(|message| self.observe(message.stored.max(message.changed)));
        // What an account has no room for is passed over: the sender would only bring it again.
        let full = super::Stored { outcome: super::Outcome::Obsolete, expiry: Millis(0) };
        let put = move |work: &mut Work<'_>, message: &NewMessage| match work.put(message, &room) {
            Err(StoreError::AccountFull) => Ok(full),
            done => done,
        };
        self.writer.submit(move |work| messages.iter().map(|message| put(work, message)).collect()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Clock, store::StoreConfig};

    #[tokio::test]
    async fn what_was_missed_is_kept_in_order_over_a_restart() {
        let dir = tempfile::TempDir::new().unwrap();
        let (a, b) = (Ed25519PublicKey([1; 32]), Ed25519PublicKey([2; 32]));
        let open = || Store::open(StoreConfig::new(dir.path()), Clock::default()).unwrap();
        let message = Missed::Message(AccountId([5; 33]), MessageHash([7; 32]));
        let command = Missed::Command(Command { method: "delete".to_owned(), params: b"de".to_vec() });
        let store = open();
        assert!(store.behind().unwrap().is_empty());
        assert_eq!(store.add_missed(vec![a, b], message.clone()).await, Ok(2));
        assert_eq!(store.add_missed(vec![a], command.clone()).await, Ok(1));
        store.close();
        drop(store);
        let store = open();
        assert_eq!(store.behind().unwrap(), [a, b]);
        let missed = store.missed(&a, 10).unwrap();
        assert_eq!(missed.iter().map(|(_, missed)| missed.clone()).collect::<Vec<_>>(), [message.clone(), command]);
        store.forget_missed(vec![(a, missed[0].0)]).await.unwrap();
        assert_eq!(store.missed(&a, 10).unwrap().len(), 1);
        assert_eq!(store.missed(&b, 10).unwrap(), [(2, message)]);
        assert_eq!(store.forget_member(a).await, Ok(1));
        assert_eq!(store.behind().unwrap(), [b]);
    }

    #[tokio::test]
    async fn no_more_is_kept_than_there_is_room_for() {
        let dir = tempfile::TempDir::new().unwrap();
        let config = StoreConfig { max_missed: 1, ..StoreConfig::new(dir.path()) };
        let store = Store::open(config, Clock::default()).unwrap();
        let (a, b) = (Ed25519PublicKey([1; 32]), Ed25519PublicKey([2; 32]));
        let message = Missed::Message(AccountId([5; 33]), MessageHash([7; 32]));
        assert_eq!(store.add_missed(vec![a, b], message).await, Ok(1));
        let stats = store.stats().unwrap();
        assert_eq!((stats.missed, stats.missed_dropped), (1, 1));
    }
}
