//! The message store (`spec/storage`): LMDB, one writer that commits whatever has queued as one transaction, readers on
//! snapshots that never wait for it.

mod dump;
mod layout;
mod pending;
mod read;
mod tombs;
mod work;
mod writer;

use std::{path::PathBuf, sync::Arc};

pub use dump::{Batch, Cursor, Dump};
pub use pending::{Missed, Promise, Promised, Unsettled};
pub use read::{Census, Limits, Page, StoreStats, StoredMessage};
pub use work::{ExpireMode, ExpireResult, NewMessage, Outcome, Scope, Stored};

use parking_lot::Mutex;

use crate::{
    clock::Clock,
    types::{AccountId, MessageHash, Millis, Namespace},
};
use layout::Tables;
use work::{Room, Work};
use writer::Writer;

/// How a store is laid out and bounded.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Directory of the database; created when missing.
    pub path: PathBuf,
    /// Bytes that messages may take, bookkeeping included.
    pub max_bytes: u64,
    /// Bytes that the messages of one account may take.
    pub account_bytes: u64,
    /// Messages that one account may have.
    pub account_messages: u64,
    /// Writes that may wait before the answer is "busy".
    pub queue: usize,
    /// Writes in one transaction at most.
    pub batch: usize,
}

impl StoreConfig {
    /// The reference's limit (3,584 MiB) and bounds that suit a loaded node.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            max_bytes: 3584 << 20,
            account_bytes: 128 << 20,
            account_messages: 100_000,
            queue: 4096,
            batch: 1024,
        }
    }
}

/// Why the store did not do what was asked. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No room until messages expire.
    #[error("the store is full; room comes back as messages expire")]
    Full,
    /// No room for this account until messages of its own expire.
    #[error("this account's share of the store is full; room comes back as its messages expire")]
    AccountFull,
    /// The queue of writes is full.
    #[error("too many writes are waiting")]
    Busy,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// The directory holds a format that this version does not read.
    #[error("the database has format {found}, this version reads {known}; use a version that wrote it")]
    Format {
        /// What the directory holds.
        found: u64,
        /// What this code reads.
        known: u64,
    },
    /// The database or its disk.
    #[error("database: {0}")]
    Database(String),
}

impl From<heed::Error> for StoreError {
    fn from(error: heed::Error) -> Self {
        Self::Database(error.to_string())
    }
}

/// A handle to the store; clones share it.
#[derive(Clone)]
pub struct Store {
    tables: Arc<Tables>,
    writer: Arc<Writer>,
    room: Room,
    unsettled: Arc<Mutex<Vec<MessageHash>>>,
}

impl Store {
    /// Opens the store and starts its writer.
    ///
    /// # Errors
    /// [`StoreError::Format`], or [`StoreError::Database`] when the directory cannot be used.
    pub fn open(config: StoreConfig, clock: Clock) -> Result<Self, StoreError> {
        let tables = Arc::new(Tables::open(&config)?);
        let unsettled = Arc::new(Mutex::new(pending::unsettled(&tables)?));
        let writer = Arc::new(Writer::start(Arc::clone(&tables), &config, clock)?);
        let StoreConfig { max_bytes, account_bytes, account_messages, .. } = config;
        Ok(Self { tables, writer, room: Room { max_bytes, account_bytes, account_messages }, unsettled })
    }

    /// Stores one message. The answer comes when it is on disk.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put(&self, message: NewMessage) -> Result<Stored, StoreError> {
        let room = self.room;
        self.writer.submit(move |work| work.put(&message, &room)).await
    }

    /// As [`Self::put`], for a message that the swarm is still to be told of. Until the guard is dropped, a crash would
    /// leave the message among those that [`Self::take_unsettled`] gives.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_first(&self, message: NewMessage) -> Result<(Stored, Unsettled), StoreError> {
        let room = self.room;
        let (stored, number) = self.writer.submit(move |work| work.put_first(&message, &room)).await?;
        Ok((stored, Unsettled { tables: Arc::clone(&self.tables), number }))
    }

    /// Runs `operation`, and in the same transaction notes that the members of `promise` are to be told.
    async fn promising<T: Send + 'static>(
        &self,
        promise: Option<Promise>,
        operation: impl FnOnce(&mut Work<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<Promised<T>, StoreError> {
        let both = move |work: &mut Work<'_>| {
            let done = operation(work)?;
            let numbers = promise.map(|promise| work.add_missed(&promise.members, &promise.missed)).transpose()?;
            Ok(Promised { done, numbers: numbers.unwrap_or_default() })
        };
        self.writer.submit(both).await
    }

    /// Removes these messages of `account`; the answer names those that were there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete(
        &self,
        account: AccountId,
        hashes: Vec<MessageHash>,
        promise: Option<Promise>,
    ) -> Result<Promised<Vec<MessageHash>>, StoreError> {
        self.promising(promise, move |work| work.delete(&account, &hashes)).await
    }

    /// Removes all messages in `scope`, or those with a timestamp up to `before`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_all(
        &self,
        account: AccountId,
        scope: Scope,
        before: Option<Millis>,
        promise: Option<Promise>,
    ) -> Result<Promised<Vec<(Namespace, MessageHash)>>, StoreError> {
        self.promising(promise, move |work| work.delete_all(&account, scope, before)).await
    }

    /// Lowers every later expiry in `scope` to `expiry`; the answer names what changed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn expire_all(
        &self,
        account: AccountId,
        scope: Scope,
        expiry: Millis,
        promise: Option<Promise>,
    ) -> Result<Promised<Vec<(Namespace, MessageHash)>>, StoreError> {
        self.promising(promise, move |work| work.expire_all(&account, scope, expiry)).await
    }

    /// Changes the expiry of these messages of `account`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn expire(
        &self,
        account: AccountId,
        changes: Vec<(MessageHash, Millis)>,
        mode: ExpireMode,
        promise: Option<Promise>,
    ) -> Result<Promised<ExpireResult>, StoreError> {
        self.promising(promise, move |work| work.expire(&account, &changes, mode)).await
    }

    /// Revokes subaccount tokens; an account keeps its newest 50.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revoke(
        &self,
        account: AccountId,
        tokens: Vec<[u8; 36]>,
        promise: Option<Promise>,
    ) -> Result<Promised<()>, StoreError> {
        self.promising(promise, move |work| work.revoke(&account, &tokens)).await
    }

    /// Takes revocations back; the answer is how many there were.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unrevoke(
        &self,
        account: AccountId,
        tokens: Vec<[u8; 36]>,
        promise: Option<Promise>,
    ) -> Result<Promised<u64>, StoreError> {
        self.promising(promise, move |work| work.unrevoke(&account, &tokens)).await
    }

    /// Removes what has expired, now rather than at the next tick; the answer is how many messages that were.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn clean_expired(&self) -> Result<u64, StoreError> {
        let mut removed = 0;
        loop {
            let step = self.writer.submit(|work| work.clean_expired(writer::EXPIRY_STEP)).await?;
            removed += step as u64;
            if step < writer::EXPIRY_STEP {
                return Ok(removed);
            }
        }
    }

    /// Writes what has queued, then stops the writer. Later writes are refused, reads go on.
    pub fn close(&self) {
        self.writer.close();
    }
}

#[cfg(test)]
mod tests;
