//! The on-disk format, version 2. All integers big-endian, so that LMDB's byte order is theirs.
//!
//! | table | key | value |
//! |---|---|---|
//! | `messages` | account 33, namespace 2 (sign bit flipped), sequence 8 | hash 32, timestamp 8, expiry 8 with its top bit set, stored 8, changed 8, data |
//! | `by_hash` | hash 32 | key in `messages` |
//! | `by_expiry` | expiry 8, sequence 8 | key in `messages` |
//! | `dumps` | Ed25519 key of a node 32, swarm 8 | key of the last message it has confirmed |
//! | `accounts` | account 33 | bytes charged 8, messages 8 |
//! | `missed` | Ed25519 key of a member 32, number 8 | when 8, kind 1, hash or command |
//! | `tombs` | hash 32, account 33 | time until which it is remembered 8, time of deletion 8 |
//! | `tombs_by_time` | the first of these times 8, hash 32, account 33 | nothing |
//! | `commands` | account 33, time 8, digest 8 | length 1, method, params |
//! | `commands_by_time` | time 8, account 33, digest 8 | nothing |
//! | `revoked` | account 33, token 36 | time 8, taken back or not 1 |
//! | `meta` | name | 8, or a bencoded list for the topology |
//!
//! Version 1 had no times of storing and of the last change: its messages have neither the top bit of the expiry nor the two
//! fields after it, and both times are their timestamps. They are read as they are. Its tombs had no second time, its
//! revocations no second field.

use std::{collections::BTreeSet, sync::atomic::AtomicU64};

use heed::{Database, Env, EnvOpenOptions, RoTxn, RwTxn, WithoutTls, types::Bytes};
use parking_lot::Mutex;

use super::{StoreConfig, StoreError, work::NewMessage};
use crate::types::{AccountId, MessageHash, Millis, Namespace};

pub(super) const FORMAT: u64 = 2;
/// Read too, and written in the present format from then on.
const OLDER: u64 = 1;
pub(super) const KEY: usize = 43;
const HEAD: usize = 64;
/// In the expiry of a message of format 2. No time has it.
const TIMES: u64 = 1 << 63;
/// Room in the map beside the messages: indices, free pages, and what it takes to delete when all is full.
const MAP_RESERVE: u64 = 256 << 20;

pub(super) type Table = Database<Bytes, Bytes>;

/// The open database.
pub(super) struct Tables {
    pub(super) env: Env<WithoutTls>,
    pub(super) messages: Table,
    pub(super) by_hash: Table,
    pub(super) by_expiry: Table,
    pub(super) revoked: Table,
    pub(super) accounts: Table,
    pub(super) missed: Table,
    pub(super) dumps: Table,
    pub(super) tombs: Table,
    pub(super) tombs_by_time: Table,
    pub(super) commands: Table,
    pub(super) commands_by_time: Table,
    pub(super) meta: Table,
    /// The latest time that any change has: times given to changes never go back.
    pub(super) latest: AtomicU64,
    /// Sequence numbers of messages that other members may not have been told of.
    pub(super) in_flight: Mutex<BTreeSet<u64>>,
    pub(super) max_missed: u64,
    /// What members have missed and there was no room to remember, since the start.
    pub(super) missed_dropped: AtomicU64,
}

/// A number in `meta`.
#[derive(Clone, Copy)]
pub(super) enum Meta {
    Format,
    /// The last sequence number given out. Never goes back.
    Sequence,
    /// Sum of [`charge`] over all messages.
    Bytes,
    /// All messages up to this one have been told to the swarm, or are noted as missed.
    Settled,
    /// The last number given to something that a member has missed.
    Missed,
    /// The latest time that any change has.
    Latest,
}

impl Meta {
    const fn name(self) -> &'static [u8] {
        match self {
            Self::Format => b"format",
            Self::Sequence => b"sequence",
            Self::Bytes => b"bytes",
            Self::Settled => b"settled",
            Self::Missed => b"missed",
            Self::Latest => b"latest",
        }
    }
}

