//! Messages that go to another node as a whole, and what of them has gone.

use std::ops::Bound;

use super::{
    Store, StoreError,
    layout::{Item, KEY, Meta, account_of, damaged, sequence_of},
    work::{NewMessage, Work},
};
use crate::{
    swarm::SwarmId,
    types::{AccountId, Ed25519PublicKey},
};

/// Messages removed in one transaction.
const STEP: usize = 200;
/// Before the keys of all messages.
const START: [u8; KEY] = [0; KEY];
const TOPOLOGY: &[u8] = b"topology";
const SWARMS: &[u8] = b"swarms";

/// A transfer that is not finished: all messages of `swarm` go to `node`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dump {
    /// Who gets them.
    pub node: Ed25519PublicKey,
    /// Which they are: those whose accounts map to it.
    pub swarm: SwarmId,
}

impl Dump {
    fn key(&self) -> [u8; 40] {
        let mut key = [0; 40];
        key[..32].copy_from_slice(&self.node.0);
        key[32..].copy_from_slice(&self.swarm.0.to_be_bytes());
        key
    }
}

/// How far a transfer has come, and how far it goes. The default is all there is, from the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The last message that has gone.
    after: Option<[u8; KEY]>,
    /// Sequence number of the last message that goes, if what is stored later does not.
    until: Option<u64>,
}

impl Cursor {
    fn encode(&self) -> Vec<u8> {
        let after = self.after.or(self.until.map(|_| START));
        let mut value = after.map_or_else(Vec::new, |after| after.to_vec());
        value.extend(self.until.into_iter().flat_map(u64::to_be_bytes));
        value
    }

    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        if value.is_empty() {
            return Some(Self::default());
        }
        let (after, until) = value.split_first_chunk::<KEY>()?;
        let until = if until.is_empty() { None } else { Some(u64::from_be_bytes(until.try_into().ok()?)) };
        Some(Self { after: (*after != START).then_some(*after), until })
    }

    /// Whether it is at the start, or after a message.
    pub(super) fn is_sound(&self) -> bool {
        self.after.is_none_or(|after| matches!(Item::of(&after), Some(Item::Message(_))))
    }
}

/// Some of the messages of a transfer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// In the order of the store.
    pub messages: Vec<NewMessage>,
    /// Where the next batch begins; `None` when this is the last.
    pub next: Option<Cursor>,
}

impl Work<'_> {
    fn remember_topology(&mut self, topology: &[u8], dumps: &[(Dump, Cursor)]) -> Result<(), StoreError> {
        self.guard(|work| {
            work.tables.meta.put(&mut work.txn, TOPOLOGY, topology)?;
            for (dump, start) in dumps {
                // One that is under way begins anew: more may map there now.
                work.tables.dumps.put(&mut work.txn, &dump.key(), &start.encode())?;
            }
            Ok(())
        })
    }

    fn remember_swarms(&mut self, swarms: &[u8]) -> Result<(), StoreError> {
        self.guard(|work| work.tables.meta.put(&mut work.txn, SWARMS, swarms))
    }

    fn move_dump(&mut self, dump: &Dump, cursor: Option<&Cursor>) -> Result<(), StoreError> {
        self.guard(|work| {
            match cursor {
                Some(cursor) => work.tables.dumps.put(&mut work.txn, &dump.key(), &cursor.encode())?,
                None => {
                    work.tables.dumps.delete(&mut work.txn, &dump.key())?;
                }
            }
            Ok(())
        })
    }

    fn remove_keys(&mut self, keys: &[[u8; KEY]]) -> Result<(), StoreError> {
        self.guard(|work| {
            for key in keys {
                // It may have expired since it was seen.
                if work.tables.data.get(&work.txn, key)?.is_some() {
                    work.remove(&[*key])?;
                }
            }
            Ok(())
        })
    }
}

impl Store {
    /// What [`Self::remember_topology`] was told last.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    #[doc(hidden)]
    pub fn topology(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let txn = self.tables.view()?;
        Ok(self.tables.meta.get(&txn, TOPOLOGY)?.map(<[u8]>::to_vec))
    }

