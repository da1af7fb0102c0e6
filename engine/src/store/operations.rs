//! The operations of `spec/storage` §3 that write, inside one transaction.

use super::{
    commands::BYTES_OF_ACCOUNT,
    error::StoreError,
    layout::{self, KEY, Record, Revocation, Times, damaged},
    message::{ExpireMode, ExpireResult, NewMessage, Outcome, Room, Scope, Stored},
    tombstones::Tombstone,
    write_txn::{Done, WriteTxn},
};
use crate::types::{AccountId, MessageHash, Millis, Namespace};

/// Revocations that an account keeps.
const MAX_REVOKED: usize = 50;

impl WriteTxn<'_> {
    /// A client's message, or another member's copy of it; what was deleted since it was stored stays so.
    pub(super) fn put(&mut self, message: &NewMessage, room: &Room) -> Done<Stored> {
        self.guard(|txn| {
            let obsolete = Stored { outcome: Outcome::Obsolete, expiry: Millis(0) };
            let tombstone = txn.tombstone(message)?;
            if matches!(tombstone, Some(Tombstone::Closed)) {
                return Ok(obsolete);
            }
            let Some((changed, expiry)) = txn.fate(message)? else { return Ok(obsolete) };
            let stored = if (changed, expiry) == (message.changed, message.expiry) {
                txn.put_message(message, room)?
            } else {
                txn.put_message(&NewMessage { changed, expiry, ..message.clone() }, room)?
            };
            if let Some(Tombstone::Outlived(tombstone)) = tombstone {
                txn.open(&tombstone)?;
            }
            Ok(stored)
        })
    }

    /// A client's message that the swarm is still to be told of; its number when it is new.
    pub(super) fn put_as_coordinator(&mut self, message: &NewMessage, room: &Room) -> Done<(Stored, Option<u64>)> {
        let stored = self.put(message, room)?;
        let number = (stored.outcome == Outcome::New).then_some(self.sequence);
        if let Some(number) = number {
            let key = layout::key(&message.account, message.namespace, number);
            self.tables.in_flight.lock().insert(number, key);
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
        if let Some(key) = self.tables.find(&self.view, &message.account.0, &message.hash)? {
            let is_same = layout::namespace_of(&key) == message.namespace
                && self.tables.record(&self.view, &key)?.data == message.data;
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
        let mut usage = self.tables.usage(&self.view, &message.account.0)?;
        // What anybody may store takes no room from what the account signs.
        let held = usage.beside(message.namespace);
        let mut bytes = held.bytes.saturating_add(charge);
        // What is remembered of the account's commands counts, but they are added up only where it could matter.
        if !message.namespace.is_public_inbox() && bytes.saturating_add(BYTES_OF_ACCOUNT as u64) > room.account_bytes {
            bytes = bytes.saturating_add(self.tables.logged_of(&self.view, &message.account)?);
        }
        if bytes > room.account_bytes || held.messages >= room.account_messages {
            return Err(StoreError::AccountFull);
        }
        if !replaced.is_empty() {
            self.remove(&replaced)?;
            usage = self.tables.usage(&self.view, &message.account.0)?;
        }
        usage.add(message.namespace, charge);
        self.tables.data.put(&mut self.view, &message.account.0, &usage.encode())?;
        self.sequence += 1;
        let key = layout::key(&message.account, message.namespace, self.sequence);
        let NewMessage { hash, timestamp, expiry, stored, changed, .. } = *message;
        let record = Record { hash, timestamp, expiry, stored, changed, data: &message.data };
        self.tables.data.put(&mut self.view, &key, &record.encode())?;
        let hash_key = layout::hash_key(&message.account.0, &message.hash);
        self.tables.data.put(&mut self.view, &hash_key, layout::place_of(&key))?;
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
        self.guard(|txn| {
            let mut deleted = Vec::new();
            for hash in hashes {
                if let Some(key) = txn.tables.find(&txn.view, &account.0, hash)? {
                    let held = txn.times(&key)?;
                    if held.stored > at {
                        continue;
                    }
                    txn.remove(&[key])?;
                    txn.add_tombstone(account, hash, at, held.expiry)?;
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
        self.guard(|txn| {
            let (found, next) = txn.some(account, scope, from)?;
            for (key, hash, timestamp) in found {
                if before.is_none_or(|before| timestamp <= before) && txn.times(&key)?.stored <= at {
                    txn.remove(&[key])?;
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
        self.guard(|txn| {
            let (found, next) = txn.some(account, scope, from)?;
            for (key, hash, _) in found {
                if txn.is_large() {
                    return Ok(Some(key));
                }
                let held = txn.times(&key)?;
                if held.expiry > expiry && held.changed <= at {
                    txn.set_times(&key, Times { expiry, changed: at, ..held })?;
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
        self.guard(|txn| {
            let mut result = ExpireResult::default();
            for &(hash, wanted) in changes {
                let Some(key) = txn.tables.find(&txn.view, &account.0, &hash)? else { continue };
                let record = txn.tables.record(&txn.view, &key)?;
                let held = record.times();
                let change = held.changed <= at && txn.changes(mode, record.timestamp, held.expiry, wanted);
                let expiry = if change { wanted } else { held.expiry };
                // Noted where nothing changes, too: what another member makes of it may differ.
                txn.set_times(&key, Times { expiry, changed: held.changed.max(at), ..held })?;
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
        self.guard(|txn| {
            let mut count = 0;
            for token in tokens {
                let key = layout::revoked_key(account, token);
                let before = txn.tables.revoked.get(&txn.view, &key)?.and_then(Revocation::decode);
                if before.is_none_or(|before| before.at <= at) {
                    count += u64::from(before.is_some_and(|before| before.in_force) != revoked);
                    let now = Revocation { at, in_force: revoked };
                    txn.tables.revoked.put(&mut txn.view, &key, &now.encode())?;
                }
            }
            let mut kept: [Vec<(Millis, Vec<u8>)>; 2] = Default::default();
            for entry in txn.tables.revoked.prefix_iter(&txn.view, &account.0)? {
                let (key, value) = entry?;
                let Revocation { at, in_force } = Revocation::decode(value).ok_or_else(damaged)?;
                kept[usize::from(in_force)].push((at, key.to_vec()));
            }
            for kept in &mut kept {
                kept.sort_unstable();
                for (_, key) in kept.iter().rev().skip(MAX_REVOKED) {
                    txn.tables.revoked.delete(&mut txn.view, key)?;
                }
            }
            Ok(count)
        })
    }

    /// Removes up to `step` expired messages, the longest expired first.
    pub(super) fn clean_expired(&mut self, step: usize) -> Done<usize> {
        self.guard(|txn| {
            let mut expired = Vec::new();
            for entry in txn.tables.expiries.iter(&txn.view)?.take(step) {
                let (at, key) = layout::expiring(entry?).ok_or_else(damaged)?;
                if at > txn.expiring {
                    break;
                }
                expired.push(key);
            }
            txn.remove(&expired)?;
            txn.clean_tombstones(step)?;
            txn.clean_commands(step)?;
            txn.expired += expired.len();
            Ok(expired.len())
        })
    }
}
