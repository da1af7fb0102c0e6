//! The operations of `spec/storage` §3 that write, inside one transaction.

use std::{ops::Bound, sync::atomic::Ordering};

use super::{
    StoreError,
    commands::BYTES_OF_ACCOUNT,
    layout::{self, KEY, Meta, Record, Revocation, Times, damaged},
    recent::{Changes, View},
    shares::Taken,
    tables::{Left, Tables},
    tombs::Tomb,
};
use crate::{
    clock::Clock,
    types::{AccountId, MAX_LIFETIME, MessageHash, Millis, Namespace},
};

/// Revocations that an account keeps.
const MAX_REVOKED: usize = 50;

/// Messages that one transaction goes through for a request that concerns all of an account.
const STEP: usize = 2000;
/// Bytes of changes after which a transaction takes no more requests.
const LARGE: usize = 4 << 20;

/// How much there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Of all accounts together.
    pub(super) max_bytes: u64,
    /// Of one account, in its public inboxes, and as much again elsewhere.
    pub(super) account_bytes: u64,
    /// Likewise.
    pub(super) account_messages: u64,
}

/// A message to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// Whose it is.
    pub account: AccountId,
    /// Where in the account.
    pub namespace: Namespace,
    /// Its hash, as [`MessageHash::of`] computes it; or what another node calls it, where that is the hash in no namespace
    /// that could be found.
    pub hash: MessageHash,
    /// When the sender says it was sent.
    pub timestamp: Millis,
    /// When it goes.
    pub expiry: Millis,
    /// When the swarm took it from a client ([`super::Store::stamp`]); the timestamp, where that is not known.
    pub stored: Millis,
    /// When its expiry was last changed.
    pub changed: Millis,
    /// What it says.
    pub data: Vec<u8>,
}

impl NewMessage {
    /// Whether its hash is that of its content, and not only what another node calls it.
    fn is_proven(&self) -> bool {
        MessageHash::of(&self.account, self.namespace, &self.data) == self.hash
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was not there.
    New,
    /// It was there; its expiry is later now.
    Extended,
    /// It was there and stays as it was.
    Exists,
    /// It was deleted since, or the public outbox holds a newer one.
    Obsolete,
}

/// The answer to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What became of the message.
    pub outcome: Outcome,
    /// The expiry now in force; zero for [`Outcome::Obsolete`].
    pub expiry: Millis,
}

/// One namespace of an account, or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// This one.
    One(Namespace),
    /// Every one.
    All,
}

/// Which expiries a change may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpireMode {
    /// All.
    Set,
    /// Earlier ones.
    Extend,
    /// Later ones.
    Shorten,
}

/// An extension by less than this part of a message's lifetime is a small one.
const SMALL: u64 = 100;

/// Whether `wanted` is only a little later than `current`, for a message sent at `timestamp`.
const fn is_small_extension(timestamp: Millis, current: Millis, wanted: Millis) -> bool {
    let (lifetime, longer) = (current.0.saturating_sub(timestamp.0), wanted.0.saturating_sub(current.0));
    let lifetime = if lifetime < MAX_LIFETIME { lifetime } else { MAX_LIFETIME };
    longer > 0 && longer.saturating_mul(SMALL) < lifetime
}

impl ExpireMode {
    /// Whether a message that goes at `current` is to go at `wanted` instead.
    fn changes(self, current: Millis, wanted: Millis) -> bool {
        match self {
            Self::Set => true,
            Self::Extend => current < wanted,
            Self::Shorten => current > wanted,
        }
    }
}

/// The answer to a change of expiries. Messages that are not there are in neither list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpireResult {
    /// Changed (with [`ExpireMode::Set`], all that are there but for small extensions where these are ignored) and the expiry
    /// asked for.
    pub updated: Vec<(MessageHash, Millis)>,
    /// Left as they were, with their expiry.
    pub unchanged: Vec<(MessageHash, Millis)>,
}

