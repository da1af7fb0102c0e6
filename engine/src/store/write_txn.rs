//! Write transactions: what one batch of requests changes, over what was there when it began, and the counters that go with
//! it.

use std::{ops::Bound, sync::atomic::Ordering};

use super::{
    error::StoreError,
    layout::{self, KEY, Meta, Record, Times, damaged},
    log::memtable::{Changes, View},
    message::{ExpireMode, Scope, is_small_extension},
    shares::Taken,
    tables::{Left, Tables},
};
use crate::{
    clock::Clock,
    types::{AccountId, MessageHash, Millis, Namespace},
};

/// Messages that one transaction goes through for a request that concerns all of an account.
const STEP: usize = 2000;
/// Bytes of changes after which a transaction takes no more requests.
const LARGE: usize = 4 << 20;

/// A transaction with the counters it changes.
pub(super) struct WriteTxn<'e> {
    pub(super) tables: &'e Tables,
    pub(super) view: View<'e>,
    /// All that is acknowledged is to be in the trees before the answers go.
    pub(super) checkpoint: bool,
    /// What it leaves to accounts of what is shared among them.
    pub(super) taken: Taken,
    /// Messages removed because their time was over.
    pub(super) expired: usize,
    pub(super) now: Millis,
    /// What goes by then has gone.
    pub(super) expiring: Millis,
    pub(super) sequence: u64,
    pub(super) bytes: u64,
    pub(super) messages: u64,
    /// Messages have no more room.
    pub(super) tight: bool,
    /// Nor has what is remembered of changes: only deletions and expiry go on.
    pub(super) exhausted: bool,
    /// Set when the database failed in the middle of an operation: nothing of this transaction may stay.
    failed: Option<StoreError>,
}

pub(super) type Done<T> = Result<T, StoreError>;
/// Key, hash and timestamp of a message.
type Listed = ([u8; KEY], MessageHash, Millis);

impl<'e> WriteTxn<'e> {
    pub(super) fn new(tables: &'e Tables, clock: &Clock) -> Done<Self> {
        let view = tables.view()?;
        let (sequence, bytes) = (tables.meta(&view, Meta::Sequence)?, tables.meta(&view, Meta::Bytes)?);
        let (messages, left) = (tables.meta(&view, Meta::Messages)?, tables.left()?);
        let (tight, exhausted) = (left == Left::Little, left == Left::Nothing);
        let tight = tight || exhausted;
        Ok(Self {
            tables,
            view,
            checkpoint: tight,
            taken: Taken::default(),
            expired: 0,
            now: clock.now(),
            expiring: clock.expiring(),
            sequence,
            bytes,
            messages,
            tight,
            exhausted,
            failed: None,
        })
    }