    /// Remembers the network as it is now, and in the same transaction the transfers that this makes necessary, and where they
    /// begin.
    ///
    /// # Errors
    /// [`StoreError`].
    #[doc(hidden)]
    pub async fn remember_topology(&self, topology: Vec<u8>, dumps: Vec<(Dump, Cursor)>) -> Result<(), StoreError> {
        self.writer.submit(move |work| work.remember_topology(&topology, &dumps)).await
    }

    /// What [`Self::remember_swarms`] was told last.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    #[doc(hidden)]
    pub fn swarms(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let txn = self.tables.view()?;
        Ok(self.tables.meta.get(&txn, SWARMS)?.map(<[u8]>::to_vec))
    }

    /// Remembers who is and was in which swarm.
    ///
    /// # Errors
    /// [`StoreError`].
    #[doc(hidden)]
    pub async fn remember_swarms(&self, swarms: Vec<u8>) -> Result<(), StoreError> {
        self.writer.submit(move |work| work.remember_swarms(&swarms)).await
    }

    /// Every transfer that is not finished, and how far it has come.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    #[doc(hidden)]
    pub fn dumps(&self) -> Result<Vec<(Dump, Cursor)>, StoreError> {
        let txn = self.tables.view()?;
        let mut found = Vec::new();
        for entry in self.tables.dumps.iter(&txn)? {
            let (key, cursor) = entry?;
            let (node, swarm) = key.split_first_chunk::<32>().ok_or_else(damaged)?;
            let swarm = SwarmId(u64::from_be_bytes(swarm.try_into().map_err(|_| damaged())?));
            let cursor = Cursor::decode(cursor).ok_or_else(damaged)?;
            found.push((Dump { node: Ed25519PublicKey(*node), swarm }, cursor));
        }
        Ok(found)
    }

    /// The transfer has come to `cursor`, or (`None`) to its end.
    ///
    /// # Errors
    /// [`StoreError`].
    #[doc(hidden)]
    pub async fn move_dump(&self, dump: Dump, cursor: Option<Cursor>) -> Result<(), StoreError> {
        self.writer.submit(move |work| work.move_dump(&dump, cursor.as_ref())).await
    }

    /// Where a transfer begins of all that is stored by now, and nothing later.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    #[doc(hidden)]
    pub fn up_to_now(&self) -> Result<Cursor, StoreError> {
        let txn = self.tables.view()?;
        Ok(Cursor { after: None, until: Some(self.tables.meta(&txn, Meta::Sequence)?) })
    }

    /// Messages after `cursor` whose accounts `belong`, of about `size` bytes together.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    #[doc(hidden)]
    pub fn batch(
        &self,
        cursor: &Cursor,
        size: usize,
        belong: impl Fn(&AccountId) -> bool,
    ) -> Result<Batch, StoreError> {
        let txn = self.tables.long_view()?;
        let start = cursor.after.as_ref().map_or(Bound::Unbounded, |after| Bound::Excluded(after.as_slice()));
        let (mut batch, mut taken) = (Batch::default(), 0);
        let mut last: Option<(AccountId, bool)> = None;
        for entry in self.tables.messages(&txn, (start, Bound::Unbounded))? {
            let (key, record) = entry?;
            let account = AccountId(account_of(&key));
            // Messages of one account are neighbours.
            let wanted = match last {
                Some((known, wanted)) if known == account => wanted,
                _ => belong(&account),
            };
            last = Some((account, wanted));
            if !wanted || cursor.until.is_some_and(|until| sequence_of(&key) > until) {
                continue;
            }
            let message = record.message(&key);
            taken += message.data.len() + 80;
            batch.messages.push(message);
            if taken >= size {
                batch.next = Some(Cursor { after: Some(key), ..cursor.clone() });
                break;
            }
        }
        Ok(batch)
    }

    /// Removes all messages whose accounts `belong`, in bounded steps; how many those were.
    ///
    /// # Errors
    /// [`StoreError`].
    #[doc(hidden)]
    pub async fn purge(&self, belong: impl Fn(&AccountId) -> bool + Send) -> Result<u64, StoreError> {
        let (mut removed, mut after) = (0, None);
        loop {
            let keys = self.some_keys(after, &belong)?;
            let Some(last) = keys.last() else {
                if after.take().is_none() {
                    return Ok(removed);
                }
                // Once more: some may have come behind.
                continue;
            };
            after = Some(*last);
            removed += keys.len() as u64;
            self.writer.submit(move |work| work.remove_keys(&keys)).await?;
        }
    }

