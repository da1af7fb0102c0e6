//! What other members of the swarm have missed, in the order in which it happened.

use std::{
    ops::Bound,
    sync::{Arc, atomic::Ordering},
};

use super::{
    commands::{self, Command},
    error::StoreError,
    layout::{self, KEY, Meta, damaged, expiring},
    log::memtable::{Reads, View, Writes},
    shares::Book,
    tables::Tables,
    write_txn::WriteTxn,
};
use crate::{
    holder::may_have_more,
    types::{AccountId, Ed25519PublicKey, MessageHash, Millis},
};

/// Something that a member has to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// A message of an account that is in the store (if it is not any more, nobody needs it).
    Message(AccountId, MessageHash),
    /// A client's command that is not in the log.
    Command(Command),
    /// The key of one that is in the log; if it is not any more, its account has let go of it.
    Logged([u8; commands::KEY]),
}

impl Hint {
    pub(super) fn encode(&self, now: Millis) -> Vec<u8> {
        let mut value = now.0.to_be_bytes().to_vec();
        match self {
            Self::Message(account, hash) => {
                value.push(0);
                value.extend_from_slice(&account.0);
                value.extend_from_slice(&hash.0);
            }
            Self::Command(command) => {
                value.push(1);
                value.extend_from_slice(&command.encode());
            }
            Self::Logged(key) => {
                value.push(2);
                value.extend_from_slice(key);
            }
        }
        value
    }

    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let (kind, rest) = value.get(8..)?.split_first()?;
        match kind {
            0 => {
                let (account, hash) = rest.split_first_chunk()?;
                Some(Self::Message(AccountId(*account), MessageHash(hash.try_into().ok()?)))
            }
            1 => Some(Self::Command(Command::decode(rest)?)),
            2 => Some(Self::Logged(rest.try_into().ok()?)),
            _ => None,
        }
    }
}

/// What was done, and the numbers of the entries for members that are to be told of it, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promised<T> {
    /// The result.
    pub done: T,
    /// Empty where nobody is.
    pub numbers: Vec<u64>,
}

/// A message that the swarm is still to be told of. Dropped before [`Self::told`], whatever the reason, it is among those
/// that [`super::Store::take_unreplicated`] gives next.
pub struct ReplicationGuard {
    tables: Arc<Tables>,
    /// The message's, if the message was new.
    number: Option<u64>,
    message: (AccountId, MessageHash),
}

impl ReplicationGuard {
    pub(super) const fn new(tables: Arc<Tables>, number: Option<u64>, message: (AccountId, MessageHash)) -> Self {
        Self { tables, number, message }
    }

    /// Whose message it is, and its hash.
    #[must_use]
    pub const fn message(&self) -> (AccountId, MessageHash) {
        self.message
    }

    /// Every member has been told, or is noted as one that has missed it.
    pub fn told(mut self) {
        if let Some(number) = self.number.take() {
            self.tables.in_flight.lock().remove(&number);
        }
    }
}

impl Drop for ReplicationGuard {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.tables.untold.lock().insert(number, self.message);
            self.tables.untold_came.notify_one();
        }
    }
}

/// In `meta`: an epoch of the write-ahead log, and the keys of those messages in flight when it ended.
const IN_FLIGHT: &[u8] = b"in_flight";
/// Keys in it, at most.
const LISTED: usize = 16_384;

/// What is in flight now, after the last transaction of `epoch`; `None` where that is too much for a list.
pub(super) fn in_flight(tables: &Tables, epoch: u64) -> Option<Vec<u8>> {
    let keys: Vec<_> = {
        let in_flight = tables.in_flight.lock();
        (in_flight.len() <= LISTED).then(|| in_flight.values().copied().collect())?
    };
    Some(list(epoch, &keys))
}

fn list(epoch: u64, keys: &[[u8; KEY]]) -> Vec<u8> {
    [&epoch.to_be_bytes(), keys.as_flattened()].concat()
}

impl Tables {
    /// Puts the list of [`in_flight`] beside the trees that have all of its epoch. Without one, the list there is of an epoch
    /// before, and no use.
    pub(super) fn put_in_flight(&self, txn: &mut impl Writes, list: Option<&[u8]>) -> Result<(), StoreError> {
        list.map_or(Ok(()), |list| self.meta.put(txn, IN_FLIGHT, list))
    }

    /// As [`Self::put_in_flight`], for what was listed in an epoch before and for the messages of those that followed.
    pub(super) fn put_replayed(
        &self,
        txn: &mut impl Writes,
        epoch: u64,
        mut keys: Vec<[u8; KEY]>,
    ) -> Result<(), StoreError> {
        let replicated = self.meta(txn, Meta::Replicated)?;
        keys.retain(|key| layout::sequence_of(key) > replicated);
        self.put_in_flight(txn, Some(&list(epoch, &keys)))
    }

