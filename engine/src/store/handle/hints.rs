//! Hints: what other members of the swarm have missed.

use std::{ops::Bound, sync::Arc};

use super::super::{
    error::StoreError,
    handle::Store,
    hints::{Hint, ReplicationGuard, key},
    layout::damaged,
    message::{NewMessage, Outcome, Stored},
    write_txn::WriteTxn,
};
use crate::types::{AccountId, Ed25519PublicKey, MessageHash, Millis};

impl Store {
    /// Remembers that `members` have missed something; how many of them there was room for.
    ///
    /// # Errors
    /// [`StoreError`].
    #[doc(hidden)]
    pub async fn add_hints(&self, members: Vec<Ed25519PublicKey>, hint: Hint) -> Result<usize, StoreError> {
        self.writer.submit(move |txn| Ok(txn.add_hints(&members, &hint)?.len())).await
    }

    /// Members have been told, each of the entry with this number.
    ///
    /// # Errors
    /// [`StoreError`].
    #[doc(hidden)]
    pub async fn forget_hints(&self, told: Vec<(Ed25519PublicKey, u64)>) -> Result<(), StoreError> {
        self.writer.submit(move |txn| txn.forget_hints(&told)).await
    }

    /// Messages that the swarm may not have been told of, by the last run or since. None when asked again.
    #[must_use]
    #[doc(hidden)]
    pub fn take_unreplicated(&self) -> Vec<ReplicationGuard> {
        let untold = std::mem::take(&mut *self.tables.untold.lock());
        untold
            .into_iter()
            .map(|(number, of)| ReplicationGuard::new(Arc::clone(&self.tables), Some(number), of))
            .collect()
    }

    /// Waits until there is something for [`Self::take_unreplicated`].
    #[doc(hidden)]
    pub async fn unreplicated(&self) {
        self.tables.untold_came.notified().await;
    }

    /// A member has left; the answer is how much it will never be told.
    ///
    /// # Errors
    /// [`StoreError`].
    #[doc(hidden)]
    pub async fn forget_member(&self, member: Ed25519PublicKey) -> Result<u64, StoreError> {
        self.writer.submit(move |txn| txn.forget_member(&member)).await
    }

    /// The oldest things that `member` has missed, at most `count`, each with its number.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    #[doc(hidden)]
    pub fn hints(&self, member: &Ed25519PublicKey, count: usize) -> Result<Vec<(u64, Hint)>, StoreError> {
        let txn = self.tables.view()?;
        let mut found = Vec::new();
        for entry in self.tables.hints.prefix_iter(&txn, &member.0)?.take(count) {
            let (key, value) = entry?;
            let sequence = key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes)).ok_or_else(damaged)?;
            found.push((sequence, Hint::decode(value).ok_or_else(damaged)?));
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
        while let Some(entry) = self.tables.hints.range(&txn, &(Bound::Excluded(&from[..]), Bound::Unbounded))?.next() {
            let (found, _) = entry?;
            let member = Ed25519PublicKey(*found.first_chunk().ok_or_else(damaged)?);
            from = key(&member, u64::MAX);
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
    pub async fn receive(&self, messages: Vec<NewMessage>) -> Result<Vec<Stored>, StoreError> {
        let room = self.room;
        messages.iter().for_each(|message| self.observe(message.stored.max(message.changed)));
        // What an account has no room for is passed over: the sender would only bring it again.
        let full = Stored { outcome: Outcome::Obsolete, expiry: Millis(0) };
        let put = move |txn: &mut WriteTxn<'_>, message: &NewMessage| match txn.put(message, &room) {
            Err(StoreError::AccountFull) => Ok(full),
            done => done,
        };
        self.writer.submit(move |txn| messages.iter().map(|message| put(txn, message)).collect()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Clock,
        store::{Command, StoreConfig},
    };

    #[tokio::test]
    async fn what_was_missed_is_kept_in_order_over_a_restart() {
        let dir = tempfile::TempDir::new().unwrap();
        let (a, b) = (Ed25519PublicKey([1; 32]), Ed25519PublicKey([2; 32]));
        let open = || Store::open(StoreConfig::new(dir.path()), Clock::default()).unwrap();
        let message = Hint::Message(AccountId([5; 33]), MessageHash([7; 32]));
        let command = Hint::Command(Command { method: "delete".to_owned(), params: b"de".to_vec() });
        let store = open();
        assert!(store.behind().unwrap().is_empty());
        assert_eq!(store.add_hints(vec![a, b], message.clone()).await, Ok(2));
        assert_eq!(store.add_hints(vec![a], command.clone()).await, Ok(1));
        store.close();
        drop(store);
        let store = open();
        assert_eq!(store.behind().unwrap(), [a, b]);
        let hint = store.hints(&a, 10).unwrap();
        assert_eq!(hint.iter().map(|(_, hint)| hint.clone()).collect::<Vec<_>>(), [message.clone(), command]);
        store.forget_hints(vec![(a, hint[0].0)]).await.unwrap();
        assert_eq!(store.hints(&a, 10).unwrap().len(), 1);
        assert_eq!(store.hints(&b, 10).unwrap(), [(2, message)]);
        assert_eq!(store.forget_member(a).await, Ok(1));
        assert_eq!(store.behind().unwrap(), [b]);
    }

    #[tokio::test]
    async fn no_more_is_kept_than_there_is_room_for() {
        let dir = tempfile::TempDir::new().unwrap();
        let config = StoreConfig { max_missed: 1, ..StoreConfig::new(dir.path()) };
        let store = Store::open(config, Clock::default()).unwrap();
        let (a, b) = (Ed25519PublicKey([1; 32]), Ed25519PublicKey([2; 32]));
        let message = Hint::Message(AccountId([5; 33]), MessageHash([7; 32]));
        assert_eq!(store.add_hints(vec![a, b], message).await, Ok(1));
        let stats = store.stats().unwrap();
        assert_eq!((stats.hints, stats.hints_dropped), (1, 1));
    }

    #[tokio::test]
    async fn one_account_leaves_room_for_what_members_miss_of_others() {
        let dir = tempfile::TempDir::new().unwrap();
        let open = || {
            let config = StoreConfig { max_missed: 100, ..StoreConfig::new(dir.path()) };
            Store::open(config, Clock::default()).unwrap()
        };
        let member = Ed25519PublicKey([1; 32]);
        let message = |account: u8| Hint::Message(AccountId([account; 33]), MessageHash([7; 32]));
        let store = open();
        let add = async |store: &Store, account: u8, most: usize| {
            let mut added = 0;
            while added < most && store.add_hints(vec![member], message(account)).await == Ok(1) {
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
        let told: Vec<_> = store.hints(&member, 10).unwrap().iter().map(|(number, _)| (member, *number)).collect();
        store.forget_hints(told).await.unwrap();
        assert!(add(&store, 5, 100).await > 0);
        assert!(add(&store, 6, 100).await > 5);
        store.forget_member(member).await.unwrap();
        assert_eq!(add(&store, 5, 100).await, 20);
    }
}