impl Tables {
    pub(super) fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        std::fs::create_dir_all(&config.path)
            .map_err(|error| StoreError::Database(format!("{}: {error}", config.path.display())))?;
        let map = usize::try_from(config.max_bytes.saturating_mul(2).saturating_add(MAP_RESERVE))
            .map_err(|_| StoreError::Database("max_bytes is more than this machine can map".to_owned()))?;
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(map / 4096 * 4096).max_dbs(32).max_readers(1024);
        // SAFETY: the file is this process's alone to write (LMDB's lock file sees to writers), and nobody truncates it.
        let env = unsafe { options.open(&config.path)? };
        let mut txn = env.write_txn()?;
        let mut table = |name| env.create_database(&mut txn, Some(name));
        let (messages, by_hash, by_expiry) = (table("messages")?, table("by_hash")?, table("by_expiry")?);
        let (revoked, missed, accounts) = (table("revoked")?, table("missed")?, table("accounts")?);
        let (dumps, meta) = (table("dumps")?, table("meta")?);
        let (tombs, tombs_by_time) = (table("tombs")?, table("tombs_by_time")?);
        let (commands, commands_by_time) = (table("commands")?, table("commands_by_time")?);
        let tables = Self {
            env: env.clone(),
            messages,
            by_hash,
            by_expiry,
            revoked,
            accounts,
            missed,
            dumps,
            tombs,
            tombs_by_time,
            commands,
            commands_by_time,
            meta,
            latest: AtomicU64::new(0),
            in_flight: Mutex::default(),
            max_missed: config.max_missed,
            missed_dropped: AtomicU64::new(0),
        };
        match tables.meta(&txn, Meta::Format)? {
            0 | OLDER => tables.set_meta(&mut txn, Meta::Format, FORMAT)?,
            FORMAT => {}
            found => return Err(StoreError::Format { found, known: FORMAT }),
        }
        tables.latest.store(tables.meta(&txn, Meta::Latest)?, std::sync::atomic::Ordering::Relaxed);
        tables.count_accounts(&mut txn)?;
        txn.commit()?;
        Ok(tables)
    }

    /// Fills `accounts` where a version wrote that did not have it.
    fn count_accounts(&self, txn: &mut RwTxn<'_>) -> Result<(), StoreError> {
        if self.accounts.is_empty(txn)? && !self.messages.is_empty(txn)? {
            let mut usages: std::collections::BTreeMap<[u8; 33], Usage> = std::collections::BTreeMap::new();
            for entry in self.messages.iter(txn)? {
                let (key, value) = entry?;
                let record = Record::decode(value).ok_or_else(damaged)?;
                let usage = usages.entry(*key.first_chunk().ok_or_else(damaged)?).or_default();
                usage.bytes += charge(record.data.len());
                usage.messages += 1;
            }
            for (account, usage) in usages {
                self.accounts.put(txn, &account, &usage.encode())?;
            }
        }
        Ok(())
    }

    /// What an account has.
    pub(super) fn usage(&self, txn: &RoTxn<'_>, account: &[u8; 33]) -> Result<Usage, StoreError> {
        Ok(self.accounts.get(txn, account)?.and_then(Usage::decode).unwrap_or_default())
    }

    /// A number of `meta`, 0 when it was never set.
    pub(super) fn meta(&self, txn: &RoTxn<'_>, which: Meta) -> Result<u64, StoreError> {
        Ok(self.meta.get(txn, which.name())?.and_then(u64_at).unwrap_or(0))
    }

    pub(super) fn set_meta(&self, txn: &mut RwTxn<'_>, which: Meta, value: u64) -> Result<(), StoreError> {
        Ok(self.meta.put(txn, which.name(), &value.to_be_bytes())?)
    }
}

