//! The on-disk format, version 6; `docs/on-disk-format.md` tells it to people. All integers big-endian, so that LMDB's byte
//! order is theirs.
//!
//! | table | key | value |
//! |---|---|---|
//! | `data` | account 33 | bytes charged 8, messages 8, of them in public inboxes: bytes charged 8, messages 8 |
//! | | account 33, the byte 1, namespace 2 (sign bit flipped), sequence 8 | hash 32, timestamp 8, expiry 8, stored 8, changed 8, data |
//! | | account 33, the byte 2, hash 32 | namespace 2 (sign bit flipped), sequence 8 |
//! | `times` | key in `data` of a message | expiry 8, stored 8, changed 8, where any of them is another than beside the data |
//! | `expiries` | expiry 8, sequence 8 | account 33, namespace 2 (sign bit flipped) |
//! | `handoffs` | Ed25519 key of a node 32, swarm 8 | key of the last message it has confirmed, sequence of the last that it gets |
//! | `missed` | Ed25519 key of a member 32, number 8 | when 8, kind 1, account 33 and hash 32 (kind 0), command (kind 1) or key in `commands` (kind 2) |
//! | `tombstones` | hash 32, account 33 | time until which it is remembered 8, time of deletion 8 |
//! | `tombstones_by_time` | the first of these times 8, hash 32, account 33 | nothing |
//! | `commands` | account 33, time 8, digest 8 | length 1, method, params |
//! | `commands_by_time` | time 8, account 33, digest 8 | nothing |
//! | `revoked` | account 33, token 36 | time 8, in force or taken back 1 |
//! | `meta` | name | 8; a bencoded list for the topology, keys and swarms for the swarms, epoch 8 and keys for `in_flight` |
//!
//! All that an account has stands together in `data`, so that a store writes one leaf of one tree and the end of another.

use super::{error::StoreError, message::NewMessage};
use crate::types::{AccountId, MessageHash, Millis, Namespace};

pub(super) const FORMAT: u64 = 6;
/// Bytes of a message's key.
pub(super) const KEY: usize = 44;
const HEAD: usize = 64;
/// What of an account a key of `data` is for.
const MESSAGE: u8 = 1;
const HASH: u8 = 2;

/// A number in `meta`.
#[derive(Clone, Copy)]
pub(super) enum Meta {
    Format,
    /// The last sequence number given out. Never goes back.
    Sequence,
    /// Sum of [`charge`] over all messages.
    Bytes,
    /// How many messages there are.
    Messages,
    /// All messages up to this one have been told to the swarm, or are noted as missed.
    Replicated,
    /// The last number given to something that a member has missed.
    Hint,
    /// The latest time that any change has.
    Latest,
    /// The last epoch of the write-ahead log that is in the trees.
    Checkpointed,
    /// When the writer last tried out whether it can write, in milliseconds.
    Tried,
}

impl Meta {
    pub(super) const fn name(self) -> &'static [u8] {
        match self {
            Self::Format => b"format",
            Self::Sequence => b"sequence",
            Self::Bytes => b"bytes",
            Self::Messages => b"messages",
            Self::Replicated => b"settled",
            Self::Hint => b"missed",
            Self::Latest => b"latest",
            Self::Checkpointed => b"folded",
            Self::Tried => b"tried",
        }
    }
}

