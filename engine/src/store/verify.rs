//! Whether all that the store knows twice agrees: every table is walked, and each entry is looked up in its counterpart.

use super::{
    commands,
    error::StoreError,
    handoff::Cursor,
    hints::Hint,
    layout::{self, Item, KEY, Meta, Record, Revocation, Usage, charge, expiry_entry},
    log::memtable::{Table, View},
    tables::Tables,
    tombstones,
};
use crate::types::{AccountId, MessageHash, Namespace};

/// Problems that are told in words; further ones are counted.
const TOLD: usize = 1000;

/// Entries of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSize {
    /// Its name.
    pub name: &'static str,
    /// Entries.
    pub entries: u64,
    /// Bytes of its pages.
    pub bytes: u64,
}

/// What a walk has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Messages.
    pub messages: u64,
    /// Accounts that have any.
    pub accounts: u64,
    /// Bytes charged for them.
    pub bytes: u64,
    /// Entries looked at, of all tables.
    pub entries: u64,
    /// Messages in namespace 0 whose hash is not that of their content: other nodes have called them so, and clients know
    /// them by that.
    pub unproven: u64,
    /// How many things do not agree.
    pub found: u64,
    /// What they are, in words, the first thousand of them.
    pub problems: Vec<String>,
}

/// One snapshot, so that a node that runs meanwhile changes nothing.
struct Walk<'a> {
    tables: &'a Tables,
    txn: &'a View<'a>,
    report: Report,
    progress: &'a mut dyn FnMut(u64),
}

impl Walk<'_> {
    fn problem(&mut self, text: impl FnOnce() -> String) {
        self.report.found += 1;
        if self.report.problems.len() < TOLD {
            self.report.problems.push(text());
        }
    }

    fn step(&mut self) {
        self.report.entries += 1;
        if self.report.entries.is_multiple_of(1 << 14) {
            (self.progress)(self.report.entries);
        }
    }
}