    /// The messages in flight at the end of `epoch`, the last that is in the trees; `None` where they are not known.
    pub(super) fn listed(&self, txn: &impl Reads, epoch: u64) -> Result<Option<Vec<[u8; KEY]>>, StoreError> {
        match self.meta.get(txn, IN_FLIGHT)? {
            Some(list) => {
                let (of, keys) = list.split_first_chunk().ok_or_else(damaged)?;
                Ok((u64::from_be_bytes(*of) == epoch).then(|| keys.as_chunks().0.to_vec()))
            }
            // Nothing was checkpointed yet.
            None => Ok((self.meta(txn, Meta::Sequence)? == 0).then(Vec::new)),
        }
    }
}

/// Messages behind the mark that a crash has left are to be told again.
pub(super) fn recover(tables: &Tables) -> Result<(), StoreError> {
    let txn = tables.view()?;
    let (replicated, last) = (tables.meta(&txn, Meta::Replicated)?, tables.meta(&txn, Meta::Sequence)?);
    if replicated == last {
        return Ok(());
    }
    let keys = match tables.listed(&txn, tables.meta(&txn, Meta::Checkpointed)?)? {
        Some(keys) => keys,
        // A version that kept no mark.
        None if replicated == 0 => return Ok(()),
        // One that kept no list, or too much for it.
        None => all_behind(tables, &txn, replicated)?,
    };
    let (mut in_flight, mut untold) = (tables.in_flight.lock(), tables.untold.lock());
    for key in keys {
        let number = layout::sequence_of(&key);
        if number > replicated
            && let Some(record) = tables.message(&txn, &key)?
        {
            in_flight.insert(number, key);
            untold.insert(number, (AccountId(layout::account_of(&key)), record.hash));
        }
    }
    Ok(())
}

/// The keys of all messages behind the mark. Takes as long as there are messages.
fn all_behind(tables: &Tables, txn: &View<'_>, replicated: u64) -> Result<Vec<[u8; KEY]>, StoreError> {
    let mut keys = Vec::new();
    for entry in tables.expiries.iter(txn)? {
        let (_, key) = expiring(entry?).ok_or_else(damaged)?;
        if layout::sequence_of(&key) > replicated {
            keys.push(key);
        }
    }
    Ok(keys)
}

/// To whose share a value of `missed` counts; commands that are not in the log share one.
pub(super) fn account_of(value: &[u8]) -> &[u8] {
    match value.get(8..).and_then(<[u8]>::split_first) {
        Some((0 | 2, rest)) => rest.get(..33).unwrap_or_default(),
        _ => &[],
    }
}

pub(super) fn key(member: &Ed25519PublicKey, sequence: u64) -> [u8; 40] {
    let mut key = [0; 40];
    key[..32].copy_from_slice(&member.0);
    key[32..].copy_from_slice(&sequence.to_be_bytes());
    key
}

impl WriteTxn<'_> {
    /// The numbers of the entries, as many as there was room for.
    pub(super) fn add_hints(&mut self, members: &[Ed25519PublicKey], hint: &Hint) -> Result<Vec<u64>, StoreError> {
        let now = self.now();
        self.guard(|txn| {
            let mut added = Vec::new();
            let entry = hint.encode(now);
            let account = account_of(&entry);
            for member in members {
                let held = txn.tables.shares.held(Book::Hints, account, &txn.taken);
                let used = txn.tables.len(&txn.tables.hints, &txn.view);
                if txn.exhausted || !may_have_more(held, used, txn.tables.max_missed) {
                    break;
                }
                txn.tables.shares.note(Book::Hints, account, 1, &mut txn.taken);
                let sequence = txn.tables.meta(&txn.view, Meta::Hint)? + 1;
                txn.tables.set_meta(&mut txn.view, Meta::Hint, sequence)?;
                txn.tables.hints.put(&mut txn.view, &key(member, sequence), &entry)?;
                added.push(sequence);
            }
            let dropped = (members.len() - added.len()) as u64;
            txn.tables.hints_dropped.fetch_add(dropped, Ordering::Relaxed);
            Ok(added)
        })
    }

    pub(super) fn forget_hints(&mut self, told: &[(Ed25519PublicKey, u64)]) -> Result<(), StoreError> {
        self.guard(|txn| told.iter().try_for_each(|(member, sequence)| txn.remove_hints(&key(member, *sequence))))
    }

    pub(super) fn forget_member(&mut self, member: &Ed25519PublicKey) -> Result<u64, StoreError> {
        self.guard(|txn| {
            let (first, last) = (key(member, 0), key(member, u64::MAX));
            let range = (Bound::Included(first.as_slice()), Bound::Included(last.as_slice()));
            let entries = txn.tables.hints.range(&txn.view, &range)?;
            let keys = entries.map(|entry| Ok(entry?.0.to_vec())).collect::<Result<Vec<_>, StoreError>>()?;
            keys.iter().try_for_each(|key| txn.remove_hints(key))?;
            Ok(keys.len() as u64)
        })
    }

    fn remove_hints(&mut self, key: &[u8]) -> Result<(), StoreError> {
        let Some(entry) = self.tables.hints.get(&self.view, key)? else { return Ok(()) };
        self.tables.shares.note(Book::Hints, account_of(entry), -1, &mut self.taken);
        self.tables.hints.delete(&mut self.view, key)
    }
}
