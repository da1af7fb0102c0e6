//! The message store (`spec/storage`): one writer that puts whatever has queued into a redo log as one transaction, and a
//! thread that folds the log into LMDB. Readers see a snapshot, and wait for neither but for the moment in which what is on
//! disk is shown to them.

mod backup;
mod commands;
mod dump;
mod embed;
mod fold;
mod inventory;
mod layout;
mod metrics;
mod migrate;
mod namespaces;
mod pending;
mod portable;
mod read;
mod recent;
mod redo;
mod shares;
mod tables;
mod tombs;
mod upkeep;
mod verify;
mod work;
mod writer;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
};

pub use dump::{Batch, Cursor};
pub use read::{Limits, Page, StoreStats, StoredMessage};
pub use upkeep::{Compacted, compact, verify};
pub use verify::Report;
pub use work::{NewMessage, Outcome, Stored};

#[doc(hidden)]
pub use commands::{AT, Change, Command, LATEST, latest_expiry};
#[doc(hidden)]
pub use dump::Dump;
#[doc(hidden)]
pub use inventory::{Inventory, Place};
#[doc(hidden)]
pub use metrics::StoreMetrics;
#[doc(hidden)]
pub use namespaces::{NamespaceSearch, SeenNamespaces};
#[doc(hidden)]
pub use pending::{Missed, Promised, Unsettled};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use portable::fuzz_import;
#[doc(hidden)]
pub use portable::{Exported, Progress, export, import};
#[doc(hidden)]
pub use read::Census;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use redo::fuzz_redo;
#[doc(hidden)]
pub use upkeep::{Summary, format, summary};
#[doc(hidden)]
pub use verify::TableSize;
#[doc(hidden)]
pub use work::{ExpireMode, ExpireResult, Scope};

use crate::{
    clock::Clock,
    types::{AccountId, MessageHash, Millis, Namespace},
    watchdog::Ward,
};
use tables::Tables;
use work::{Room, Work};
use writer::Writer;

/// The key of a message, where a change goes on.
type MessageKey = [u8; layout::KEY];
/// What a change has concerned.
type Changed = Vec<(Namespace, MessageHash)>;

/// How far ahead of our clock another member's may be, in milliseconds.
const AHEAD: u64 = 60_000;

/// What an acknowledgement means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// On disk: a power cut loses nothing that was acknowledged.
    #[default]
    Sync,
    /// Given to the operating system, and on disk a second or two later: a crash of the process loses nothing, one of
    /// the machine what was not on disk.
    Async,
}

impl Durability {
    /// As operators write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Async => "async",
        }
    }
}

impl std::str::FromStr for Durability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sync" => Ok(Self::Sync),
            "async" => Ok(Self::Async),
            _ => Err(format!("durability is sync or async, not {text:?}")),
        }
    }
}

/// How a store is laid out and bounded.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Directory of the database; created when missing.
    pub path: PathBuf,
    /// Bytes that messages may take, bookkeeping included.
    pub max_bytes: u64,
    /// Bytes that the messages in the public inboxes of one account may take, and as much again those elsewhere.
    pub account_bytes: u64,
    /// Messages that one account may have, likewise.
    pub account_messages: u64,
    /// Things that members of the swarm have missed, of all members together, that may be kept for them: some 150 bytes
    /// each, and as much as a command's params.
    pub max_missed: u64,
    /// Writes that may wait before the answer is "busy".
    pub queue: usize,
    /// Writes in one transaction at most.
    pub batch: usize,
    /// What an acknowledgement means.
    pub durability: Durability,
    /// Whether a message stays as it is where `expire` would lengthen its life by less than a hundredth.
    pub ignores_small_extensions: bool,
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
            max_missed: 1 << 20,
            queue: 4096,
            batch: 1024,
            durability: Durability::Sync,
            ignores_small_extensions: false,
        }
    }
}

