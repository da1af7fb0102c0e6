//! Messages that go to another node as a whole, and what of them has gone.

use super::{
    error::StoreError,
    layout::{Item, KEY},
    message::NewMessage,
    write_txn::WriteTxn,
};
use crate::{swarm::SwarmId, types::Ed25519PublicKey};

/// Messages removed in one transaction.
pub(super) const STEP: usize = 200;
/// Before the keys of all messages.
pub(super) const START: [u8; KEY] = [0; KEY];
pub(super) const TOPOLOGY: &[u8] = b"topology";
pub(super) const SWARMS: &[u8] = b"swarms";

/// A transfer that is not finished: all messages of `swarm` go to `node`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handoff {
    /// Who gets them.
    pub node: Ed25519PublicKey,
    /// Which they are: those whose accounts map to it.
    pub swarm: SwarmId,
}

impl Handoff {
    pub(super) fn key(&self) -> [u8; 40] {
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
    pub(super) after: Option<[u8; KEY]>,
    /// Sequence number of the last message that goes, if what is stored later does not.
    pub(super) until: Option<u64>,
}

impl Cursor {
    pub(super) fn encode(&self) -> Vec<u8> {
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

impl WriteTxn<'_> {
    pub(super) fn remember_topology(
        &mut self,
        topology: &[u8],
        handoffs: &[(Handoff, Cursor)],
    ) -> Result<(), StoreError> {
        self.guard(|txn| {
            txn.tables.meta.put(&mut txn.view, TOPOLOGY, topology)?;
            for (handoff, start) in handoffs {
                // One that is under way begins anew: more may map there now.
                txn.tables.handoffs.put(&mut txn.view, &handoff.key(), &start.encode())?;
            }
            Ok(())
        })
    }

    pub(super) fn remember_swarms(&mut self, swarms: &[u8]) -> Result<(), StoreError> {
        self.guard(|txn| txn.tables.meta.put(&mut txn.view, SWARMS, swarms))
    }

    pub(super) fn move_handoff(&mut self, handoff: &Handoff, cursor: Option<&Cursor>) -> Result<(), StoreError> {
        self.guard(|txn| {
            match cursor {
                Some(cursor) => txn.tables.handoffs.put(&mut txn.view, &handoff.key(), &cursor.encode())?,
                None => {
                    txn.tables.handoffs.delete(&mut txn.view, &handoff.key())?;
                }
            }
            Ok(())
        })
    }

    pub(super) fn remove_keys(&mut self, keys: &[[u8; KEY]]) -> Result<(), StoreError> {
        self.guard(|txn| {
            for key in keys {
                // It may have expired since it was seen.
                if txn.tables.data.get(&txn.view, key)?.is_some() {
                    txn.remove(&[*key])?;
                }
            }
            Ok(())
        })
    }
}
