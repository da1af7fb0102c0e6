//! What was deleted, remembered so that another node cannot bring it back: it may not know of it yet.
//!
//! A client that stores the same message again is no such node, and ends the memory of it.

use super::{
    StoreError,
    layout::damaged,
    work::{NewMessage, Scope, Work},
};
use crate::types::{AccountId, MAX_LIFETIME, MessageHash, Millis, Namespace};

/// Entries of each kind at most; beyond, deletions are carried out and not remembered.
const MOST: u64 = 1 << 20;
/// Unknown messages remembered of one request.
pub(super) const UNKNOWN: usize = 1000;

/// Whose message it is stands in the key: nobody can bury another account's.
fn tomb_key(account: &AccountId, hash: &MessageHash) -> [u8; 65] {
    let mut key = [0; 65];
    key[..32].copy_from_slice(&hash.0);
    key[32..].copy_from_slice(&account.0);
    key
}

fn by_time(until: Millis, tomb: &[u8; 65]) -> [u8; 73] {
    let mut key = [0; 73];
    key[..8].copy_from_slice(&until.0.to_be_bytes());
    key[8..].copy_from_slice(tomb);
    key
}

/// The account, and which of its namespaces.
fn scope_key(account: &AccountId, namespace: Option<Namespace>) -> [u8; 36] {
    let mut key = [0; 36];
    key[..33].copy_from_slice(&account.0);
    if let Some(namespace) = namespace {
        key[33] = 1;
        key[34..].copy_from_slice(&namespace.0.to_be_bytes());
    }
    key
}

impl Work<'_> {
    /// This message was deleted. `expiry`: when it would have gone by itself, if that is known.
    pub(super) fn bury(
        &mut self,
        account: &AccountId,
        hash: &MessageHash,
        expiry: Option<Millis>,
    ) -> Result<(), StoreError> {
        if self.tables.tombs.len(&self.txn)? >= MOST {
            return Ok(());
        }
        let tomb = tomb_key(account, hash);
        self.open(&tomb)?;
        let until = expiry.unwrap_or_else(|| self.now().plus(MAX_LIFETIME));
        self.tables.tombs.put(&mut self.txn, &tomb, &until.0.to_be_bytes())?;
        Ok(self.tables.tombs_by_time.put(&mut self.txn, &by_time(until, &tomb), &[])?)
    }

    /// A client stores it again.
    pub(super) fn unbury(&mut self, account: &AccountId, hash: &MessageHash) -> Result<(), StoreError> {
        self.open(&tomb_key(account, hash))
    }

    fn open(&mut self, tomb: &[u8; 65]) -> Result<(), StoreError> {
        let until = self.tables.tombs.get(&self.txn, tomb)?.map(|until| until.try_into().map_err(|_| damaged()));
        if let Some(until) = until.transpose()? {
            let until = Millis(u64::from_be_bytes(until));
            self.tables.tombs.delete(&mut self.txn, tomb)?;
            self.tables.tombs_by_time.delete(&mut self.txn, &by_time(until, tomb))?;
        }
        Ok(())
    }

    /// Everything in `scope` up to `time` was deleted.
    pub(super) fn clear(&mut self, account: &AccountId, scope: Scope, time: Millis) -> Result<(), StoreError> {
        let namespace = match scope {
            Scope::One(namespace) => Some(namespace),
            Scope::All => None,
        };
        let key = scope_key(account, namespace);
        let before = self.tables.cleared.get(&self.txn, &key)?.map(<[u8]>::to_vec);
        let known = before.is_some();
        let time = time.0.to_be_bytes();
        if before.is_some_and(|before| before.as_slice() >= time.as_slice()) {
            return Ok(());
        }
        if known || self.tables.cleared.len(&self.txn)? < MOST {
            self.tables.cleared.put(&mut self.txn, &key, &time)?;
        }
        Ok(())
    }

    /// Whether this message was deleted, as far as is remembered.
    pub(super) fn is_buried(&self, message: &NewMessage) -> Result<bool, StoreError> {
        if self.tables.tombs.get(&self.txn, &tomb_key(&message.account, &message.hash))?.is_some() {
            return Ok(true);
        }
        for namespace in [None, Some(message.namespace)] {
            let cleared = self.tables.cleared.get(&self.txn, &scope_key(&message.account, namespace))?;
            if cleared.is_some_and(|time| time >= message.timestamp.0.to_be_bytes().as_slice()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Forgets up to `step` messages that would have expired by now.
    pub(super) fn clean_tombs(&mut self, step: usize) -> Result<(), StoreError> {
        let mut ended: Vec<[u8; 65]> = Vec::new();
        for entry in self.tables.tombs_by_time.iter(&self.txn)?.take(step) {
            let (key, _) = entry?;
            let (until, tomb) = key.split_first_chunk::<8>().ok_or_else(damaged)?;
            if Millis(u64::from_be_bytes(*until)) > self.now() {
                break;
            }
            ended.push(tomb.try_into().map_err(|_| damaged())?);
        }
        ended.iter().try_for_each(|tomb| self.open(tomb))
    }
}