type Part = fn(&mut Walk<'_>) -> Result<(), StoreError>;

fn hex(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

/// Walks every table both ways; `progress` gets the entries so far, now and then.
pub(super) fn verify(tables: &Tables, progress: &mut dyn FnMut(u64)) -> Result<Report, StoreError> {
    let txn = tables.long_view()?;
    let mut walk = Walk { tables, txn: &txn, report: Report::default(), progress };
    let parts: [(&str, Part); 8] = [
        ("data", data),
        ("times", times),
        ("expiries", expiries),
        ("tombs", tombstones_both),
        ("commands", commands_both),
        ("missed", hints),
        ("revoked", revoked),
        ("meta", meta),
    ];
    for (name, part) in parts {
        // What cannot be read is a finding like others.
        if let Err(error) = part(&mut walk) {
            walk.problem(|| format!("{name} cannot be read to its end: {error}"));
        }
    }
    Ok(walk.report)
}

/// Every account's messages, their hashes and their count.
fn data(walk: &mut Walk<'_>) -> Result<(), StoreError> {
    let (tables, txn) = (walk.tables, walk.txn);
    let mut current: Option<[u8; 33]> = None;
    let (mut told, mut counted, mut hashes) = (None, Usage::default(), 0);
    let close = |walk: &mut Walk<'_>, account: Option<[u8; 33]>, told: Option<Usage>, counted: Usage, hashes: u64| {
        let Some(account) = account else { return };
        walk.report.accounts += 1;
        if told != Some(counted) {
            walk.problem(|| format!("account {} has {counted:?}, its entry says {told:?}", hex(&account)));
        }
        if hashes != counted.all.messages {
            let messages = counted.all.messages;
            walk.problem(|| format!("account {} has {messages} messages and {hashes} hashes", hex(&account)));
        }
    };
    for entry in tables.data.iter(txn)? {
        let (key, value) = entry?;
        walk.step();
        let Some(item) = Item::of(key) else {
            walk.problem(|| format!("data has a key that stands for nothing: {}", hex(key)));
            continue;
        };
        let account = match item {
            Item::Usage(account) | Item::Hash(account, _) => *account,
            Item::Message(key) => layout::account_of(key),
        };
        if current != Some(account) {
            close(walk, current, told, counted, hashes);
            (current, told, counted, hashes) = (Some(account), None, Usage::default(), 0);
        }
        match item {
            Item::Usage(account) => told = tables.usage(txn, account).ok().filter(|_| Usage::decode(value).is_some()),
            Item::Message(key) => {
                walk.report.messages += 1;
                let Some(record) = Record::decode(value) else {
                    walk.problem(|| format!("message {} is cut off", hex(key)));
                    continue;
                };
                counted.add(layout::namespace_of(key), charge(record.data.len()));
                walk.report.bytes += charge(record.data.len());
                let Some(record) = record.with_times(tables.times.get(txn, key)?) else {
                    walk.problem(|| format!("the times of message {} are cut off", hex(key)));
                    continue;
                };
                message(walk, txn, key, &record)?;
            }
            Item::Hash(account, hash) => {
                hashes += 1;
                let found = layout::at_place(account, value).map(|key| tables.data.get(txn, &key));
                let found = found.transpose()?.flatten().and_then(Record::decode).map(|record| record.hash);
                if found != Some(hash) {
                    walk.problem(|| format!("hash {hash} of account {} leads to {found:?}", hex(account)));
                }
            }
        }
    }
    close(walk, current, told, counted, hashes);
    Ok(())
}

fn message(walk: &mut Walk<'_>, txn: &View<'_>, key: &[u8; KEY], record: &Record<'_>) -> Result<(), StoreError> {
    let (tables, account) = (walk.tables, layout::account_of(key));
    let hash = MessageHash::of(&AccountId(account), layout::namespace_of(key), record.data);
    if hash != record.hash && layout::namespace_of(key) == Namespace(0) {
        walk.report.unproven += 1;
    } else if hash != record.hash {
        walk.problem(|| format!("message {} is filed as {}, its hash is {hash}", hex(key), record.hash));
    }
    if tables.find(txn, &account, &record.hash)? != Some(*key) {
        walk.problem(|| format!("message {} is not found by its hash {}", hex(key), record.hash));
    }
    let (at, whose) = expiry_entry(record.expiry, key);
    if tables.expiries.get(txn, &at)? != Some(whose.as_slice()) {
        walk.problem(|| format!("message {} goes at {} and is not in expiries", hex(key), record.expiry));
    }
    Ok(())
}

fn times(walk: &mut Walk<'_>) -> Result<(), StoreError> {
    let (tables, txn) = (walk.tables, walk.txn);
    for entry in tables.times.iter(txn)? {
        let (key, _) = entry?;
        walk.step();
        let of_message = matches!(Item::of(key), Some(Item::Message(_)));
        if !of_message || tables.data.get(txn, key)?.is_none() {
            walk.problem(|| format!("times has {}, which is no message's", hex(key)));
        }
    }
    Ok(())
}

fn expiries(walk: &mut Walk<'_>) -> Result<(), StoreError> {
    let (tables, txn) = (walk.tables, walk.txn);
    let mut count = 0;
    for entry in tables.expiries.iter(txn)? {
        let entry = entry?;
        walk.step();
        count += 1;
        let Some((expiry, key)) = layout::expiring(entry) else {
            walk.problem(|| format!("expiries has an entry of another form: {}", hex(entry.0)));
            continue;
        };
        let found = tables.message(txn, &key).ok().flatten().map(|record| record.expiry);
        if found != Some(expiry) {
            walk.problem(|| format!("expiries says {expiry} of message {}, which says {found:?}", hex(&key)));
        }
    }
    if count != walk.report.messages {
        let messages = walk.report.messages;
        walk.problem(|| format!("{messages} messages have {count} expiries"));
    }
    Ok(())
}

/// Both tables of a pair have the same entries when each is found in the other.
fn both(
    walk: &mut Walk<'_>,
    name: &str,
    (one, other): (Table, Table),
    of_one: impl Fn(&[u8], &[u8]) -> Option<Vec<u8>>,
    of_other: impl Fn(&[u8]) -> Option<Vec<u8>>,
) -> Result<(), StoreError> {
    let txn = walk.txn;
    for entry in one.iter(txn)? {
        let (key, value) = entry?;
        walk.step();
        let found = of_one(key, value).map(|by_time| other.get(txn, &by_time)).transpose()?.flatten();
        if found.is_none() {
            walk.problem(|| format!("{name} {} is damaged or is not in {name}_by_time", hex(key)));
        }
    }
    for entry in other.iter(txn)? {
        let (key, _) = entry?;
        walk.step();
        let counterpart = match of_other(key) {
            Some(of) => one.get(txn, &of)?.and_then(|value| of_one(&of, value)),
            None => None,
        };
        if counterpart.as_deref() != Some(key) {
            walk.problem(|| format!("{name}_by_time has {}, {name} does not", hex(key)));
        }
    }
    Ok(())
}

fn tombstones_both(walk: &mut Walk<'_>) -> Result<(), StoreError> {
    let pair = (walk.tables.tombstones, walk.tables.tombstones_by_time);
    both(walk, "tombs", pair, tombstones::by_time_of, tombstones::of_time)
}

fn commands_both(walk: &mut Walk<'_>) -> Result<(), StoreError> {
    let pair = (walk.tables.commands, walk.tables.commands_by_time);
    both(walk, "commands", pair, commands::by_time_of, commands::key_of_time)
}

fn hints(walk: &mut Walk<'_>) -> Result<(), StoreError> {
    let (tables, txn) = (walk.tables, walk.txn);
    let last = tables.meta(txn, Meta::Hint)?;
    for entry in tables.hints.iter(txn)? {
        let (key, value) = entry?;
        walk.step();
        let number = key.split_at_checked(32).and_then(|(_, number)| Some(u64::from_be_bytes(number.try_into().ok()?)));
        if number.is_none_or(|number| number > last) || Hint::decode(value).is_none() {
            walk.problem(|| format!("missed {} is damaged, or later than the last number, {last}", hex(key)));
        }
    }
    for entry in tables.handoffs.iter(txn)? {
        let (key, cursor) = entry?;
        walk.step();
        if key.len() != 40 || !Cursor::decode(cursor).is_some_and(|cursor| cursor.is_sound()) {
            walk.problem(|| format!("dump {} is damaged", hex(key)));
        }
    }
    Ok(())
}

fn revoked(walk: &mut Walk<'_>) -> Result<(), StoreError> {
    let txn = walk.txn;
    for entry in walk.tables.revoked.iter(txn)? {
        let (key, value) = entry?;
        walk.step();
        if key.len() != 69 || Revocation::decode(value).is_none() {
            walk.problem(|| format!("revocation {} is damaged", hex(key)));
        }
    }
    Ok(())
}

/// The counters, and that no message has a number that was not given out.
fn meta(walk: &mut Walk<'_>) -> Result<(), StoreError> {
    let (tables, txn) = (walk.tables, walk.txn);
    for (name, which, counted) in
        [("messages", Meta::Messages, walk.report.messages), ("bytes", Meta::Bytes, walk.report.bytes)]
    {
        let told = tables.meta(txn, which)?;
        if told != counted {
            walk.problem(|| format!("meta says {told} {name}, there are {counted}"));
        }
    }
    let last = tables.meta(txn, Meta::Sequence)?;
    for entry in tables.expiries.iter(txn)? {
        let number = entry?.0.last_chunk().map_or(u64::MAX, |number| u64::from_be_bytes(*number));
        if number > last {
            walk.problem(|| format!("a message has number {number}, the last given out is {last}"));
        }
    }
    Ok(())
}
