//! Messages that go to another node as a whole, and what of them has gone.

use std::ops::Bound;

use super::{
    Store, StoreError,
    layout::{KEY, account_of, damaged},
    work::{NewMessage, Work},
};
use crate::{
    swarm::SwarmId,
    types::{AccountId, Ed25519PublicKey},
};

/// Messages removed in one transaction.
const STEP: usize = 200;
const TOPOLOGY: &[u8] = b"topology";

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

/// How far a transfer has come: after this message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor(Vec<u8>);

/// Some of the messages of a transfer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// In the order of the store.
    pub messages: Vec<NewMessage>,
    /// Where the next batch begins; `None` when this is the last.
    pub next: Option<Cursor>,
}

impl Work<'_> {
    fn remember_topology(&mut self, topology: &[u8], dumps: &[Dump]) -> Result<(), StoreError> {
        self.guard(|work| {
            work.tables.meta.put(&mut work.txn, TOPOLOGY, topology)?;
            for dump in dumps {
                // One that is under way begins anew: more may map there now.
                work.tables.dumps.put(&mut work.txn, &dump.key(), &[])?;
            }
            Ok(())
        })
    }

    fn move_dump(&mut self, dump: &Dump, cursor: Option<&Cursor>) -> Result<(), StoreError> {
        self.guard(|work| {
            match cursor {
                Some(cursor) => work.tables.dumps.put(&mut work.txn, &dump.key(), &cursor.0)?,
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

    /// Remembers the network as it is now, and in the same transaction the transfers that this makes necessary.
    ///
    /// # Errors
    /// [`StoreError`].
    #[doc(hidden)]
    pub async fn remember_topology(&self, topology: Vec<u8>, dumps: Vec<Dump>) -> Result<(), StoreError> {
        self.writer.submit(move |work| work.remember_topology(&topology, &dumps)).await
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
            found.push((Dump { node: Ed25519PublicKey(*node), swarm }, Cursor(cursor.to_vec())));
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
        let start = if cursor.0.is_empty() { Bound::Unbounded } else { Bound::Excluded(cursor.0.as_slice()) };
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
            if !wanted {
                continue;
            }
            let message = record.message(&key);
            taken += message.data.len() + 80;
            batch.messages.push(message);
            if taken >= size {
                batch.next = Some(Cursor(key.to_vec()));
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
        types::{MessageHash, Millis, Namespace},
    };

    #[tokio::test]
    async fn a_transfer_goes_on_where_it_stopped_and_what_has_gone_is_removed() {
        let dir = tempfile::TempDir::new().unwrap();
        let open = || Store::open(StoreConfig::new(dir.path()), Clock::default()).unwrap();
        let store = open();
        let account = |n: u8| AccountId::new(5, [n; 32]);
        for n in 0..60_u8 {
            let (account, namespace, data) = (account(n % 3), Namespace(i16::from(n % 2)), vec![n; 100]);
            let hash = MessageHash::of(&account, namespace, &data);
            let (timestamp, expiry) = (Millis(u64::from(n)), Millis(4_000_000_000_000));
            let (stored, changed) = (timestamp, timestamp);
            store.put(NewMessage { account, namespace, hash, timestamp, expiry, stored, changed, data }).await.unwrap();
        }
        let dump = Dump { node: Ed25519PublicKey([4; 32]), swarm: SwarmId(u64::MAX - 2) };
        store.remember_topology(b"then".to_vec(), vec![dump]).await.unwrap();
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
}
