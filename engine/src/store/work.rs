//! The operations of `spec/storage` §3 that write, inside one transaction.

use std::sync::atomic::Ordering;

use super::{
    StoreError,
    layout::{self, KEY, Meta, Record, Revocation, Usage, damaged},
    recent::{Changes, View},
    tables::Tables,
    tombs::{Tomb, UNKNOWN},
};
use crate::types::{AccountId, MessageHash, Millis, Namespace};

/// Revocations that an account keeps.
const MAX_REVOKED: usize = 50;

/// How much there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Of all accounts together.
    pub(super) max_bytes: u64,
    /// Of one account.
    pub(super) account_bytes: u64,
    /// Of one account.
    pub(super) account_messages: u64,
}

/// A message to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// Whose it is.
    pub account: AccountId,
    /// Where in the account.
    pub namespace: Namespace,
    /// Its hash, as [`MessageHash::of`] computes it.
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

impl ExpireMode {
    /// Whether a message that goes at `current` is to go at `wanted` instead.
    pub(super) fn changes(self, current: Millis, wanted: Millis) -> bool {
        match self {
            Self::Set => true,
            Self::Extend => current < wanted,
            Self::Shorten => current > wanted,
        }
    }
}

/// What of a message changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    stored: Millis,
    changed: Millis,
    expiry: Millis,
}

/// The answer to a change of expiries. Messages that are not there are in neither list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpireResult {
    /// Changed (with [`ExpireMode::Set`], all that are there) and the expiry asked for.
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
    /// Messages removed because their time was over.
    pub(super) expired: usize,
    now: Millis,
    sequence: u64,
    bytes: u64,
    messages: u64,
    /// Only deletions have room.
    tight: bool,
    /// Set when the database failed in the middle of an operation: nothing of this transaction may stay.
    failed: Option<StoreError>,
}

type Done<T> = Result<T, StoreError>;