fn u64_at(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

/// What one message counts against `max_bytes`: data on pages of its own when large, and its share of the indices.
pub(super) const fn charge(data_len: usize) -> u64 {
    let data = if data_len > 1900 { (data_len + HEAD).next_multiple_of(4096) } else { data_len };
    data as u64 + 320
}

/// The first 35 bytes of the keys of one namespace.
pub(super) fn prefix(account: &AccountId, namespace: Namespace) -> [u8; 35] {
    let mut key = [0; 35];
    key[..33].copy_from_slice(&account.0);
    key[33..].copy_from_slice(&(namespace.0.cast_unsigned() ^ 0x8000).to_be_bytes());
    key
}

pub(super) fn key(account: &AccountId, namespace: Namespace, sequence: u64) -> [u8; KEY] {
    let mut key = [0; KEY];
    key[..35].copy_from_slice(&prefix(account, namespace));
    key[35..].copy_from_slice(&sequence.to_be_bytes());
    key
}

/// The namespace in a key of `messages`.
pub(super) fn namespace_of(key: &[u8; KEY]) -> Namespace {
    Namespace((u16::from_be_bytes([key[33], key[34]]) ^ 0x8000).cast_signed())
}

/// A key of `by_expiry` for the message under `key`.
pub(super) fn expiry_key(expiry: Millis, key: &[u8; KEY]) -> [u8; 16] {
    let mut out = [0; 16];
    out[..8].copy_from_slice(&expiry.0.to_be_bytes());
    out[8..].copy_from_slice(&key[35..]);
    out
}

pub(super) fn revoked_key(account: &AccountId, token: &[u8; 36]) -> [u8; 69] {
    let mut key = [0; 69];
    key[..33].copy_from_slice(&account.0);
    key[33..].copy_from_slice(token);
    key
}

/// A value of `accounts`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) bytes: u64,
    pub(super) messages: u64,
}

impl Usage {
    fn decode(value: &[u8]) -> Option<Self> {
        let (bytes, messages) = value.split_first_chunk::<8>()?;
        Some(Self { bytes: u64::from_be_bytes(*bytes), messages: u64_at(messages)? })
    }

    pub(super) fn encode(self) -> [u8; 16] {
        let mut value = [0; 16];
        value[..8].copy_from_slice(&self.bytes.to_be_bytes());
        value[8..].copy_from_slice(&self.messages.to_be_bytes());
        value
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
        Some(Self { at: Millis(u64_at(value)?), in_force: value.get(8).is_none_or(|byte| *byte != 0) })
    }

    pub(super) fn encode(self) -> [u8; 9] {
        let mut value = [u8::from(self.in_force); 9];
        value[..8].copy_from_slice(&self.at.0.to_be_bytes());
        value
    }
}

/// A value of `messages`.
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
        let (expiry, mut data) = time(rest)?;
        let (mut stored, mut changed) = (timestamp, timestamp);
        if expiry & TIMES != 0 {
            (stored, data) = time(data)?;
            (changed, data) = time(data)?;
        }
        let [timestamp, expiry, stored, changed] = [timestamp, expiry & !TIMES, stored, changed].map(Millis);
        Some(Self { hash: MessageHash(*hash), timestamp, expiry, stored, changed, data })
    }

    /// As it is handed to other nodes; `key` is its own.
    pub(super) fn message(&self, key: &[u8]) -> Result<NewMessage, StoreError> {
        let key: &[u8; KEY] = key.try_into().map_err(|_| damaged())?;
        let account = AccountId(*key.first_chunk().ok_or_else(damaged)?);
        let Self { hash, timestamp, expiry, stored, changed, data } = *self;
        let namespace = namespace_of(key);
        Ok(NewMessage { account, namespace, hash, timestamp, expiry, stored, changed, data: data.to_vec() })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(HEAD + self.data.len());
        value.extend_from_slice(&self.hash.0);
        value.extend_from_slice(&self.timestamp.0.to_be_bytes());
        value.extend_from_slice(&(self.expiry.0 | TIMES).to_be_bytes());
        value.extend_from_slice(&self.stored.0.to_be_bytes());
        value.extend_from_slice(&self.changed.0.to_be_bytes());
        value.extend_from_slice(self.data);
        value
    }
}

/// The error of a value that no version of ours wrote.
pub(super) fn damaged() -> StoreError {
    StoreError::Database("a record is damaged; restore the directory or move it away to start empty".to_owned())
}