pub(super) fn u64_at(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

/// What one message counts against `max_bytes`: data on pages of its own when large, and its share of the indices.
pub(super) const fn charge(data_len: usize) -> u64 {
    let data = if data_len > 1900 { (data_len + HEAD).next_multiple_of(4096) } else { data_len };
    data as u64 + 320
}

/// The first 34 bytes of the keys of an account's messages.
pub(super) fn messages_of(account: &AccountId) -> [u8; 34] {
    let mut key = [MESSAGE; 34];
    key[..33].copy_from_slice(&account.0);
    key
}

/// The first 36 bytes of the keys of one namespace.
pub(super) fn prefix(account: &AccountId, namespace: Namespace) -> [u8; 36] {
    let mut key = [0; 36];
    key[..34].copy_from_slice(&messages_of(account));
    key[34..].copy_from_slice(&(namespace.0.cast_unsigned() ^ 0x8000).to_be_bytes());
    key
}

pub(super) fn key(account: &AccountId, namespace: Namespace, sequence: u64) -> [u8; KEY] {
    let mut key = [0; KEY];
    key[..36].copy_from_slice(&prefix(account, namespace));
    key[36..].copy_from_slice(&sequence.to_be_bytes());
    key
}

/// Where in `data` the place of a message is found by its hash.
pub(super) fn hash_key(account: &[u8; 33], hash: &MessageHash) -> [u8; 66] {
    let mut key = [HASH; 66];
    key[..33].copy_from_slice(account);
    key[34..].copy_from_slice(&hash.0);
    key
}

/// What a key of `data` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    Usage(&'a [u8; 33]),
    Message(&'a [u8; KEY]),
    Hash(&'a [u8; 33], MessageHash),
}

impl<'a> Item<'a> {
    /// `None` only when the file was damaged.
    pub(super) fn of(key: &'a [u8]) -> Option<Self> {
        let (account, rest) = key.split_first_chunk::<33>()?;
        match rest {
            [] => Some(Self::Usage(account)),
            [MESSAGE, ..] => key.try_into().ok().map(Self::Message),
            [HASH, hash @ ..] => Some(Self::Hash(account, MessageHash(hash.try_into().ok()?))),
            _ => None,
        }
    }
}

/// The account in a key of a message.
pub(super) fn account_of(key: &[u8; KEY]) -> [u8; 33] {
    let mut account = [0; 33];
    account.copy_from_slice(&key[..33]);
    account
}

/// The namespace in a key of a message.
pub(super) const fn namespace_of(key: &[u8; KEY]) -> Namespace {
    Namespace((u16::from_be_bytes([key[34], key[35]]) ^ 0x8000).cast_signed())
}

/// The number that a message got when it was stored.
pub(super) fn sequence_of(key: &[u8; KEY]) -> u64 {
    key[36..].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The value beside a message's hash.
pub(super) fn place_of(key: &[u8; KEY]) -> &[u8] {
    &key[34..]
}

/// The key of a message that has such a place.
pub(super) fn at_place(account: &[u8; 33], place: &[u8]) -> Option<[u8; KEY]> {
    let place: &[u8; 10] = place.try_into().ok()?;
    let mut key = [MESSAGE; KEY];
    key[..33].copy_from_slice(account);
    key[34..].copy_from_slice(place);
    Some(key)
}

/// An entry of `expiries` for the message under `key`.
pub(super) fn expiry_entry(expiry: Millis, key: &[u8; KEY]) -> ([u8; 16], [u8; 35]) {
    let (mut at, mut whose) = ([0; 16], [0; 35]);
    at[..8].copy_from_slice(&expiry.0.to_be_bytes());
    at[8..].copy_from_slice(&key[36..]);
    whose[..33].copy_from_slice(&key[..33]);
    whose[33..].copy_from_slice(&key[34..36]);
    (at, whose)
}

/// Expiry and key of the message that an entry of `expiries` is for; `None` only when the file was damaged.
pub(super) fn expiring((at, whose): (&[u8], &[u8])) -> Option<(Millis, [u8; KEY])> {
    let (at, whose): (&[u8; 16], &[u8; 35]) = (at.try_into().ok()?, whose.try_into().ok()?);
    let mut key = [MESSAGE; KEY];
    key[..33].copy_from_slice(&whose[..33]);
    key[34..36].copy_from_slice(&whose[33..]);
    key[36..].copy_from_slice(&at[8..]);
    Some((Millis(u64_at(at)?), key))
}

pub(super) fn revoked_key(account: &AccountId, token: &[u8; 36]) -> [u8; 69] {
    let mut key = [0; 69];
    key[..33].copy_from_slice(&account.0);
    key[33..].copy_from_slice(token);
    key
}

/// Messages, and bytes charged for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) bytes: u64,
    pub(super) messages: u64,
}

/// What an account has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) all: Share,
    /// Of them those in public inboxes, where anybody may store.
    pub(super) inbox: Share,
}

impl Usage {
    /// Bytes of a value; in format 4 it was half of them.
    pub(super) const LENGTH: usize = 32;

    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let share =
            |at: usize| Some(Share { bytes: u64_at(value.get(at..)?)?, messages: u64_at(value.get(at + 8..)?)? });
        Some(Self { all: share(0)?, inbox: share(16).unwrap_or_default() })
    }

    pub(super) fn encode(self) -> [u8; Self::LENGTH] {
        let mut value = [0; Self::LENGTH];
        for (place, number) in
            value.chunks_exact_mut(8).zip([self.all.bytes, self.all.messages, self.inbox.bytes, self.inbox.messages])
        {
            place.copy_from_slice(&number.to_be_bytes());
        }
        value
    }

    /// The messages that share their room with those of `namespace`: who may store there has filled it.
    pub(super) const fn beside(&self, namespace: Namespace) -> Share {
        if namespace.is_public_inbox() {
            return self.inbox;
        }
        Share {
            bytes: self.all.bytes.saturating_sub(self.inbox.bytes),
            messages: self.all.messages.saturating_sub(self.inbox.messages),
        }
    }

    pub(super) fn add(&mut self, namespace: Namespace, charge: u64) {
        self.each(namespace, |share| {
            share.bytes += charge;
            share.messages += 1;
        });
    }

    pub(super) fn remove(&mut self, namespace: Namespace, charge: u64) {
        self.each(namespace, |share| {
            share.bytes = share.bytes.saturating_sub(charge);
            share.messages = share.messages.saturating_sub(1);
        });
    }

    fn each(&mut self, namespace: Namespace, change: impl Fn(&mut Share)) {
        change(&mut self.all);
        if namespace.is_public_inbox() {
            change(&mut self.inbox);
        }
    }
}

