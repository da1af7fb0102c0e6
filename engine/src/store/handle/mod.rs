//! The handle: what a node asks of its store.

mod commands;
mod handoff;
mod hints;
mod metrics;

use std::sync::{Arc, atomic::Ordering};

use super::{
    commands::Change,
    config::{Durability, StoreConfig},
    error::StoreError,
    hints::{Hint, Promised, ReplicationGuard, recover},
    layout,
    message::{ExpireMode, ExpireResult, NewMessage, Room, Scope, Stored},
    tables::Tables,
    write_txn::WriteTxn,
    writer::{self, Writer},
};
use crate::{
    clock::Clock,
    types::{AccountId, MessageHash, Millis, Namespace},
    watchdog::Ward,
};

/// The key of a message, where a change goes on.
type MessageKey = [u8; layout::KEY];
/// What a change has concerned.
type Changed = Vec<(Namespace, MessageHash)>;

/// How far ahead of our clock another member's may be, in milliseconds.
const AHEAD: u64 = 60_000;

/// A handle to the store; clones share it.
#[derive(Clone)]
pub struct Store {
    pub(in crate::store) tables: Arc<Tables>,
    pub(in crate::store) clock: Clock,
    pub(in crate::store) writer: Arc<Writer>,
    pub(in crate::store) room: Room,
    pub(in crate::store) durability: Durability,
}

impl Store {
    /// Opens the store and starts its writer.
    ///
    /// # Errors
    /// [`StoreError::Format`], [`StoreError::InUse`], [`StoreError::Damaged`], or [`StoreError::Database`] when the
    /// directory cannot be used.
    pub fn open(config: StoreConfig, clock: Clock) -> Result<Self, StoreError> {
        let tables = Arc::new(Tables::open(&config)?);
        recover(&tables)?;
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
        self.writer.submit(move |txn| txn.put(&message, &room)).await
    }

    /// As [`Self::put`], of many in one transaction; what became of each, in order. One that there is no room for is in
    /// nobody's way.
    ///
    /// # Errors
    /// [`StoreError`]: none of them was stored.
    #[doc(hidden)]
    pub async fn put_all(&self, messages: Vec<NewMessage>) -> Result<Vec<Result<Stored, StoreError>>, StoreError> {
        let room = self.room;
        messages.iter().for_each(|message| self.observe(message.stored));
        let put = move |txn: &mut WriteTxn<'_>, message: &NewMessage| match txn.put(message, &room) {
            Err(full @ (StoreError::Full | StoreError::AccountFull)) => Ok(Err(full)),
            done => done.map(Ok),
        };
        let put_all = move |txn: &mut WriteTxn<'_>| messages.iter().map(|message| put(txn, message)).collect();
        let done: Vec<Result<Stored, StoreError>> = self.writer.submit(put_all).await?;
        done.iter().filter_map(|done| done.as_ref().err()).for_each(|full| self.writer.counts().refused(full));
        Ok(done)
    }

    /// As [`Self::put`], for a message that the swarm is still to be told of. Until the guard is told that this was done, a
    /// crash would leave the message among those that [`Self::take_unreplicated`] gives.
    ///
    /// # Errors
    /// [`StoreError`].
    #[doc(hidden)]
    pub async fn put_as_coordinator(&self, message: NewMessage) -> Result<(Stored, ReplicationGuard), StoreError> {
        let (room, tables) = (self.room, Arc::clone(&self.tables));
        // The guard is made where the message is stored: whoever asked may be gone by then.
        let put = move |txn: &mut WriteTxn<'_>| {
            let (stored, number) = txn.put_as_coordinator(&message, &room)?;
            Ok((stored, ReplicationGuard::new(tables, number, (message.account, message.hash))))
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
    pub(in crate::store) async fn change<T: Send + 'static>(
        &self,
        account: AccountId,
        change: Change,
        operation: impl FnOnce(&mut WriteTxn<'_>, Millis) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<Promised<T>, StoreError> {
        self.observe(change.at);
        self.carry_out(account, change, operation).await
    }

    async fn carry_out<T: Send + 'static>(
        &self,
        account: AccountId,
        change: Change,
        operation: impl FnOnce(&mut WriteTxn<'_>, Millis) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<Promised<T>, StoreError> {
        let all = move |txn: &mut WriteTxn<'_>| {
            let Change { at, command, members } = change;
            let done = operation(txn, at)?;
            // One copy, however many members there are to be told.
            let hint = txn.log(&account, at, &command)?.map_or(Hint::Command(command), Hint::Logged);
            let numbers = txn.add_hints(&members, &hint)?;
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
        step: impl Fn(&mut WriteTxn<'_>, Millis, Option<MessageKey>, &mut Changed) -> Result<Option<MessageKey>, StoreError>
        + Clone
        + Send
        + 'static,
    ) -> Result<Promised<Changed>, StoreError> {
        let (at, first) = (change.at, step.clone());
        let begin = move |txn: &mut WriteTxn<'_>, at| {
            let mut changed = Vec::new();
            let next = first(txn, at, None, &mut changed)?;
            Ok((changed, next))
        };
        let Promised { done: (mut changed, mut next), numbers } = self.change(account, change, begin).await?;
        while let Some(from) = next {
            let step = step.clone();
            let go_on = move |txn: &mut WriteTxn<'_>| {
                let mut more = Vec::new();
                let next = step(txn, at, Some(from), &mut more)?;
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
        self.carry_out(account, change, move |txn, at| txn.delete(&account, &hashes, at)).await
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
        let step = move |txn: &mut WriteTxn<'_>, at, from, removed: &mut _| {
            txn.delete_all((&account, scope), before, at, from, removed)
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
        let step = move |txn: &mut WriteTxn<'_>, at, from, updated: &mut _| {
            txn.expire_all((&account, scope), expiry, at, from, updated)
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
        self.change(account, change, move |txn, at| txn.expire(&account, &changes, mode, at)).await
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
        self.change(account, change, move |txn, at| txn.set_revoked(&account, &tokens, revoked, at)).await
    }

    /// Removes what has expired, now rather than at the next tick; the answer is how many messages that were.
    ///
    /// # Errors
    /// [`StoreError`].
    #[doc(hidden)]
    pub async fn clean_expired(&self) -> Result<u64, StoreError> {
        let mut removed = 0;
        loop {
            let step = self.writer.submit(|txn| txn.clean_expired(writer::EXPIRY_STEP)).await?;
            removed += step as u64;
            if step < writer::EXPIRY_STEP {
                return Ok(removed);
            }
        }
    }

    /// Puts all that was acknowledged into the trees of the file now, where other programs find it, rather than in a moment.
    /// While that is not possible, it stays in the write-ahead log.
    ///
    /// # Errors
    /// [`StoreError::Busy`], [`StoreError::Closed`].
    #[doc(hidden)]
    pub async fn checkpoint(&self) -> Result<(), StoreError> {
        self.writer
            .submit(|txn| {
                txn.checkpoint = true;
                Ok(())
            })
            .await
    }

    /// Writes what has queued, then stops the writer. Later writes are refused, reads go on.
    pub fn close(&self) {
        self.writer.close();
    }
}
