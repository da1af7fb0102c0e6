//! Handoffs: what has to go to whom when swarms change.

use std::ops::Bound;

use super::super::{
    error::StoreError,
    handle::Store,
    handoff::{Batch, Cursor, Handoff, STEP, SWARMS, TOPOLOGY},
    layout::{KEY, Meta, account_of, damaged, sequence_of},
};
use crate::{
    swarm::SwarmId,
    types::{AccountId, Ed25519PublicKey},
};

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
    pub async fn remember_topology(
        &self,
        topology: Vec<u8>,
        handoffs: Vec<(Handoff, Cursor)>,
    ) -> Result<(), StoreError> {
        self.writer.submit(move |txn| txn.remember_topology(&topology, &handoffs)).await
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
        self.writer.submit(move |txn| txn.remember_swarms(&swarms)).await
    }

    /// Every transfer that is not finished, and how far it has come.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    #[doc(hidden)]
    pub fn handoffs(&self) -> Result<Vec<(Handoff, Cursor)>, StoreError> {
        let txn = self.tables.view()?;
        let mut found = Vec::new();
        for entry in self.tables.handoffs.iter(&txn)? {
            let (key, cursor) = entry?;
            let (node, swarm) = key.split_first_chunk::<32>().ok_or_else(damaged)?;
            let swarm = SwarmId(u64::from_be_bytes(swarm.try_into().map_err(|_| damaged())?));
            let cursor = Cursor::decode(cursor).ok_or_else(damaged)?;
            found.push((Handoff { node: Ed25519PublicKey(*node), swarm }, cursor));
        }
        Ok(found)
    }

    /// The transfer has come to `cursor`, or (`None`) to its end.
    ///
    /// # Errors
    /// [`StoreError`].
    #[doc(hidden)]
    pub async fn move_handoff(&self, handoff: Handoff, cursor: Option<Cursor>) -> Result<(), StoreError> {
        self.writer.submit(move |txn| txn.move_handoff(&handoff, cursor.as_ref())).await
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
            self.writer.submit(move |txn| txn.remove_keys(&keys)).await?;
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
        store::{NewMessage, StoreConfig},
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
        let handoff = Handoff { node: Ed25519PublicKey([4; 32]), swarm: SwarmId(u64::MAX - 2) };
        store.remember_topology(b"then".to_vec(), vec![(handoff, Cursor::default())]).await.unwrap();
        let belong = |account: &AccountId| account.0[1] == 1;
        let first = store.batch(&Cursor::default(), 1000, belong).unwrap();
        assert_eq!(first.messages.len(), 6);
        store.move_handoff(handoff, first.next).await.unwrap();
        store.close();
        drop(store);
        let store = open();
        assert_eq!(store.topology().unwrap().as_deref(), Some(b"then".as_slice()));
        let [(found, cursor)] = &store.handoffs().unwrap()[..] else { panic!("one transfer") };
        assert_eq!(*found, handoff);
        let rest = store.batch(cursor, usize::MAX, belong).unwrap();
        assert_eq!((rest.messages.len(), &rest.next), (14, &None));
        assert!(rest.messages.iter().all(|message| belong(&message.account) && !first.messages.contains(message)));
        store.move_handoff(handoff, None).await.unwrap();
        assert!(store.handoffs().unwrap().is_empty());
        assert_eq!(store.purge(belong).await, Ok(20));
        assert_eq!(store.stats().unwrap().messages, 40);
        assert!(store.batch(&Cursor::default(), usize::MAX, belong).unwrap().messages.is_empty());
    }

    #[tokio::test]
    async fn what_is_stored_after_a_transfer_began_is_not_in_it() {
        let dir = tempfile::TempDir::new().unwrap();
        let open = || Store::open(StoreConfig::new(dir.path()), Clock::default()).unwrap();
        let mut store = open();
        let handoff = Handoff { node: Ed25519PublicKey([4; 32]), swarm: SwarmId(7) };
        for n in 0..20 {
            store.put(message(n)).await.unwrap();
        }
        store.move_handoff(handoff, Some(store.up_to_now().unwrap())).await.unwrap();
        for n in 20..40 {
            store.put(message(n)).await.unwrap();
        }
        let mut sent = Vec::new();
        loop {
            // Nor after a restart.
            store.close();
            drop(store);
            store = open();
            assert_eq!(crate::store::verify::verify(&store.tables, &mut |_| {}).unwrap().problems, [] as [String; 0]);
            let Some((_, cursor)) = store.handoffs().unwrap().pop() else { break };
            let batch = store.batch(&cursor, 1500, |_| true).unwrap();
            sent.extend(batch.messages.into_iter().map(|message| message.timestamp.0));
            store.move_handoff(handoff, batch.next).await.unwrap();
        }
        sent.sort_unstable();
        assert_eq!(sent, (0..20).collect::<Vec<u64>>());
    }
}
