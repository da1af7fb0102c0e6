//! What was deleted, remembered so that another node cannot bring it back: it may not know of it yet.
//!
//! A client that stores the same message again, later, ends the memory of it.

use super::{
    StoreError,
    layout::{damaged, u64_at},
    recent::Reads,
    shares::Book,
    tables::Tables,
    work::{NewMessage, Work},
};
use crate::{
    holder::may_have_more,
    types::{AccountId, MessageHash, Millis},
};

/// Entries at most, of which each account has a share; beyond, deletions are remembered by the log of commands alone. Each
/// entry has cost a message that was here.
const MOST: u64 = 1 << 20;

/// What is remembered of a message's deletion.
pub(super) enum Tomb {
    /// It was deleted after it was stored.
    Closed,
    /// It was stored again since.
    Outlived([u8; 65]),
}

/// Whose message it is stands in the key: nobody can bury another account's.
fn tomb_key(account: &AccountId, hash: &MessageHash) -> [u8; 65] {
    let mut key = [0; 65];
    key[..32].copy_from_slice(&hash.0);
    key[32..].copy_from_slice(&account.0);
    key
}

/// Whose message a key of `tombs` is about.
pub(super) fn account_of(tomb: &[u8]) -> &[u8] {
    tomb.get(32..).unwrap_or_default()
}

fn by_time(until: Millis, tomb: &[u8; 65]) -> [u8; 73] {
    let mut key = [0; 73];
    key[..8].copy_from_slice(&until.0.to_be_bytes());
    key[8..].copy_from_slice(tomb);
    key
}

/// The key in `tombs_by_time` that belongs to an entry of `tombs`.
pub(super) fn by_time_of(tomb: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let times: &[u8; 16] = value.try_into().ok()?;
    Some(by_time(Millis(u64_at(times)?), tomb.try_into().ok()?).to_vec())
}

/// The key in `tombs` that belongs to one of `tombs_by_time`.
pub(super) fn of_time(key: &[u8]) -> Option<Vec<u8>> {
    let key: &[u8; 73] = key.try_into().ok()?;
    Some(key[8..].to_vec())
}

impl Tables {
    /// When this message was deleted, if that is remembered.
    pub(super) fn buried_at(
        &self,
        view: &impl Reads,
        account: &AccountId,
        hash: &MessageHash,
    ) -> Result<Option<Millis>, StoreError> {
        let found = self.tombs.get(view, &tomb_key(account, hash))?;
        found.map(|value| value.get(8..).and_then(u64_at).map(Millis).ok_or_else(damaged)).transpose()
    }
}

impl Work<'_> {
    /// This message was deleted; it would have gone by itself at `until`.
    pub(super) fn bury(
        &mut self,
        account: &AccountId,
        hash: &MessageHash,
        at: Millis,
        until: Millis,
    ) -> Result<(), StoreError> {
        let held = self.tables.shares.held(Book::Tombs, &account.0, &self.taken);
        if self.exhausted || !may_have_more(held, self.tables.len(&self.tables.tombs, &self.txn), MOST) {
            return Ok(());
        }
        let tomb = tomb_key(account, hash);
        if self.tables.tombs.get(&self.txn, &tomb)?.is_some_and(|found| found.get(8..) >= Some(&at.0.to_be_bytes()[..]))
        {
            return Ok(());
        }
        self.open(&tomb)?;
        self.tables.shares.note(Book::Tombs, &account.0, 1, &mut self.taken);
        self.tables.tombs.put(&mut self.txn, &tomb, &[until.0.to_be_bytes(), at.0.to_be_bytes()].concat())?;
        self.tables.tombs_by_time.put(&mut self.txn, &by_time(until, &tomb), &[])
    }

    pub(super) fn open(&mut self, tomb: &[u8; 65]) -> Result<(), StoreError> {
        let until =
            self.tables.tombs.get(&self.txn, tomb)?.map(|value| value.first_chunk().copied().ok_or_else(damaged));
        if let Some(until) = until.transpose()? {
            let until = Millis(u64::from_be_bytes(until));
            self.tables.shares.note(Book::Tombs, account_of(tomb), -1, &mut self.taken);
            self.tables.tombs.delete(&mut self.txn, tomb)?;
            self.tables.tombs_by_time.delete(&mut self.txn, &by_time(until, tomb))?;
        }
        Ok(())
    }

    /// What is remembered of this message's deletion. Stored later, it is deleted no more.
    pub(super) fn tomb(&self, message: &NewMessage) -> Result<Option<Tomb>, StoreError> {
        let Some(deleted) = self.tables.buried_at(&self.txn, &message.account, &message.hash)? else { return Ok(None) };
        let outlived = || Tomb::Outlived(tomb_key(&message.account, &message.hash));
        Ok(Some(if deleted >= message.stored { Tomb::Closed } else { outlived() }))
    }

    /// Forgets up to `step` messages that would have expired by now.
    pub(super) fn clean_tombs(&mut self, step: usize) -> Result<(), StoreError> {
        let mut ended: Vec<[u8; 65]> = Vec::new();
        for entry in self.tables.tombs_by_time.iter(&self.txn)?.take(step) {
            let (key, _) = entry?;
            let (until, tomb) = key.split_first_chunk::<8>().ok_or_else(damaged)?;
            if Millis(u64::from_be_bytes(*until)) > self.expiring() {
                break;
            }
            ended.push(tomb.try_into().map_err(|_| damaged())?);
        }
        ended.iter().try_for_each(|tomb| self.open(tomb))
    }
}
