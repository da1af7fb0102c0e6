//! The operations of `spec/storage` §3 that write, inside one transaction.

use heed::RwTxn;

use super::{
    StoreError,
    layout::{self, KEY, Meta, Record, Tables, Usage, damaged},
    tombs::UNKNOWN,
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
    /// The public outbox holds a newer one, which stays.
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

/// The answer to a change of expiries. Messages that are not there are in neither list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpireResult {
    /// Changed (with [`ExpireMode::Set`], all that are there) and the expiry asked for.
    pub updated: Vec<(MessageHash, Millis)>,
    /// Left as they were, with their expiry.
    pub unchanged: Vec<(MessageHash, Millis)>,
}

/// A write transaction with the counters it changes.
pub(super) struct Work<'e> {
    pub(super) tables: &'e Tables,
    pub(super) txn: RwTxn<'e>,
    now: Millis,
    sequence: u64,
    bytes: u64,
    /// Set when the database failed in the middle of an operation: nothing of this transaction may stay.
    failed: Option<StoreError>,
}

type Done<T> = Result<T, StoreError>;

impl<'e> Work<'e> {
    pub(super) fn new(tables: &'e Tables, txn: RwTxn<'e>, now: Millis) -> Done<Self> {
        let (sequence, bytes) = (tables.meta(&txn, Meta::Sequence)?, tables.meta(&txn, Meta::Bytes)?);
        Ok(Self { tables, txn, now, sequence, bytes, failed: None })
    }

    pub(super) fn commit(mut self) -> Done<()> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.tables.set_meta(&mut self.txn, Meta::Sequence, self.sequence)?;
        self.tables.set_meta(&mut self.txn, Meta::Bytes, self.bytes)?;
        let settled = self.tables.in_flight.lock().first().map_or(self.sequence, |first| first - 1);
        self.tables.set_meta(&mut self.txn, Meta::Settled, settled)?;
        Ok(self.txn.commit()?)
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