/// Why the store did not do what was asked. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
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
    /// The map of the file has no room, whatever the messages are charged.
    #[error("the store's file is full; room comes back as messages expire")]
    MapFull,
    /// The disk has no room, or takes nothing (LMDB says the same for a write that was cut off).
    #[error("the disk of the message store is full, or fails; free some of it, or lower max_store_bytes")]
    DiskFull,
    /// Another process writes there.
    #[error("another process has the message store open: a node that runs, or an `allium store` command")]
    InUse,
    /// The file is not as it was written.
    #[error(
        "the message store is damaged ({0}); put a copy of data.mdb back, or move it away and start empty: \
         the swarm sends its messages again"
    )]
    Damaged(String),
    /// What is to be taken in makes no sense.
    #[error("{0}")]
    Unusable(String),
    /// Whoever asked for it wants it no more.
    #[error("it was stopped")]
    Interrupted,
    /// The database or its disk.
    #[error("database: {0}")]
    Database(String),
}

impl StoreError {
    /// What a stranger is told of it: nothing of this machine.
    #[must_use]
    pub fn public(&self) -> String {
        match self {
            Self::Full | Self::AccountFull | Self::Busy | Self::Closed | Self::Interrupted | Self::Unusable(_) => {
                self.to_string()
            }
            Self::MapFull => Self::Full.to_string(),
            Self::Format { .. } | Self::DiskFull | Self::InUse | Self::Damaged(_) | Self::Database(_) => {
                "the store does not work".to_owned()
            }
        }
    }
}

/// Whether the disk has no room, or fails.
fn is_full(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG | libc::EIO))
}

impl From<heed::Error> for StoreError {
    fn from(error: heed::Error) -> Self {
        use heed::MdbError as Mdb;
        match &error {
            heed::Error::Mdb(Mdb::MapFull) => Self::MapFull,
            heed::Error::Mdb(Mdb::Corrupted | Mdb::PageNotFound | Mdb::Invalid | Mdb::VersionMismatch) => {
                Self::Damaged(error.to_string())
            }
            heed::Error::Io(io) if is_full(io) => Self::DiskFull,
            _ => Self::Database(error.to_string()),
        }
    }
}

/// A handle to the store; clones share it.
#[derive(Clone)]
pub struct Store {
    tables: Arc<Tables>,
    clock: Clock,
    writer: Arc<Writer>,
    room: Room,
    durability: Durability,
}

impl Store {
    /// Opens the store and starts its writer.
    ///
    /// # Errors
    /// [`StoreError::Format`], [`StoreError::InUse`], [`StoreError::Damaged`], or [`StoreError::Database`] when the
    /// directory cannot be used.
    pub fn open(config: StoreConfig, clock: Clock) -> Result<Self, StoreError> {
        let tables = Arc::new(Tables::open(&config)?);
        pending::recover(&tables)?;
        let writer = Arc::new(Writer::start(Arc::clone(&tables), &config, clock.clone())?);
        let StoreConfig { max_bytes, account_bytes, account_messages, durability, .. } = config;
        let room = Room { max_bytes, account_bytes, account_messages };
        Ok(Self { tables, clock, writer, room, durability })
    }

    /// From now on its threads are watched.
    #[doc(hidden)]
    pub fn put_in(&self, ward: &Ward) {
        self.writer.pulses().iter().for_each(|pulse| ward.watch(Arc::clone(pulse)));
    }

    /// Stores one message. The answer comes when it is on disk ([`Durability`]).
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put(&self, message: NewMessage) -> Result<Stored, StoreError> {
        let room = self.room;
        self.observe(message.stored);
        self.writer.submit(move |work| work.put(&message, &room)).await
    }