impl<'e> Work<'e> {
    pub(super) fn new(tables: &'e Tables, now: Millis) -> Done<Self> {
        let txn = tables.view()?;
        let (sequence, bytes) = (tables.meta(&txn, Meta::Sequence)?, tables.meta(&txn, Meta::Bytes)?);
        let (messages, tight) = (tables.meta(&txn, Meta::Messages)?, tables.is_tight()?);
        Ok(Self { tables, txn, settle: tight, expired: 0, now, sequence, bytes, messages, tight, failed: None })
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

    pub(super) const fn now(&self) -> Millis {
        self.now
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
                if timestamp >= message.timestamp {
                    return Ok(Stored { outcome: Outcome::Obsolete, expiry: Millis(0) });
                }
                replaced.push(key);
            }
        }
        if let Some(key) = self.tables.find(&self.txn, &message.account.0, &message.hash)? {
            self.remove(&replaced)?;
            return self.merge(&key, message);
        }
        let charge = layout::charge(message.data.len());
        if self.tight || self.bytes.saturating_add(charge) > room.max_bytes {
            return Err(StoreError::Full);
        }
        let usage = self.tables.usage(&self.txn, &message.account.0)?;
        if usage.bytes.saturating_add(charge) > room.account_bytes || usage.messages >= room.account_messages {
            return Err(StoreError::AccountFull);
        }
        let usage = if replaced.is_empty() {
            usage
        } else {
            self.remove(&replaced)?;
            self.tables.usage(&self.txn, &message.account.0)?
        };
        let usage = Usage { bytes: usage.bytes + charge, messages: usage.messages + 1 };
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
            let (mut deleted, mut unknown) = (Vec::new(), 0);
            for hash in hashes {
                if let Some(key) = work.tables.find(&work.txn, &account.0, hash)? {
                    let held = work.times(&key)?;
                    if held.stored > at {
                        continue;
                    }
                    work.remove(&[key])?;
                    work.bury(account, hash, at, Some(held.expiry))?;
                    deleted.push(*hash);
                } else if unknown < UNKNOWN {
                    // Another member may have it, and not know yet.
                    work.bury(account, hash, at, None)?;
                    unknown += 1;
                }
            }
            Ok(deleted)
        })
    }

    pub(super) fn delete_all(
        &mut self,
        account: &AccountId,
        scope: Scope,
        before: Option<Millis>,
        at: Millis,
    ) -> Done<Vec<(Namespace, MessageHash)>> {
        self.guard(|work| {
            let mut removed = Vec::new();
            for (key, hash, timestamp) in work.list(account, scope)? {
                if before.is_none_or(|before| timestamp <= before) && work.times(&key)?.stored <= at {
                    work.remove(&[key])?;
                    removed.push((layout::namespace_of(&key), hash));
                }
            }
            Ok(removed)
        })
    }

    pub(super) fn expire_all(
        &mut self,
        account: &AccountId,
        scope: Scope,
        expiry: Millis,
        at: Millis,
    ) -> Done<Vec<(Namespace, MessageHash)>> {
        self.guard(|work| {
            let mut updated = Vec::new();
            for (key, hash, _) in work.list(account, scope)? {
                let held = work.times(&key)?;
                if held.expiry > expiry && held.changed <= at {
                    work.set_times(&key, Times { expiry, changed: at, ..held })?;
                    updated.push((layout::namespace_of(&key), hash));
                }
            }
            Ok(updated)
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
                let held = work.times(&key)?;
                let change = held.changed <= at && mode.changes(held.expiry, wanted);
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

    /// Removes up to `step` expired messages, the longest expired first.
    pub(super) fn clean_expired(&mut self, step: usize) -> Done<usize> {
        self.guard(|work| {
            let mut expired = Vec::new();
            for entry in work.tables.expiries.iter(&work.txn)?.take(step) {
                let (at, key) = layout::expiring(entry?).ok_or_else(damaged)?;
                if at > work.now {
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

    fn list(&self, account: &AccountId, scope: Scope) -> Done<Vec<([u8; KEY], MessageHash, Millis)>> {
        let (one, all);
        let prefix: &[u8] = match scope {
            Scope::One(namespace) => {
                one = layout::prefix(account, namespace);
                &one
            }
            Scope::All => {
                all = layout::messages_of(account);
                &all
            }
        };
        let mut found = Vec::new();
        for entry in self.tables.data.prefix_iter(&self.txn, prefix)? {
            let (key, value) = entry?;
            let record = Record::decode(value).ok_or_else(damaged)?;
            found.push((key.try_into().map_err(|_| damaged())?, record.hash, record.timestamp));
        }
        Ok(found)
    }

    fn times(&self, key: &[u8; KEY]) -> Done<Times> {
        let Record { stored, changed, expiry, .. } = self.tables.record(&self.txn, key)?;
        Ok(Times { stored, changed, expiry })
    }

    fn set_times(&mut self, key: &[u8; KEY], Times { stored, changed, expiry }: Times) -> Done<()> {
        let record = self.tables.record(&self.txn, key)?;
        let (old, new) = (record.expiry, Record { stored, changed, expiry, ..record }.encode());
        self.tables.data.put(&mut self.txn, key, &new)?;
        if old == expiry {
            return Ok(());
        }
        self.remove_expiry(old, key)?;
        self.put_expiry(expiry, key)
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
            self.tables.data.delete(&mut self.txn, key)?;
            self.tables.data.delete(&mut self.txn, &layout::hash_key(&account, &hash))?;
            self.remove_expiry(expiry, key)?;
            self.bytes = self.bytes.saturating_sub(charge);
            self.messages = self.messages.saturating_sub(1);
            let usage = self.tables.usage(&self.txn, &account)?;
            if usage.messages <= 1 {
                self.tables.data.delete(&mut self.txn, &account)?;
            } else {
                let usage = Usage { bytes: usage.bytes.saturating_sub(charge), messages: usage.messages - 1 };
                self.tables.data.put(&mut self.txn, &account, &usage.encode())?;
            }
        }
        Ok(())
    }
}
