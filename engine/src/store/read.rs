//! Reads: each on a snapshot of its own, beside the writer.

use std::{collections::BTreeMap, ops::Bound, sync::atomic::Ordering};

use super::{
    config::Durability,
    error::StoreError,
    handle::Store,
    layout::{self, Item, Meta, Revocation, Usage, damaged},
    tables::Tables,
};
use crate::types::{AccountId, MessageHash, Millis, Namespace};

/// A message as it is handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its identity.
    pub hash: MessageHash,
    /// When the sender says it was sent.
    pub timestamp: Millis,
    /// When it goes.
    pub expiry: Millis,
    /// What it says.
    pub data: Vec<u8>,
}

/// How much one retrieve may take (`spec/node-rpc` §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Messages at most.
    pub max_count: Option<u64>,
    /// Sum of what the messages are charged at most; the first is always taken.
    pub max_size: u64,
}

/// The answer to a retrieve.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// In the order in which they were stored.
    pub messages: Vec<StoredMessage>,
    /// Whether there is at least one further message.
    pub more: bool,
}

/// What the store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStats {
    /// Messages.
    pub messages: u64,
    /// Bytes charged for them.
    pub bytes: u64,
    /// Bytes they may take.
    pub max_bytes: u64,
    /// Things that members of the swarm have missed and are kept for them.
    pub hints: u64,
    /// Those that there was no room for, since the start.
    pub hints_dropped: u64,
    /// What an acknowledgement means.
    pub durability: Durability,
}

/// Every message counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Messages of each account that has at least two, ascending.
    pub by_account: Vec<u64>,
    /// Messages by namespace.
    pub by_namespace: BTreeMap<i16, u64>,
    /// Bytes of the file that hold something.
    pub used_bytes: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
}

impl Tables {
    pub(super) fn census(&self) -> Result<Census, StoreError> {
        let txn = self.long_view()?;
        let mut census = Census::default();
        for entry in self.data.iter(&txn)? {
            let (key, value) = entry?;
            match Item::of(key).ok_or_else(damaged)? {
                Item::Usage(_) => {
                    let messages = Usage::decode(value).ok_or_else(damaged)?.all.messages;
                    census.by_account.extend((messages >= 2).then_some(messages));
                }
                Item::Message(key) => *census.by_namespace.entry(layout::namespace_of(key).0).or_default() += 1,
                Item::Hash(..) => {}
            }
        }
        census.by_account.sort_unstable();
        census.used_bytes = self.env.non_free_pages_size()?;
        census.file_bytes = self.env.real_disk_size()?;
        Ok(census)
    }
}

/// What a message counts towards [`Limits::max_size`], whatever the encoding.
const fn charged(data_len: usize) -> u64 {
    (100 + MessageHash::TEXT_LEN + data_len * 4 / 3) as u64
}

impl Store {
    /// Messages of one namespace, after the one with hash `after` if that is there, else from the start.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn retrieve(
        &self,
        account: &AccountId,
        namespace: Namespace,
        after: Option<&MessageHash>,
        limits: Limits,
    ) -> Result<Page, StoreError> {
        let txn = self.tables.view_of(account)?;
        let prefix = layout::prefix(account, namespace);
        let mut start = layout::key(account, namespace, 0);
        if let Some(hash) = after
            && let Some(key) = self.tables.find(&txn, &account.0, hash)?
            && key.starts_with(&prefix)
        {
            start = key;
        }
        let end = layout::key(account, namespace, u64::MAX);
        let range = (Bound::Excluded(start.as_slice()), Bound::Included(end.as_slice()));
        let mut page = Page::default();
        let mut size = 0;
        for entry in self.tables.messages(&txn, range)? {
            let (_, record) = entry?;
            size += charged(record.data.len());
            let count = page.messages.len() as u64;
            if count > 0 && (size > limits.max_size || limits.max_count.is_some_and(|most| count >= most)) {
                page.more = true;
                break;
            }
            page.messages.push(StoredMessage {
                hash: record.hash,
                timestamp: record.timestamp,
                expiry: record.expiry,
                data: record.data.to_vec(),
            });
        }
        Ok(page)
    }

    /// The expiries of those of `hashes` that `account` has.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn expiries(
        &self,
        account: &AccountId,
        hashes: &[MessageHash],
    ) -> Result<Vec<(MessageHash, Millis)>, StoreError> {
        let txn = self.tables.view_of(account)?;
        let mut found = Vec::new();
        for hash in hashes {
            if let Some(key) = self.tables.find(&txn, &account.0, hash)? {
                found.push((*hash, self.tables.record(&txn, &key)?.expiry));
            }
        }
        Ok(found)
    }

    /// Whether `account` has revoked exactly this token.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    #[doc(hidden)]
    pub fn is_revoked(&self, account: &AccountId, token: &[u8; 36]) -> Result<bool, StoreError> {
        let txn = self.tables.view_of(account)?;
        let found = self.tables.revoked.get(&txn, &layout::revoked_key(account, token))?;
        Ok(found.and_then(Revocation::decode).is_some_and(|revocation| revocation.in_force))
    }

    /// The tokens that `account` has revoked.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    #[doc(hidden)]
    pub fn revoked(&self, account: &AccountId) -> Result<Vec<[u8; 36]>, StoreError> {
        let txn = self.tables.view_of(account)?;
        let mut tokens = Vec::new();
        for entry in self.tables.revoked.prefix_iter(&txn, &account.0)? {
            let (key, value) = entry?;
            if Revocation::decode(value).is_some_and(|revocation| revocation.in_force) {
                tokens.push(*key.last_chunk().ok_or_else(damaged)?);
            }
        }
        Ok(tokens)
    }

    /// Goes through every message: how many each account and each namespace has.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    #[doc(hidden)]
    pub fn census(&self) -> Result<Census, StoreError> {
        self.tables.census()
    }

    /// What the store holds.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn stats(&self) -> Result<StoreStats, StoreError> {
        let txn = self.tables.view()?;
        Ok(StoreStats {
            messages: self.tables.meta(&txn, Meta::Messages)?,
            bytes: self.tables.meta(&txn, Meta::Bytes)?,
            max_bytes: self.room.max_bytes,
            hints: self.tables.len(&self.tables.hints, &txn),
            hints_dropped: self.tables.hints_dropped.load(Ordering::Relaxed),
            durability: self.durability,
        })
    }
}