    /// As [`Self::put`], for a message that the swarm is still to be told of. Until the guard is told that this was done, a
    /// crash would leave the message among those that [`Self::take_unsettled`] gives.
    ///
    /// # Errors
    /// [`StoreError`].
    #[doc(hidden)]
    pub async fn put_first(&self, message: NewMessage) -> Result<(Stored, Unsettled), StoreError> {
        let (room, tables) = (self.room, Arc::clone(&self.tables));
        // The guard is made where the message is stored: whoever asked may be gone by then.
        let put = move |work: &mut Work<'_>| {
            let (stored, number) = work.put_first(&message, &room)?;
            Ok((stored, Unsettled::new(tables, number, (message.account, message.hash))))
        };
        self.writer.submit(put).await
    }

    /// A time for a change that a client asks for now: later than that of every change that is known here, whatever the
    /// clocks of other members say.
    #[must_use]
    #[doc(hidden)]
    pub fn stamp(&self) -> Millis {
        let least = self.clock.now().0;
        let latest =
            self.tables.latest.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |latest| Some(least.max(latest + 1)));
        Millis(latest.map_or(least, |latest| least.max(latest + 1)))
    }

    /// As [`Self::stamp`], for a message that a client stores: it also comes after its own deletion, of which [`Self::stamp`]
    /// knows nothing.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn stamp_message(&self, message: &NewMessage) -> Result<Millis, StoreError> {
        let stamp = self.stamp();
        self.after_deletion(message, stamp)
    }

    /// `stamp`, or a time after the message's deletion, which may be ahead of the clock: what happens to the account from
    /// now on is then later still ([`Self::stamp_change`]).
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub(crate) fn after_deletion(&self, message: &NewMessage, stamp: Millis) -> Result<Millis, StoreError> {
        let Some(deleted) = self.deleted_at(message, stamp)? else { return Ok(stamp) };
        let restored = stamp.max(deleted.plus(1));
        let now = self.clock.now();
        let mut ahead = self.tables.restored.lock();
        ahead.retain(|_, until| *until > now);
        let until = ahead.entry(message.account).or_default();
        *until = restored.max(*until);
        Ok(restored)
    }

    /// As [`Self::stamp`], for a change of what `account` has: it also comes after messages that were stored again just after
    /// their deletion.
    #[must_use]
    pub fn stamp_change(&self, account: &AccountId) -> Millis {
        let restored = self.tables.restored.lock().get(account).map_or(Millis(0), |until| until.plus(1));
        self.stamp().max(restored)
    }

    /// A time for the deletion of messages that a client names. The client knows them, so it comes after their storing, though
    /// this member may not have heard of them and the clock may have been ahead, by less than `margin` milliseconds, of the
    /// one that stored them. It makes no other change later, or they could come after the next deletion.
    #[must_use]
    pub fn stamp_deletion(&self, account: &AccountId, margin: u64) -> Millis {
        let restored = self.tables.restored.lock().get(account).map_or(Millis(0), |until| until.plus(1));
        let latest = Millis(self.tables.latest.load(Ordering::Relaxed)).plus(1);
        self.clock.now().plus(margin).max(latest).max(restored)
    }

    /// Another member has given this time to a change. One that is far ahead is not believed.
    #[doc(hidden)]
    pub fn observe(&self, time: Millis) {
        self.tables.latest.fetch_max(time.min(self.clock.now().plus(AHEAD)).0, Ordering::Relaxed);
    }

    /// Carries out a change, remembers the command and notes who is to be told, in one transaction.
    async fn change<T: Send + 'static>(
        &self,
        account: AccountId,
        change: Change,
        operation: impl FnOnce(&mut Work<'_>, Millis) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<Promised<T>, StoreError> {
        self.observe(change.at);
        self.carry_out(account, change, operation).await
    }

    async fn carry_out<T: Send + 'static>(
        &self,
        account: AccountId,
        change: Change,
        operation: impl FnOnce(&mut Work<'_>, Millis) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<Promised<T>, StoreError> {
        let all = move |work: &mut Work<'_>| {
            let Change { at, command, members } = change;
            let done = operation(work, at)?;
            // One copy, however many members there are to be told.
            let missed = work.log(&account, at, &command)?.map_or(Missed::Command(command), Missed::Logged);
            let numbers = work.add_missed(&members, &missed)?;
            Ok(Promised { done, numbers })
        };
        self.writer.submit(all).await
    }

    /// As [`Self::change`], for one that concerns all that an account has: in as many transactions as it takes, the first of
    /// which remembers the command.
    async fn change_all(
        &self,
        account: AccountId,
        change: Change,
        step: impl Fn(&mut Work<'_>, Millis, Option<MessageKey>, &mut Changed) -> Result<Option<MessageKey>, StoreError>
        + Clone
        + Send
        + 'static,
    ) -> Result<Promised<Changed>, StoreError> {
        let (at, first) = (change.at, step.clone());
        let begin = move |work: &mut Work<'_>, at| {
            let mut changed = Vec::new();
            let next = first(work, at, None, &mut changed)?;
            Ok((changed, next))
        };
        let Promised { done: (mut changed, mut next), numbers } = self.change(account, change, begin).await?;
        while let Some(from) = next {
            let step = step.clone();
            let go_on = move |work: &mut Work<'_>| {
                let mut more = Vec::new();
                let next = step(work, at, Some(from), &mut more)?;
                Ok((more, next))
            };
            let more;
            (more, next) = self.writer.submit(go_on).await?;
            changed.extend(more);
        }
        Ok(Promised { done: changed, numbers })
    }

    /// Removes these messages of `account`; the answer names those that were there. The time is one of
    /// [`Self::stamp_deletion`].
    ///
    /// # Errors
    /// [`StoreError`].
    #[doc(hidden)]
    pub async fn delete(
        &self,
        account: AccountId,
        hashes: Vec<MessageHash>,
        change: Change,
    ) -> Result<Promised<Vec<MessageHash>>, StoreError> {
        self.carry_out(account, change, move |work, at| work.delete(&account, &hashes, at)).await
    }

    /// Removes all messages in `scope`, or those with a timestamp up to `before`.
    ///
    /// # Errors
    /// [`StoreError`].
    #[doc(hidden)]
    pub async fn delete_all(
        &self,
        account: AccountId,
        scope: Scope,
        before: Option<Millis>,
        change: Change,
    ) -> Result<Promised<Changed>, StoreError> {
        let step = move |work: &mut Work<'_>, at, from, removed: &mut _| {
            work.delete_all((&account, scope), before, at, from, removed)
        };
        self.change_all(account, change, step).await
    }

    /// Lowers every later expiry in `scope` to `expiry`; the answer names what changed.
    ///
    /// # Errors
    /// [`StoreError`].
    #[doc(hidden)]
    pub async fn expire_all(
        &self,
        account: AccountId,
        scope: Scope,
        expiry: Millis,
        change: Change,
    ) -> Result<Promised<Changed>, StoreError> {
        let step = move |work: &mut Work<'_>, at, from, updated: &mut _| {
            work.expire_all((&account, scope), expiry, at, from, updated)
        };
        self.change_all(account, change, step).await
    }

    /// Changes the expiry of these messages of `account`.
    ///
    /// # Errors
    /// [`StoreError`].
    #[doc(hidden)]
    pub async fn expire(
        &self,
        account: AccountId,
        changes: Vec<(MessageHash, Millis)>,
        mode: ExpireMode,
        change: Change,
    ) -> Result<Promised<ExpireResult>, StoreError> {
        self.change(account, change, move |work, at| work.expire(&account, &changes, mode, at)).await
    }

    /// Revokes subaccount tokens, or takes that back (`revoked` false). An account keeps its newest 50; the answer is how
    /// many it changed.
    ///
    /// # Errors
    /// [`StoreError`].
    #[doc(hidden)]
    pub async fn set_revoked(
        &self,
        account: AccountId,
        tokens: Vec<[u8; 36]>,
        revoked: bool,
        change: Change,
    ) -> Result<Promised<u64>, StoreError> {
        self.change(account, change, move |work, at| work.set_revoked(&account, &tokens, revoked, at)).await
    }

    /// Removes what has expired, now rather than at the next tick; the answer is how many messages that were.
    ///
    /// # Errors
    /// [`StoreError`].
    #[doc(hidden)]
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

    /// Puts all that was acknowledged into the trees of the file now, where other programs find it, rather than in a moment.
    /// While that is not possible, it stays in the redo log.
    ///
    /// # Errors
    /// [`StoreError::Busy`], [`StoreError::Closed`].
    #[doc(hidden)]
    pub async fn settle(&self) -> Result<(), StoreError> {
        self.writer
            .submit(|work| {
                work.settle = true;
                Ok(())
            })
            .await
    }

    /// Writes what has queued, then stops the writer. Later writes are refused, reads go on.
    pub fn close(&self) {
        self.writer.close();
    }
}

#[cfg(test)]
mod tests;
