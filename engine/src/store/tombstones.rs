//! What was deleted, remembered so that another node cannot bring it back: it may not know of it yet.
//!
//! A client that stores the same message again, later, ends the memory of it.

use super::{
    error::StoreError,
    layout::{damaged, u64_at},
    log::memtable::Reads,
    message::NewMessage,
    shares::Book,
    tables::Tables,
    write_txn::WriteTxn,
};
use crate::{
    holder::may_have_more,
    types::{AccountId, MessageHash, Millis},
};

/// Entries at most, of which each account has a share; beyond, deletions are remembered by the log of commands alone. Each
/// entry has cost a message that was here.
const MOST: u64 = 1 << 20;

/// What is remembered of a message's deletion.
pub(super) enum Tombstone {
    /// It was deleted after it was stored.
    Closed,
    /// It was stored again since.
    Outlived([u8; 65]),
}

/// Whose message it is stands in the key: nobody can bury another account's.
fn tombstone_key(account: &AccountId, hash: &MessageHash) -> [u8; 65] {
    let mut key = [0; 65];
    key[..32].copy_from_slice(&hash.0);
    key[32..].copy_from_slice(&account.0);
    key
}

/// Whose message a key of `tombstones` is about.
pub(super) fn account_of(tombstone: &[u8]) -> &[u8] {
    tombstone.get(32..).unwrap_or_default()
}

fn by_time(until: Millis, tombstone: &[u8; 65]) -> [u8; 73] {
    let mut key = [0; 73];
    key[..8].copy_from_slice(&until.0.to_be_bytes());
    key[8..].copy_from_slice(tombstone);
    key
}

/// The key in `tombstones_by_time` that belongs to an entry of `tombstones`.
pub(super) fn by_time_of(tombstone: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let times: &[u8; 16] = value.try_into().ok()?;
    Some(by_time(Millis(u64_at(times)?), tombstone.try_into().ok()?).to_vec())
}

/// The key in `tombstones` that belongs to one of `tombstones_by_time`.
pub(super) fn of_time(key: &[u8]) -> Option<Vec<u8>> {
    let key: &[u8; 73] = key.try_into().ok()?;
    Some(key[8..].to_vec())
}

impl Tables {
    /// When this message was deleted, if that is remembered.
    pub(super) fn tombstone_at(
        &self,
        view: &impl Reads,
        account: &AccountId,
        hash: &MessageHash,
    ) -> Result<Option<Millis>, StoreError> {
        let found = self.tombstones.get(view, &tombstone_key(account, hash))?;
        found.map(|value| value.get(8..).and_then(u64_at).map(Millis).ok_or_else(damaged)).transpose()
    }
}

impl WriteTxn<'_> {
    /// This message was deleted; it would have gone by itself at `until`.
    pub(super) fn add_tombstone(
        &mut self,
        account: &AccountId,
        hash: &MessageHash,
        at: Millis,
        until: Millis,
    ) -> Result<(), StoreError> {
        let held = self.tables.shares.held(Book::Tombstones, &account.0, &self.taken);
        if self.exhausted || !may_have_more(held, self.tables.len(&self.tables.tombstones, &self.view), MOST) {
            return Ok(());
        }
        let tombstone = tombstone_key(account, hash);
        if self
            .tables
            .tombstones
            .get(&self.view, &tombstone)?
            .is_some_and(|found| found.get(8..) >= Some(&at.0.to_be_bytes()[..]))
        {
            return Ok(());
        }
        self.open(&tombstone)?;
        self.tables.shares.note(Book::Tombstones, &account.0, 1, &mut self.taken);
        self.tables.tombstones.put(
            &mut self.view,
            &tombstone,
            &[until.0.to_be_bytes(), at.0.to_be_bytes()].concat(),
        )?;
        self.tables.tombstones_by_time.put(&mut self.view, &by_time(until, &tombstone), &[])
    }

    pub(super) fn open(&mut self, tombstone: &[u8; 65]) -> Result<(), StoreError> {
        let until = self
            .tables
            .tombstones
            .get(&self.view, tombstone)?
            .map(|value| value.first_chunk().copied().ok_or_else(damaged));
        if let Some(until) = until.transpose()? {
            let until = Millis(u64::from_be_bytes(until));
            self.tables.shares.note(Book::Tombstones, account_of(tombstone), -1, &mut self.taken);
            self.tables.tombstones.delete(&mut self.view, tombstone)?;
            self.tables.tombstones_by_time.delete(&mut self.view, &by_time(until, tombstone))?;
        }
        Ok(())
    }

    /// What is remembered of this message's deletion. Stored later, it is deleted no more.
    pub(super) fn tombstone(&self, message: &NewMessage) -> Result<Option<Tombstone>, StoreError> {
        let Some(deleted) = self.tables.tombstone_at(&self.view, &message.account, &message.hash)? else {
            return Ok(None);
        };
        let outlived = || Tombstone::Outlived(tombstone_key(&message.account, &message.hash));
        Ok(Some(if deleted >= message.stored { Tombstone::Closed } else { outlived() }))
    }

    /// Forgets up to `step` messages that would have expired by now.
    pub(super) fn clean_tombstones(&mut self, step: usize) -> Result<(), StoreError> {
        let mut ended: Vec<[u8; 65]> = Vec::new();
        for entry in self.tables.tombstones_by_time.iter(&self.view)?.take(step) {
            let (key, _) = entry?;
            let (until, tombstone) = key.split_first_chunk::<8>().ok_or_else(damaged)?;
            if Millis(u64::from_be_bytes(*until)) > self.expiring() {
                break;
            }
            ended.push(tombstone.try_into().map_err(|_| damaged())?);
        }
        ended.iter().try_for_each(|tombstone| self.open(tombstone))
    }
}