    /// What has changed, counters included.
    pub(super) fn finish(mut self) -> Done<Changes> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.tables.set_meta(&mut self.view, Meta::Sequence, self.sequence)?;
        self.tables.set_meta(&mut self.view, Meta::Bytes, self.bytes)?;
        self.tables.set_meta(&mut self.view, Meta::Messages, self.messages)?;
        let replicated = self.tables.in_flight.lock().keys().next().map_or(self.sequence, |first| first - 1);
        self.tables.set_meta(&mut self.view, Meta::Replicated, replicated)?;
        let latest = self.tables.latest.load(Ordering::Relaxed);
        self.tables.set_meta(&mut self.view, Meta::Latest, latest)?;
        Ok(self.view.into_changes())
    }

    /// Whether it is time to write what was done.
    pub(super) const fn is_large(&self) -> bool {
        self.view.bytes() >= LARGE
    }

    /// Whether a message that was sent at `timestamp`, and goes at `current`, is to go at `wanted` instead.
    pub(super) fn changes(&self, mode: ExpireMode, timestamp: Millis, current: Millis, wanted: Millis) -> bool {
        let stays = self.tables.ignores_small_extensions && is_small_extension(timestamp, current, wanted);
        mode.changes(current, wanted) && !stays
    }

    pub(super) const fn now(&self) -> Millis {
        self.now
    }

    pub(super) const fn expiring(&self) -> Millis {
        self.expiring
    }

    /// Runs `operation` unless the transaction is already lost; remembers when it loses it.
    pub(super) fn guard<T>(&mut self, operation: impl FnOnce(&mut Self) -> Done<T>) -> Done<T> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        operation(self).inspect_err(|error| {
            // These are said before anything is written.
            if !matches!(error, StoreError::Full | StoreError::AccountFull) {
                self.failed = Some(error.clone());
            }
        })
    }

    /// Writes something, so that it is known whether that can be done.
    pub(super) fn try_out(&mut self) -> Done<()> {
        let now = self.now.0;
        self.guard(|txn| txn.tables.set_meta(&mut txn.view, Meta::Tried, now))
    }

    /// The messages in `scope`.
    pub(super) fn list(&self, account: &AccountId, scope: Scope) -> Done<Vec<Listed>> {
        self.listed(account, scope, None, usize::MAX)
    }

    /// Some of the messages in `scope`, the first of them at `from`, and where the others begin.
    pub(super) fn some(
        &self,
        account: &AccountId,
        scope: Scope,
        from: Option<[u8; KEY]>,
    ) -> Done<(Vec<Listed>, Option<[u8; KEY]>)> {
        let mut found = self.listed(account, scope, from, STEP + 1)?;
        let next = if found.len() > STEP { found.pop().map(|(key, ..)| key) } else { None };
        Ok((found, next))
    }

    fn listed(&self, account: &AccountId, scope: Scope, from: Option<[u8; KEY]>, most: usize) -> Done<Vec<Listed>> {
        let (first, last) = match scope {
            Scope::One(namespace) => (layout::key(account, namespace, 0), layout::key(account, namespace, u64::MAX)),
            Scope::All => {
                (layout::key(account, Namespace(i16::MIN), 0), layout::key(account, Namespace(i16::MAX), u64::MAX))
            }
        };
        let first = from.map_or(first, |from| first.max(from));
        let mut found = Vec::new();
        let range = (Bound::Included(first.as_slice()), Bound::Included(last.as_slice()));
        for entry in self.tables.data.range(&self.view, &range)?.take(most) {
            let (key, value) = entry?;
            let record = Record::decode(value).ok_or_else(damaged)?;
            found.push((key.try_into().map_err(|_| damaged())?, record.hash, record.timestamp));
        }
        Ok(found)
    }

    pub(super) fn times(&self, key: &[u8; KEY]) -> Done<Times> {
        Ok(self.tables.record(&self.view, key)?.times())
    }

    pub(super) fn set_times(&mut self, key: &[u8; KEY], times: Times) -> Done<()> {
        let held = self.times(key)?;
        if held == times {
            return Ok(());
        }
        self.tables.times.put(&mut self.view, key, &times.encode())?;
        if held.expiry == times.expiry {
            return Ok(());
        }
        self.remove_expiry(held.expiry, key)?;
        self.put_expiry(times.expiry, key)
    }

    pub(super) fn put_expiry(&mut self, expiry: Millis, key: &[u8; KEY]) -> Done<()> {
        let (at, whose) = layout::expiry_entry(expiry, key);
        self.tables.expiries.put(&mut self.view, &at, &whose)
    }

    pub(super) fn remove_expiry(&mut self, expiry: Millis, key: &[u8; KEY]) -> Done<()> {
        self.tables.expiries.delete(&mut self.view, &layout::expiry_entry(expiry, key).0)
    }

    pub(super) fn remove(&mut self, keys: &[[u8; KEY]]) -> Done<()> {
        for key in keys {
            let record = self.tables.record(&self.view, key)?;
            let (hash, expiry, charge) = (record.hash, record.expiry, layout::charge(record.data.len()));
            let account = layout::account_of(key);
            let mut usage = self.tables.usage(&self.view, &account)?;
            self.tables.data.delete(&mut self.view, key)?;
            if self.tables.times.get(&self.view, key)?.is_some() {
                self.tables.times.delete(&mut self.view, key)?;
            }
            self.tables.data.delete(&mut self.view, &layout::hash_key(&account, &hash))?;
            self.remove_expiry(expiry, key)?;
            self.bytes = self.bytes.saturating_sub(charge);
            self.messages = self.messages.saturating_sub(1);
            if usage.all.messages <= 1 {
                self.tables.data.delete(&mut self.view, &account)?;
            } else {
                usage.remove(layout::namespace_of(key), charge);
                self.tables.data.put(&mut self.view, &account, &usage.encode())?;
            }
        }
        Ok(())
    }
}
