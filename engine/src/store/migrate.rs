//! Directories of older formats become format 6 when they are opened, in steps: one that is cut off goes on at the next
//! start. Format 5 had no `times`, format 4 counted no messages in inboxes (`Tables::usage` does where that is missing), format 3 had no write-ahead log.
//!
//! Formats 1 and 2 had a table for each of the things that `data` holds now:
//!
//! | table | key | value |
//! |---|---|---|
//! | `messages` | account 33, namespace 2 (sign bit flipped), sequence 8 | hash 32, timestamp 8, expiry 8, in format 2 with its top bit set and then stored 8, changed 8; data |
//! | `by_hash` | hash 32 | key in `messages` |
//! | `by_expiry` | expiry 8, sequence 8 | key in `messages` |
//! | `accounts` | account 33 | bytes charged 8, messages 8 |
//!
//! In `missed`, kind 0 was a hash alone. Tombs of format 1 had no time of deletion, its revocations no second field.

use heed::{Database, RwTxn, types::Bytes};

use super::{
    error::StoreError,
    layout::{self, FORMAT, Meta, Record, Revocation, charge, damaged, u64_at},
    log::memtable::Table,
    tables::Tables,
};
use crate::types::{AccountId, MessageHash, Millis, Namespace};

/// Messages in one transaction.
const STEP: usize = 2000;
/// In the expiry of a message of format 2. No time has it.
const TIMES: u64 = 1 << 63;

type Tree = Database<Bytes, Bytes>;

/// The tables that are no more.
struct Older {
    messages: Tree,
    by_hash: Tree,
    rest: Vec<Tree>,
}

impl Older {
    fn open(tables: &Tables, txn: &RwTxn<'_>) -> Result<Option<Self>, StoreError> {
        let table = |name| tables.env.open_database(txn, Some(name));
        let (Some(messages), Some(by_hash)) = (table("messages")?, table("by_hash")?) else { return Ok(None) };
        let rest = [table("by_expiry")?, table("accounts")?].into_iter().flatten().collect();
        Ok(Some(Self { messages, by_hash, rest }))
    }

