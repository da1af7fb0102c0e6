//! What other members of the swarm have missed, in the order in which it happened.

use std::{
    ops::Bound,
    sync::{Arc, atomic::Ordering},
};

use super::{
    Store, StoreError,
    commands::{Command, KEY},
    layout::{self, Meta, damaged, expiring, u64_at},
    shares::Book,
    tables::Tables,
    work::{NewMessage, Work},
};
use crate::{
    holder::may_have_more,
    types::{AccountId, Ed25519PublicKey, MessageHash, Millis},
};

/// Something that a member has to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missed {
    /// A message of an account that is in the store (if it is not any more, nobody needs it).
    Message(AccountId, MessageHash),
    /// A client's command that is not in the log.
    Command(Command),
    /// The key of one that is in the log; if it is not any more, its account has let go of it.
    Logged([u8; KEY]),
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
            Self::Logged(key) => {
                value.push(2);
                value.extend_from_slice(key);
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
            2 => Some(Self::Logged(rest.try_into().ok()?)),
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

/// A message that the swarm is still to be told of. Dropped before [`Self::told`], whatever the reason, it is among those
/// that [`Store::take_unsettled`] gives next.
pub struct Unsettled {
    tables: Arc<Tables>,
    /// The message's, if the message was new.
    number: Option<u64>,
    message: (AccountId, MessageHash),
}

impl Unsettled {
    pub(super) const fn new(tables: Arc<Tables>, number: Option<u64>, message: (AccountId, MessageHash)) -> Self {
        Self { tables, number, message }
    }

    /// Whose message it is, and its hash.
    #[must_use]
    pub const fn message(&self) -> (AccountId, MessageHash) {
        self.message
    }

    /// Every member has been told, or is noted as one that has missed it.
    pub fn told(mut self) {
        if let Some(number) = self.number.take() {
            self.tables.in_flight.lock().remove(&number);
        }
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.tables.untold.lock().insert(number, self.message);
            self.tables.untold_came.notify_one();
        }
    }
}

/// Messages behind the mark that a crash has left are to be told again.
pub(super) fn recover(tables: &Tables) -> Result<(), StoreError> {
    let txn = tables.view()?;
    let (settled, last) = (tables.meta(&txn, Meta::Settled)?, tables.meta(&txn, Meta::Sequence)?);
    // 0: a version that kept no mark, or nothing to mark.
    if settled > 0 && settled < last {
        let (mut in_flight, mut untold) = (tables.in_flight.lock(), tables.untold.lock());
        for entry in tables.expiries.iter(&txn)? {
            let (at, whose) = entry?;
            let number = at.get(8..).and_then(u64_at).ok_or_else(damaged)?;
            if number > settled {
                let (_, key) = expiring((at, whose)).ok_or_else(damaged)?;
                in_flight.insert(number);
                untold.insert(number, (AccountId(layout::account_of(&key)), tables.record(&txn, &key)?.hash));
            }
        }
    }
    Ok(())
}

/// To whose share a value of `missed` counts; commands that are not in the log share one.
pub(super) fn account_of(value: &[u8]) -> &[u8] {
    match value.get(8..).and_then(<[u8]>::split_first) {
        Some((0 | 2, rest)) => rest.get(..33).unwrap_or_default(),
        _ => &[],
    }
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
            let entry = missed.encode(now);
            let account = account_of(&entry);
            for member in members {
                let held = work.tables.shares.held(Book::Missed, account, &work.taken);
                let used = work.tables.len(&work.tables.missed, &work.txn);
                if work.exhausted || !may_have_more(held, used, work.tables.max_missed) {
                    break;
                }
                work.tables.shares.note(Book::Missed, account, 1, &mut work.taken);
                let sequence = work.tables.meta(&work.txn, Meta::Missed)? + 1;
                work.tables.set_meta(&mut work.txn, Meta::Missed, sequence)?;
                work.tables.missed.put(&mut work.txn, &key(member, sequence), &entry)?;
                added.push(sequence);
            }
            let dropped = (members.len() - added.len()) as u64;
            work.tables.missed_dropped.fetch_add(dropped, Ordering::Relaxed);
            Ok(added)
        })
    }

    fn forget_missed(&mut self, told: &[(Ed25519PublicKey, u64)]) -> Result<(), StoreError> {
        self.guard(|work| told.iter().try_for_each(|(member, sequence)| work.remove_missed(&key(member, *sequence))))
    }

    fn forget_member(&mut self, member: &Ed25519PublicKey) -> Result<u64, StoreError> {
        self.guard(|work| {
            let (first, last) = (key(member, 0), key(member, u64::MAX));
            let range = (Bound::Included(first.as_slice()), Bound::Included(last.as_slice()));
            let entries = work.tables.missed.range(&work.txn, &range)?;
            let keys = entries.map(|entry| Ok(entry?.0.to_vec())).collect::<Result<Vec<_>, StoreError>>()?;
            keys.iter().try_for_each(|key| work.remove_missed(key))?;
            Ok(keys.len() as u64)
        })
    }

    fn remove_missed(&mut self, key: &[u8]) -> Result<(), StoreError> {
        let Some(entry) = self.tables.missed.get(&self.txn, key)? else { return Ok(()) };
        self.tables.shares.note(Book::Missed, account_of(entry), -1, &mut self.taken);
        self.tables.missed.delete(&mut self.txn, key)
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

    /// Messages that the swarm may not have been told of, by the last run or since. None when asked again.
    #[must_use]
    #[doc(hidden)]
    pub fn take_unsettled(&self) -> Vec<Unsettled> {
        let untold = std::mem::take(&mut *self.tables.untold.lock());
        untold.into_iter().map(|(number, of)| Unsettled::new(Arc::clone(&self.tables), Some(number), of)).collect()
    }

    /// Waits until there is something for [`Self::take_unsettled`].
    #[doc(hidden)]
    pub async fn unsettled(&self) {
        self.tables.untold_came.notified().await;
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

    #[tokio::test]
    async fn one_account_leaves_room_for_what_members_miss_of_others() {
        let dir = tempfile::TempDir::new().unwrap();
        let open = || {
            let config = StoreConfig { max_missed: 100, ..StoreConfig::new(dir.path()) };
            Store::open(config, Clock::default()).unwrap()
        };
        let member = Ed25519PublicKey([1; 32]);
        let message = |account: u8| Missed::Message(AccountId([account; 33]), MessageHash([7; 32]));
        let store = open();
        let add = async |store: &Store, account: u8, most: usize| {
            let mut added = 0;
            while added < most && store.add_missed(vec![member], message(account)).await == Ok(1) {
                added += 1;
            }
            added
        };
        assert_eq!(add(&store, 5, 100).await, 20);
        assert_eq!(add(&store, 6, 3).await, 3);
        store.close();
        drop(store);
        // A restart forgets none of it, and what is told makes room.
        let store = open();
        assert_eq!(add(&store, 5, 100).await, 0);
        let told: Vec<_> = store.missed(&member, 10).unwrap().iter().map(|(number, _)| (member, *number)).collect();
        store.forget_missed(told).await.unwrap();
        assert!(add(&store, 5, 100).await > 0);
        assert!(add(&store, 6, 100).await > 5);
        store.forget_member(member).await.unwrap();
        assert_eq!(add(&store, 5, 100).await, 20);
    }
}