/// A value of `revoked`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Revocation {
    pub(super) at: Millis,
    /// False where it was taken back.
    pub(super) in_force: bool,
}

impl Revocation {
    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        Some(Self { at: Millis(u64_at(value)?), in_force: *value.get(8)? != 0 })
    }

    pub(super) fn encode(self) -> [u8; 9] {
        let mut value = [u8::from(self.in_force); 9];
        value[..8].copy_from_slice(&self.at.0.to_be_bytes());
        value
    }
}

/// What of a message changes while it is there. A change is written beside the message, and not the message again: one
/// request may change those of a whole account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) stored: Millis,
    pub(super) changed: Millis,
    pub(super) expiry: Millis,
}

impl Times {
    const LENGTH: usize = 24;

    /// `None` only when the file was damaged.
    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let value: &[u8; Self::LENGTH] = value.try_into().ok()?;
        let time = |at: usize| Some(Millis(u64_at(value.get(at..)?)?));
        Some(Self { expiry: time(0)?, stored: time(8)?, changed: time(16)? })
    }

    pub(super) fn encode(self) -> [u8; Self::LENGTH] {
        let mut value = [0; Self::LENGTH];
        for (place, time) in value.chunks_exact_mut(8).zip([self.expiry, self.stored, self.changed]) {
            place.copy_from_slice(&time.0.to_be_bytes());
        }
        value
    }
}

/// A message.
pub(super) struct Record<'a> {
    pub(super) hash: MessageHash,
    pub(super) timestamp: Millis,
    pub(super) expiry: Millis,
    pub(super) stored: Millis,
    pub(super) changed: Millis,
    pub(super) data: &'a [u8],
}

impl<'a> Record<'a> {
    /// `None` only when the file was damaged.
    pub(super) fn decode(value: &'a [u8]) -> Option<Self> {
        let time = |bytes: &'a [u8]| {
            let (time, rest) = bytes.split_first_chunk::<8>()?;
            Some((u64::from_be_bytes(*time), rest))
        };
        let (hash, rest) = value.split_first_chunk::<32>()?;
        let (timestamp, rest) = time(rest)?;
        let (expiry, rest) = time(rest)?;
        let (stored, rest) = time(rest)?;
        let (changed, data) = time(rest)?;
        let [timestamp, expiry, stored, changed] = [timestamp, expiry, stored, changed].map(Millis);
        Some(Self { hash: MessageHash(*hash), timestamp, expiry, stored, changed, data })
    }

    pub(super) const fn times(&self) -> Times {
        Times { stored: self.stored, changed: self.changed, expiry: self.expiry }
    }

    /// The same with its times as they are now; `value` is its entry in `times`, if it has one.
    pub(super) fn with_times(self, value: Option<&[u8]>) -> Option<Self> {
        let Some(value) = value else { return Some(self) };
        let Times { stored, changed, expiry } = Times::decode(value)?;
        Some(Self { stored, changed, expiry, ..self })
    }

    /// As it is handed to other nodes; `key` is its own.
    pub(super) fn message(&self, key: &[u8; KEY]) -> NewMessage {
        let (account, namespace) = (AccountId(account_of(key)), namespace_of(key));
        let Self { hash, timestamp, expiry, stored, changed, data } = *self;
        NewMessage { account, namespace, hash, timestamp, expiry, stored, changed, data: data.to_vec() }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(HEAD + self.data.len());
        value.extend_from_slice(&self.hash.0);
        value.extend_from_slice(&self.timestamp.0.to_be_bytes());
        value.extend_from_slice(&self.expiry.0.to_be_bytes());
        value.extend_from_slice(&self.stored.0.to_be_bytes());
        value.extend_from_slice(&self.changed.0.to_be_bytes());
        value.extend_from_slice(self.data);
        value
    }
}

/// The error of a value that no version of ours wrote.
pub(super) fn damaged() -> StoreError {
    StoreError::Damaged("a record is not as it was written".to_owned())
}