    fn some_keys(
        &self,
        after: Option<[u8; KEY]>,
        belong: impl Fn(&AccountId) -> bool,
    ) -> Result<Vec<[u8; KEY]>, StoreError> {
        let txn = self.tables.long_view()?;
        let mut keys = Vec::new();
        let start = after.as_ref().map_or(Bound::Unbounded, |key| Bound::Excluded(key.as_slice()));
        for entry in self.tables.messages(&txn, (start, Bound::Unbounded))? {
            let (key, _) = entry?;
            if belong(&AccountId(account_of(&key))) {
                keys.push(key);
                if keys.len() == STEP {
                    break;
                }
            }
        }
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Clock,
        store::StoreConfig,
        types::{Millis, Namespace},
    };

    fn message(n: u8) -> NewMessage {
        let (account, namespace) = (AccountId::new(5, [n % 3; 32]), Namespace(i16::from(n % 2)));
        NewMessage::new(account, namespace, Millis(n.into()), Millis(4_000_000_000_000), vec![n; 100])
    }

    #[tokio::test]
    async fn a_transfer_goes_on_where_it_stopped_and_what_has_gone_is_removed() {
        let dir = tempfile::TempDir::new().unwrap();
        let open = || Store::open(StoreConfig::new(dir.path()), Clock::default()).unwrap();
        let store = open();
        for n in 0..60 {
            store.put(message(n)).await.unwrap();
        }
        let dump = Dump { node: Ed25519PublicKey([4; 32]), swarm: SwarmId(u64::MAX - 2) };
        store.remember_topology(b"then".to_vec(), vec![(dump, Cursor::default())]).await.unwrap();
        let belong = |account: &AccountId| account.0[1] == 1;
        let first = store.batch(&Cursor::default(), 1000, belong).unwrap();
        assert_eq!(first.messages.len(), 6);
        store.move_dump(dump, first.next).await.unwrap();
        store.close();
        drop(store);
        let store = open();
        assert_eq!(store.topology().unwrap().as_deref(), Some(b"then".as_slice()));
        let [(found, cursor)] = &store.dumps().unwrap()[..] else { panic!("one transfer") };
        assert_eq!(*found, dump);
        let rest = store.batch(cursor, usize::MAX, belong).unwrap();
        assert_eq!((rest.messages.len(), &rest.next), (14, &None));
        assert!(rest.messages.iter().all(|message| belong(&message.account) && !first.messages.contains(message)));
        store.move_dump(dump, None).await.unwrap();
        assert!(store.dumps().unwrap().is_empty());
        assert_eq!(store.purge(belong).await, Ok(20));
        assert_eq!(store.stats().unwrap().messages, 40);
        assert!(store.batch(&Cursor::default(), usize::MAX, belong).unwrap().messages.is_empty());
    }

    #[tokio::test]
    async fn what_is_stored_after_a_transfer_began_is_not_in_it() {
        let dir = tempfile::TempDir::new().unwrap();
        let open = || Store::open(StoreConfig::new(dir.path()), Clock::default()).unwrap();
        let mut store = open();
        let dump = Dump { node: Ed25519PublicKey([4; 32]), swarm: SwarmId(7) };
        for n in 0..20 {
            store.put(message(n)).await.unwrap();
        }
        store.move_dump(dump, Some(store.up_to_now().unwrap())).await.unwrap();
        for n in 20..40 {
            store.put(message(n)).await.unwrap();
        }
        let mut sent = Vec::new();
        loop {
            // Nor after a restart.
            store.close();
            drop(store);
            store = open();
            assert_eq!(super::super::verify::verify(&store.tables, &mut |_| {}).unwrap().problems, [] as [String; 0]);
            let Some((_, cursor)) = store.dumps().unwrap().pop() else { break };
            let batch = store.batch(&cursor, 1500, |_| true).unwrap();
            sent.extend(batch.messages.into_iter().map(|message| message.timestamp.0));
            store.move_dump(dump, batch.next).await.unwrap();
        }
        sent.sort_unstable();
        assert_eq!(sent, (0..20).collect::<Vec<u64>>());
    }
}