    /// What stays where it is, in the form that it has now.
    fn rewrite(&self, tables: &Tables, txn: &mut RwTxn<'_>) -> Result<(), StoreError> {
        let mut hint = Vec::new();
        for entry in tables.hints.iter(txn)? {
            let (key, value) = entry?;
            if let Some((when, hash)) = value.split_at_checked(8).filter(|(_, rest)| rest.first() == Some(&0)) {
                // One that is gone need not be told of.
                let account = self.by_hash.get(txn, &hash[1..])?.and_then(|key| key.get(..33));
                let now = account.map(|account| [when, &[0], account, &hash[1..]].concat());
                hint.push((key.to_vec(), now));
            }
        }
        for (key, now) in hint {
            match now {
                Some(value) => tables.hints.put(txn, &key, &value)?,
                None => tables.hints.delete(txn, &key)?,
            }
        }
        let short = |table: Table, txn: &RwTxn<'_>, length: usize, more: &[u8]| {
            let mut found = Vec::new();
            for entry in table.iter(txn)? {
                let (key, value) = entry?;
                if value.len() == length {
                    found.push((key.to_vec(), [value, more].concat()));
                }
            }
            Ok::<_, StoreError>(found)
        };
        // When it was deleted is not known: nothing that is brought can be later.
        for (key, value) in short(tables.tombstones, txn, 8, &u64::MAX.to_be_bytes())? {
            tables.tombstones.put(txn, &key, &value)?;
        }
        for (key, Revocation { at, in_force }) in short(tables.revoked, txn, 8, &[1])?
            .into_iter()
            .filter_map(|(key, value)| Some((key, Revocation::decode(&value)?)))
        {
            tables.revoked.put(txn, &key, &Revocation { at, in_force }.encode())?;
        }
        // A cursor is a key of the messages; a transfer may begin anew.
        let handoffs =
            tables.handoffs.iter(txn)?.map(|entry| Ok(entry?.0.to_vec())).collect::<Result<Vec<_>, StoreError>>()?;
        for key in handoffs {
            tables.handoffs.put(txn, &key, &[])?;
        }
        Ok(())
    }

    /// Moves some messages; false when there are none left.
    fn step(&self, tables: &Tables, txn: &mut RwTxn<'_>) -> Result<bool, StoreError> {
        let mut keys: Vec<[u8; 43]> = Vec::new();
        for entry in self.messages.iter(txn)?.take(STEP) {
            keys.push(entry?.0.try_into().map_err(|_| damaged())?);
        }
        let mut messages = tables.meta(txn, Meta::Messages)?;
        for old in &keys {
            let value = self.messages.get(txn, old)?.ok_or_else(damaged)?.to_vec();
            let record = decode(&value).ok_or_else(damaged)?;
            let account = AccountId(*old.first_chunk().ok_or_else(damaged)?);
            let namespace = Namespace((u16::from_be_bytes([old[33], old[34]]) ^ 0x8000).cast_signed());
            let key = layout::key(&account, namespace, u64_at(&old[35..]).ok_or_else(damaged)?);
            let (at, whose) = layout::expiry_entry(record.expiry, &key);
            let mut usage = tables.usage(txn, &account.0)?;
            usage.add(namespace, charge(record.data.len()));
            tables.data.put(txn, &account.0, &usage.encode())?;
            tables.data.put(txn, &key, &record.encode())?;
            tables.data.put(txn, &layout::hash_key(&account.0, &record.hash), layout::place_of(&key))?;
            tables.expiries.put(txn, &at, &whose)?;
            self.messages.delete(txn, old)?;
        }
        messages += keys.len() as u64;
        tables.set_meta(txn, Meta::Messages, messages)?;
        Ok(!keys.is_empty())
    }
}

/// A message of format 1 or 2.
fn decode(value: &[u8]) -> Option<Record<'_>> {
    let (hash, rest) = value.split_first_chunk::<32>()?;
    let (timestamp, rest) = rest.split_first_chunk::<8>()?;
    let (expiry, mut data) = rest.split_first_chunk::<8>()?;
    let (timestamp, expiry) = (u64::from_be_bytes(*timestamp), u64::from_be_bytes(*expiry));
    let (mut stored, mut changed) = (timestamp, timestamp);
    if expiry & TIMES != 0 {
        let (times, rest) = data.split_first_chunk::<16>()?;
        (stored, changed, data) = (u64_at(times)?, u64_at(&times[8..])?, rest);
    }
    let [timestamp, expiry, stored, changed] = [timestamp, expiry & !TIMES, stored, changed].map(Millis);
    Some(Record { hash: MessageHash(*hash), timestamp, expiry, stored, changed, data })
}

pub(super) fn to_present(tables: &Tables) -> Result<(), StoreError> {
    let mut txn = tables.env.write_txn()?;
    let found = tables.meta(&txn, Meta::Format)?;
    let Some(older) = Older::open(tables, &txn)? else {
        tables.set_meta(&mut txn, Meta::Format, FORMAT)?;
        return Ok(txn.commit()?);
    };
    if found < FORMAT {
        tracing::info!(found, now = FORMAT, messages = older.messages.len(&txn)?, "the store gets the present format");
        older.rewrite(tables, &mut txn)?;
        // From here on older versions stay away.
        tables.set_meta(&mut txn, Meta::Format, FORMAT)?;
    }
    txn.commit()?;
    loop {
        let mut txn = tables.env.write_txn()?;
        if older.step(tables, &mut txn)? {
            txn.commit()?;
            continue;
        }
        for table in older.rest.iter().copied().chain([older.by_hash, older.messages]) {
            // SAFETY: nobody else has these handles, and none is used again.
            unsafe { table.remove(&mut txn)? };
        }
        txn.commit()?;
        return Ok(());
    }
}