    /// A client's message.
    pub(super) fn put(&mut self, message: &NewMessage, room: &Room) -> Done<Stored> {
        self.guard(|work| {
            work.unbury(&message.account, &message.hash)?;
            work.put_message(message, room)
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

    /// Another node's copy of a message.
    pub(super) fn put_copy(&mut self, message: &NewMessage, room: &Room) -> Done<Stored> {
        self.guard(|work| {
            if work.is_buried(message)? {
                return Ok(Stored { outcome: Outcome::Obsolete, expiry: Millis(0) });
            }
            work.put_message(message, room)
        })
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
        if let Some(key) = self.find(&message.account, &message.hash)? {
            self.remove(&replaced)?;
            let expiry = self.expiry_at(&key)?;
            if expiry >= message.expiry {
                return Ok(Stored { outcome: Outcome::Exists, expiry });
            }
            self.set_expiry(&key, message.expiry)?;
            return Ok(Stored { outcome: Outcome::Extended, expiry: message.expiry });
        }
        let charge = layout::charge(message.data.len());
        if self.bytes.saturating_add(charge) > room.max_bytes {
            return Err(StoreError::Full);
        }
        let usage = self.tables.usage(&self.txn, &message.account.0)?;
        if usage.bytes.saturating_add(charge) > room.account_bytes || usage.messages >= room.account_messages {
            return Err(StoreError::AccountFull);
        }
        self.remove(&replaced)?;
        let usage = self.tables.usage(&self.txn, &message.account.0)?;
        let usage = Usage { bytes: usage.bytes + charge, messages: usage.messages + 1 };
        self.tables.accounts.put(&mut self.txn, &message.account.0, &usage.encode())?;
        self.sequence += 1;
        let key = layout::key(&message.account, message.namespace, self.sequence);
        let record =
            Record { hash: message.hash, timestamp: message.timestamp, expiry: message.expiry, data: &message.data };
        self.tables.messages.put(&mut self.txn, &key, &record.encode())?;
        self.tables.by_hash.put(&mut self.txn, &message.hash.0, &key)?;
        self.tables.by_expiry.put(&mut self.txn, &layout::expiry_key(message.expiry, &key), &key)?;
        self.bytes += charge;
        Ok(Stored { outcome: Outcome::New, expiry: message.expiry })
    }

    pub(super) fn delete(&mut self, account: &AccountId, hashes: &[MessageHash]) -> Done<Vec<MessageHash>> {
        self.guard(|work| {
            let (mut deleted, mut unknown) = (Vec::new(), 0);
            for hash in hashes {
                if let Some(key) = work.find(account, hash)? {
                    let expiry = work.expiry_at(&key)?;
                    work.remove(&[key])?;
                    work.bury(account, hash, Some(expiry))?;
                    deleted.push(*hash);
                } else if unknown < UNKNOWN {
                    // Another member may have it, and not know yet.
                    work.bury(account, hash, None)?;
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
    ) -> Done<Vec<(Namespace, MessageHash)>> {
        self.guard(|work| {
            work.clear(account, scope, before.unwrap_or(work.now))?;
            let mut found = work.list(account, scope)?;
            found.retain(|(_, _, timestamp)| before.is_none_or(|before| *timestamp <= before));
            let keys: Vec<_> = found.iter().map(|(key, ..)| *key).collect();
            work.remove(&keys)?;
            Ok(found.into_iter().map(|(key, hash, _)| (layout::namespace_of(&key), hash)).collect())
        })
    }

    pub(super) fn expire_all(
        &mut self,
        account: &AccountId,
        scope: Scope,
        expiry: Millis,
    ) -> Done<Vec<(Namespace, MessageHash)>> {
        self.guard(|work| {
            let mut updated = Vec::new();
            for (key, hash, _) in work.list(account, scope)? {
                if work.expiry_at(&key)? > expiry {
                    work.set_expiry(&key, expiry)?;
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
    ) -> Done<ExpireResult> {
        self.guard(|work| {
            let mut result = ExpireResult::default();
            for &(hash, wanted) in changes {
                let Some(key) = work.find(account, &hash)? else { continue };
                let current = work.expiry_at(&key)?;
                let change = match mode {
                    ExpireMode::Set => true,
                    ExpireMode::Extend => current < wanted,
                    ExpireMode::Shorten => current > wanted,
                };
                if change {
                    work.set_expiry(&key, wanted)?;
                    result.updated.push((hash, wanted));
                } else {
                    result.unchanged.push((hash, current));
                }
            }
            Ok(result)
        })
    }

    pub(super) fn revoke(&mut self, account: &AccountId, tokens: &[[u8; 36]]) -> Done<()> {
        self.guard(|work| {
            let now = work.now.0.to_be_bytes();
            for token in tokens {
                work.tables.revoked.put(&mut work.txn, &layout::revoked_key(account, token), &now)?;
            }
            let mut kept: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
            for entry in work.tables.revoked.prefix_iter(&work.txn, &account.0)? {
                let (key, time) = entry?;
                kept.push((time.to_vec(), key.to_vec()));
            }
            kept.sort_unstable();
            for (_, key) in kept.iter().rev().skip(MAX_REVOKED) {
                work.tables.revoked.delete(&mut work.txn, key)?;
            }
            Ok(())
        })
    }

    pub(super) fn unrevoke(&mut self, account: &AccountId, tokens: &[[u8; 36]]) -> Done<u64> {
        self.guard(|work| {
            let mut count = 0;
            for token in tokens {
                let key = layout::revoked_key(account, token);
                count += u64::from(work.tables.revoked.delete(&mut work.txn, &key)?);
            }
            Ok(count)
        })
    }

    /// Removes up to `step` expired messages, the longest expired first.
    pub(super) fn clean_expired(&mut self, step: usize) -> Done<usize> {
        self.guard(|work| {
            let mut expired = Vec::new();
            for entry in work.tables.by_expiry.iter(&work.txn)?.take(step) {
                let (at, key) = entry?;
                let at = at.first_chunk().map(|at| u64::from_be_bytes(*at)).ok_or_else(damaged)?;
                if Millis(at) > work.now {
                    break;
                }
                expired.push(key.try_into().map_err(|_| damaged())?);
            }
            work.remove(&expired)?;
            work.clean_tombs(step)?;
            Ok(expired.len())
        })
    }

    /// The key of the message with this hash, if it is `account`'s.
    fn find(&self, account: &AccountId, hash: &MessageHash) -> Done<Option<[u8; KEY]>> {
        let Some(key) = self.tables.by_hash.get(&self.txn, &hash.0)? else { return Ok(None) };
        let key: [u8; KEY] = key.try_into().map_err(|_| damaged())?;
        Ok(key.starts_with(&account.0).then_some(key))
    }

    fn list(&self, account: &AccountId, scope: Scope) -> Done<Vec<([u8; KEY], MessageHash, Millis)>> {
        let one;
        let prefix: &[u8] = match scope {
            Scope::One(namespace) => {
                one = layout::prefix(account, namespace);
                &one
            }
            Scope::All => &account.0,
        };
        let mut found = Vec::new();
        for entry in self.tables.messages.prefix_iter(&self.txn, prefix)? {
            let (key, value) = entry?;
            let record = Record::decode(value).ok_or_else(damaged)?;
            found.push((key.try_into().map_err(|_| damaged())?, record.hash, record.timestamp));
        }
        Ok(found)
    }

    fn expiry_at(&self, key: &[u8; KEY]) -> Done<Millis> {
        let value = self.tables.messages.get(&self.txn, key)?.ok_or_else(damaged)?;
        Ok(Record::decode(value).ok_or_else(damaged)?.expiry)
    }

    fn set_expiry(&mut self, key: &[u8; KEY], expiry: Millis) -> Done<()> {
        let value = self.tables.messages.get(&self.txn, key)?.ok_or_else(damaged)?;
        let record = Record::decode(value).ok_or_else(damaged)?;
        let (old, new) = (record.expiry, Record { expiry, ..record }.encode());
        self.tables.messages.put(&mut self.txn, key, &new)?;
        self.tables.by_expiry.delete(&mut self.txn, &layout::expiry_key(old, key))?;
        Ok(self.tables.by_expiry.put(&mut self.txn, &layout::expiry_key(expiry, key), key)?)
    }

    pub(super) fn remove(&mut self, keys: &[[u8; KEY]]) -> Done<()> {
        for key in keys {
            let value = self.tables.messages.get(&self.txn, key)?.ok_or_else(damaged)?;
            let record = Record::decode(value).ok_or_else(damaged)?;
            let (hash, expiry, charge) = (record.hash, record.expiry, layout::charge(record.data.len()));
            self.tables.messages.delete(&mut self.txn, key)?;
            self.tables.by_hash.delete(&mut self.txn, &hash.0)?;
            self.tables.by_expiry.delete(&mut self.txn, &layout::expiry_key(expiry, key))?;
            self.bytes = self.bytes.saturating_sub(charge);
            let account: &[u8; 33] = key.first_chunk().ok_or_else(damaged)?;
            let usage = self.tables.usage(&self.txn, account)?;
            if usage.messages <= 1 {
                self.tables.accounts.delete(&mut self.txn, account)?;
            } else {
                let usage = Usage { bytes: usage.bytes.saturating_sub(charge), messages: usage.messages - 1 };
                self.tables.accounts.put(&mut self.txn, account, &usage.encode())?;
            }
        }
        Ok(())
    }
}