/// A transaction with the counters it changes.
pub(super) struct Work<'e> {
    pub(super) tables: &'e Tables,
    pub(super) txn: View<'e>,
    /// All that is acknowledged is to be in the trees before the answers go.
    pub(super) settle: bool,
    /// What it leaves to accounts of what is shared among them.
    pub(super) taken: Taken,
    /// Messages removed because their time was over.
    pub(super) expired: usize,
    now: Millis,
    /// What goes by then has gone.
    expiring: Millis,
    sequence: u64,
    bytes: u64,
    messages: u64,
    /// Messages have no more room.
    tight: bool,
    /// Nor has what is remembered of changes: only deletions and expiry go on.
    pub(super) exhausted: bool,
    /// Set when the database failed in the middle of an operation: nothing of this transaction may stay.
    failed: Option<StoreError>,
}

type Done<T> = Result<T, StoreError>;
/// Key, hash and timestamp of a message.
type Listed = ([u8; KEY], MessageHash, Millis);

impl<'e> Work<'e> {
    pub(super) fn new(tables: &'e Tables, clock: &Clock) -> Done<Self> {
        let txn = tables.view()?;
        let (sequence, bytes) = (tables.meta(&txn, Meta::Sequence)?, tables.meta(&txn, Meta::Bytes)?);
        let (messages, left) = (tables.meta(&txn, Meta::Messages)?, tables.left()?);
        let (tight, exhausted) = (left == Left::Little, left == Left::Nothing);
        let tight = tight || exhausted;
        Ok(Self {
            tables,
            txn,
            settle: tight,
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
        self.tables.set_meta(&mut self.txn, Meta::Sequence, self.sequence)?;
        self.tables.set_meta(&mut self.txn, Meta::Bytes, self.bytes)?;
        self.tables.set_meta(&mut self.txn, Meta::Messages, self.messages)?;
        let settled = self.tables.in_flight.lock().first().map_or(self.sequence, |first| first - 1);
        self.tables.set_meta(&mut self.txn, Meta::Settled, settled)?;
        let latest = self.tables.latest.load(Ordering::Relaxed);
        self.tables.set_meta(&mut self.txn, Meta::Latest, latest)?;
        Ok(self.txn.into_changes())
    }

    /// Whether it is time to write what was done.
    pub(super) const fn is_large(&self) -> bool {
        self.txn.bytes() >= LARGE
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

    /// A client's message, or another member's copy of it; what was deleted since it was stored stays so.
    pub(super) fn put(&mut self, message: &NewMessage, room: &Room) -> Done<Stored> {
        self.guard(|work| {
            let obsolete = Stored { outcome: Outcome::Obsolete, expiry: Millis(0) };
            let tomb = work.tomb(message)?;
            if matches!(tomb, Some(Tomb::Closed)) {
                return Ok(obsolete);
            }
            let Some((changed, expiry)) = work.fate(message)? else { return Ok(obsolete) };
            let stored = if (changed, expiry) == (message.changed, message.expiry) {
                work.put_message(message, room)?
            } else {
                work.put_message(&NewMessage { changed, expiry, ..message.clone() }, room)?
            };
            if let Some(Tomb::Outlived(tomb)) = tomb {
                work.open(&tomb)?;
            }
            Ok(stored)
        })
    }

    /// A client's message that the swarm is still to be told of; its number when it is new.
    pub(super) fn put_first(&mut self, message: &NewMessage, room: &Room) -> Done<(Stored, Option<u64>)> {
        let stored = self.put(message, room)?;
        let number = (stored.outcome == Outcome::New).then_some(self.sequence);
        if let Some(number) = number {
            self.tables.in_flight.lock().insert(number);
        }
        Ok((stored, number))
    }

    fn put_message(&mut self, message: &NewMessage, room: &Room) -> Done<Stored> {
        let mut replaced = Vec::new();
        if message.namespace.is_public_outbox() {
            for (key, hash, timestamp) in self.list(&message.account, Scope::One(message.namespace))? {
                if hash == message.hash {
                    continue;
                }
                // Of two with one timestamp the one that was stored later, on every member.
                let rank = (timestamp, self.times(&key)?.stored, hash);
                if rank >= (message.timestamp, message.stored, message.hash) {
                    return Ok(Stored { outcome: Outcome::Obsolete, expiry: Millis(0) });
                }
                replaced.push(key);
            }
        }
        if let Some(key) = self.tables.find(&self.txn, &message.account.0, &message.hash)? {
            let is_same = layout::namespace_of(&key) == message.namespace
                && self.tables.record(&self.txn, &key)?.data == message.data;
            if is_same || !message.is_proven() {
                self.remove(&replaced)?;
                return self.merge(&key, message);
            }
            // Another node has called something else so.
            replaced.push(key);
        }
        let charge = layout::charge(message.data.len());
        if self.tight || self.bytes.saturating_add(charge) > room.max_bytes {
            return Err(StoreError::Full);
        }
        let mut usage = self.tables.usage(&self.txn, &message.account.0)?;
        // What anybody may store takes no room from what the account signs.
        let held = usage.beside(message.namespace);
        let mut bytes = held.bytes.saturating_add(charge);
        // What is remembered of the account's commands counts, but they are added up only where it could matter.
        if !message.namespace.is_public_inbox() && bytes.saturating_add(BYTES_OF_ACCOUNT as u64) > room.account_bytes {
            bytes = bytes.saturating_add(self.tables.logged_of(&self.txn, &message.account)?);
        }
        if bytes > room.account_bytes || held.messages >= room.account_messages {
            return Err(StoreError::AccountFull);
        }
        if !replaced.is_empty() {
            self.remove(&replaced)?;
            usage = self.tables.usage(&self.txn, &message.account.0)?;
        }
        usage.add(message.namespace, charge);
        self.tables.data.put(&mut self.txn, &message.account.0, &usage.encode())?;
        self.sequence += 1;
        let key = layout::key(&message.account, message.namespace, self.sequence);
        let NewMessage { hash, timestamp, expiry, stored, changed, .. } = *message;
        let record = Record { hash, timestamp, expiry, stored, changed, data: &message.data };
        self.tables.data.put(&mut self.txn, &key, &record.encode())?;
        let hash_key = layout::hash_key(&message.account.0, &message.hash);
        self.tables.data.put(&mut self.txn, &hash_key, layout::place_of(&key))?;
        self.put_expiry(message.expiry, &key)?;
        self.bytes += charge;
        self.messages += 1;
        Ok(Stored { outcome: Outcome::New, expiry: message.expiry })
    }

    /// The same message again. The later change of its expiry counts. One that shortens its life needs a client's command;
    /// one that lengthens it does not.
    fn merge(&mut self, key: &[u8; KEY], message: &NewMessage) -> Done<Stored> {
        let held = self.times(key)?;
        let unchanged = held.changed == held.stored;
        let untimed = message.changed == message.timestamp;
        let later = (message.changed, message.expiry) > (held.changed, held.expiry);
        let longer = message.expiry > held.expiry;
        let mut merged = held;
        merged.stored = held.stored.max(message.stored);
        if later && (longer || message.expiry == held.expiry || self.has_command(&message.account, message.changed)?) {
            (merged.changed, merged.expiry) = (message.changed, message.expiry);
        } else if longer && untimed && unchanged {
            merged.expiry = message.expiry;
        }
        if merged != held {
            self.set_times(key, merged)?;
        }
        let outcome = if merged.expiry > held.expiry { Outcome::Extended } else { Outcome::Exists };
        Ok(Stored { outcome, expiry: merged.expiry })
    }

    pub(super) fn delete(&mut self, account: &AccountId, hashes: &[MessageHash], at: Millis) -> Done<Vec<MessageHash>> {
        self.guard(|work| {
            let mut deleted = Vec::new();
            for hash in hashes {
                if let Some(key) = work.tables.find(&work.txn, &account.0, hash)? {
                    let held = work.times(&key)?;
                    if held.stored > at {
                        continue;
                    }
                    work.remove(&[key])?;
                    work.bury(account, hash, at, held.expiry)?;
                    deleted.push(*hash);
                }
                // One that another member may have, and not know yet, is named by the command in the log.
            }
            Ok(deleted)
        })
    }

    /// Removes some of the messages in `scope`, or of those with a timestamp up to `before`, from `from` on; where to go on,
    /// if that was not all.
    pub(super) fn delete_all(
        &mut self,
        (account, scope): (&AccountId, Scope),
        before: Option<Millis>,
        at: Millis,
        from: Option<[u8; KEY]>,
        removed: &mut Vec<(Namespace, MessageHash)>,
    ) -> Done<Option<[u8; KEY]>> {
        self.guard(|work| {
            let (found, next) = work.some(account, scope, from)?;
            for (key, hash, timestamp) in found {
                if before.is_none_or(|before| timestamp <= before) && work.times(&key)?.stored <= at {
                    work.remove(&[key])?;
                    removed.push((layout::namespace_of(&key), hash));
                }
            }
            Ok(next)
        })
    }

    /// Lowers the expiries of some messages, as [`Self::delete_all`] removes them.
    pub(super) fn expire_all(
        &mut self,
        (account, scope): (&AccountId, Scope),
        expiry: Millis,
        at: Millis,
        from: Option<[u8; KEY]>,
        updated: &mut Vec<(Namespace, MessageHash)>,
    ) -> Done<Option<[u8; KEY]>> {
        self.guard(|work| {
            let (found, next) = work.some(account, scope, from)?;
            for (key, hash, _) in found {
                if work.is_large() {
                    return Ok(Some(key));
                }
                let held = work.times(&key)?;
                if held.expiry > expiry && held.changed <= at {
                    work.set_times(&key, Times { expiry, changed: at, ..held })?;
                    updated.push((layout::namespace_of(&key), hash));
                }
            }
            Ok(next)
        })
    }

    pub(super) fn expire(
        &mut self,
        account: &AccountId,
        changes: &[(MessageHash, Millis)],
        mode: ExpireMode,
        at: Millis,
    ) -> Done<ExpireResult> {
        self.guard(|work| {
            let mut result = ExpireResult::default();
            for &(hash, wanted) in changes {
                let Some(key) = work.tables.find(&work.txn, &account.0, &hash)? else { continue };
                let record = work.tables.record(&work.txn, &key)?;
                let held = record.times();
                let change = held.changed <= at && work.changes(mode, record.timestamp, held.expiry, wanted);
                let expiry = if change { wanted } else { held.expiry };
                // Noted where nothing changes, too: what another member makes of it may differ.
                work.set_times(&key, Times { expiry, changed: held.changed.max(at), ..held })?;
                if change {
                    result.updated.push((hash, wanted));
                } else {
                    result.unchanged.push((hash, held.expiry));
                }
            }
            Ok(result)
        })
    }

    /// Revokes tokens, or takes that back (`revoked` false); how many that changed.
    pub(super) fn set_revoked(
        &mut self,
        account: &AccountId,
        tokens: &[[u8; 36]],
        revoked: bool,
        at: Millis,
    ) -> Done<u64> {
        self.guard(|work| {
            let mut count = 0;
            for token in tokens {
                let key = layout::revoked_key(account, token);
                let before = work.tables.revoked.get(&work.txn, &key)?.and_then(Revocation::decode);
                if before.is_none_or(|before| before.at <= at) {
                    count += u64::from(before.is_some_and(|before| before.in_force) != revoked);
                    let now = Revocation { at, in_force: revoked };
                    work.tables.revoked.put(&mut work.txn, &key, &now.encode())?;
                }
            }
            let mut kept: [Vec<(Millis, Vec<u8>)>; 2] = Default::default();
            for entry in work.tables.revoked.prefix_iter(&work.txn, &account.0)? {
                let (key, value) = entry?;
                let Revocation { at, in_force } = Revocation::decode(value).ok_or_else(damaged)?;
                kept[usize::from(in_force)].push((at, key.to_vec()));
            }
            for kept in &mut kept {
                kept.sort_unstable();
                for (_, key) in kept.iter().rev().skip(MAX_REVOKED) {
                    work.tables.revoked.delete(&mut work.txn, key)?;
                }
            }
            Ok(count)
        })
    }

    /// Writes something, so that it is known whether that can be done.
    pub(super) fn try_out(&mut self) -> Done<()> {
        let now = self.now.0;
        self.guard(|work| work.tables.set_meta(&mut work.txn, Meta::Tried, now))
    }

    /// Removes up to `step` expired messages, the longest expired first.
    pub(super) fn clean_expired(&mut self, step: usize) -> Done<usize> {
        self.guard(|work| {
            let mut expired = Vec::new();
            for entry in work.tables.expiries.iter(&work.txn)?.take(step) {
                let (at, key) = layout::expiring(entry?).ok_or_else(damaged)?;
                if at > work.expiring {
                    break;
                }
                expired.push(key);
            }
            work.remove(&expired)?;
            work.clean_tombs(step)?;
            work.clean_commands(step)?;
            work.expired += expired.len();
            Ok(expired.len())
        })
    }

    /// The messages in `scope`.
    fn list(&self, account: &AccountId, scope: Scope) -> Done<Vec<Listed>> {
        self.listed(account, scope, None, usize::MAX)
    }

    /// Some of the messages in `scope`, the first of them at `from`, and where the others begin.
    fn some(
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
        for entry in self.tables.data.range(&self.txn, &range)?.take(most) {
            let (key, value) = entry?;
            let record = Record::decode(value).ok_or_else(damaged)?;
            found.push((key.try_into().map_err(|_| damaged())?, record.hash, record.timestamp));
        }
        Ok(found)
    }

    fn times(&self, key: &[u8; KEY]) -> Done<Times> {
        Ok(self.tables.record(&self.txn, key)?.times())
    }

    fn set_times(&mut self, key: &[u8; KEY], times: Times) -> Done<()> {
        let held = self.times(key)?;
        if held == times {
            return Ok(());
        }
        self.tables.times.put(&mut self.txn, key, &times.encode())?;
        if held.expiry == times.expiry {
            return Ok(());
        }
        self.remove_expiry(held.expiry, key)?;
        self.put_expiry(times.expiry, key)
    }

    fn put_expiry(&mut self, expiry: Millis, key: &[u8; KEY]) -> Done<()> {
        let (at, whose) = layout::expiry_entry(expiry, key);
        self.tables.expiries.put(&mut self.txn, &at, &whose)
    }

    fn remove_expiry(&mut self, expiry: Millis, key: &[u8; KEY]) -> Done<()> {
        self.tables.expiries.delete(&mut self.txn, &layout::expiry_entry(expiry, key).0)
    }

    pub(super) fn remove(&mut self, keys: &[[u8; KEY]]) -> Done<()> {
        for key in keys {
            let record = self.tables.record(&self.txn, key)?;
            let (hash, expiry, charge) = (record.hash, record.expiry, layout::charge(record.data.len()));
            let account = layout::account_of(key);
            let mut usage = self.tables.usage(&self.txn, &account)?;
            self.tables.data.delete(&mut self.txn, key)?;
            if self.tables.times.get(&self.txn, key)?.is_some() {
                self.tables.times.delete(&mut self.txn, key)?;
            }
            self.tables.data.delete(&mut self.txn, &layout::hash_key(&account, &hash))?;
            self.remove_expiry(expiry, key)?;
            self.bytes = self.bytes.saturating_sub(charge);
            self.messages = self.messages.saturating_sub(1);
            if usage.all.messages <= 1 {
                self.tables.data.delete(&mut self.txn, &account)?;
            } else {
                usage.remove(layout::namespace_of(key), charge);
                self.tables.data.put(&mut self.txn, &account, &usage.encode())?;
            }
        }
        Ok(())
    }
}
