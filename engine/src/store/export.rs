//! A store as text that any later version, and other programs, can read: a JSON object a line.
//!
//! The first line names the format, the last tells how many entries there were before it. What the store owes to other
//! nodes (`missed`, `handoffs`, the topology) is of this node alone and stays behind.

use std::{
    io::{BufRead, Read, Write},
    ops::{Bound, ControlFlow},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{
    commands::Command,
    config::StoreConfig,
    error::StoreError,
    handle::Store,
    layout::{Revocation, damaged, u64_at},
    message::{NewMessage, Outcome},
    namespaces::NamespaceSearch,
    tables::Tables,
    write_txn::WriteTxn,
};
use crate::{
    clock::Clock,
    types::{AccountId, MessageHash, Millis, Namespace},
};

const VERSION: u32 = 1;
/// Bytes of a line at most.
const LINE: u64 = 16 << 20;
/// Entries in one transaction.
const STEP: usize = 500;
/// Entries between two looks at whether an export is to go on.
const LOOK: u64 = 256;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    AlliumStore {
        version: u32,
    },
    /// Its name in the file is older than its name here.
    #[serde(rename = "tomb")]
    Tombstone {
        account: String,
        hash: String,
        until: u64,
        at: u64,
    },
    Command {
        account: String,
        at: u64,
        method: String,
        params: String,
    },
    Revocation {
        account: String,
        token: String,
        at: u64,
        in_force: bool,
    },
    Message {
        account: String,
        namespace: i16,
        /// Only where it is not that of the content in this namespace.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hash: Option<String>,
        timestamp: u64,
        expiry: u64,
        stored: u64,
        changed: u64,
        data: String,
    },
    End {
        entries: u64,
    },
}

/// Told how many entries are done, now and then; says whether to go on.
pub type Progress<'a> = &'a mut dyn FnMut(u64) -> ControlFlow<()>;

/// How much went out or came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Messages.
    pub messages: u64,
    /// All entries, messages included.
    pub entries: u64,
    /// Messages that were not there before, or not for so long.
    pub new: u64,
}

fn base64(bytes: &[u8]) -> String {
    base64_simd::STANDARD.encode_to_string(bytes)
}

fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError::Database(error.to_string())
}

/// Writes all that the store in `path` holds, as of one moment.
///
/// # Errors
/// [`StoreError`], also when `out` fails.
pub fn export(path: &Path, out: &mut dyn Write, progress: Progress<'_>) -> Result<Exported, StoreError> {
    let tables = Tables::open_to_read(path)?;
    let txn = tables.view()?;
    let mut done = Exported::default();
    let mut line = |line: &Line| {
        serde_json::to_writer(&mut *out, line).map_err(failed)?;
        out.write_all(b"\n").map_err(failed)
    };
    line(&Line::AlliumStore { version: VERSION })?;
    let mut write = |entry: &Line| {
        line(entry)?;
        done.entries += 1;
        done.messages += u64::from(matches!(entry, Line::Message { .. }));
        if done.entries.is_multiple_of(LOOK) && progress(done.entries).is_break() {
            return Err(StoreError::Interrupted);
        }
        Ok::<_, StoreError>(())
    };
    // What was deleted comes first, so that nothing of it is taken in.
    for entry in tables.tombstones.iter(&txn)? {
        let (key, value) = entry?;
        let (hash, account) = key.split_first_chunk::<32>().ok_or_else(damaged)?;
        let times = (u64_at(value), value.get(8..).and_then(u64_at));
        let (Some(until), Some(at)) = times else { return Err(damaged()) };
        write(&Line::Tombstone { account: hex::encode(account), hash: MessageHash(*hash).to_string(), until, at })?;
    }
    for entry in tables.commands.iter(&txn)? {
        let (key, value) = entry?;
        let (account, rest) = key.split_first_chunk::<33>().ok_or_else(damaged)?;
        let at = u64_at(rest).ok_or_else(damaged)?;
        let Command { method, params } = Command::decode(value).ok_or_else(damaged)?;
        write(&Line::Command { account: hex::encode(account), at, method, params: base64(&params) })?;
    }
    for entry in tables.revoked.iter(&txn)? {
        let (key, value) = entry?;
        let (account, token) = key.split_first_chunk::<33>().ok_or_else(damaged)?;
        let Revocation { at, in_force } = Revocation::decode(value).ok_or_else(damaged)?;
        write(&Line::Revocation { account: hex::encode(account), token: hex::encode(token), at: at.0, in_force })?;
    }
    for entry in tables.messages(&txn, (Bound::Unbounded, Bound::Unbounded))? {
        let (key, record) = entry?;
        let NewMessage { account, namespace, hash, timestamp, expiry, stored, changed, data } = record.message(&key);
        let [timestamp, expiry, stored, changed] = [timestamp, expiry, stored, changed].map(|time| time.0);
        let hash = (hash != MessageHash::of(&account, namespace, &data)).then(|| hash.to_string());
        let (account, namespace, data) = (hex::encode(account.0), namespace.0, base64(&data));
        write(&Line::Message { account, namespace, hash, timestamp, expiry, stored, changed, data })?;
    }
    line(&Line::End { entries: done.entries })?;
    out.flush().map_err(failed)?;
    Ok(done)
}

fn account(text: &str) -> Result<AccountId, String> {
    let mut account = [0; 33];
    hex::decode_to_slice(text, &mut account).map_err(|error| format!("account {text:?}: {error}"))?;
    Ok(AccountId(account))
}

fn bytes(text: &str) -> Result<Vec<u8>, String> {
    base64_simd::STANDARD.decode_to_vec(text).map_err(|error| format!("base64: {error}"))
}

/// What a line asks the store to do.
enum Entry {
    Tombstone(AccountId, MessageHash, Millis, Millis),
    Command(AccountId, Millis, Command),
    Revocation(AccountId, [u8; 36], Millis, bool),
    Message(NewMessage),
}

impl Entry {
    fn of(line: Line, search: &mut NamespaceSearch) -> Result<Self, String> {
        Ok(match line {
            Line::Tombstone { account: whose, hash, until, at } => {
                let hash = MessageHash::from_text(&hash).ok_or_else(|| format!("{hash:?} is no hash"))?;
                Self::Tombstone(account(&whose)?, hash, Millis(until), Millis(at))
            }
            Line::Command { account: whose, at, method, params } => {
                if method.len() > usize::from(u8::MAX) {
                    return Err("a method with so long a name does not exist".to_owned());
                }
                Self::Command(account(&whose)?, Millis(at), Command { method, params: bytes(&params)? })
            }
            Line::Revocation { account: whose, token, at, in_force } => {
                let mut raw = [0; 36];
                hex::decode_to_slice(&token, &mut raw).map_err(|error| format!("token: {error}"))?;
                Self::Revocation(account(&whose)?, raw, Millis(at), in_force)
            }
            Line::Message { account: whose, namespace, hash, timestamp, expiry, stored, changed, data } => {
                let (account, namespace, data) = (account(&whose)?, Namespace(namespace), bytes(&data)?);
                let (hash, namespace) = match hash {
                    None => (MessageHash::of(&account, namespace, &data), namespace),
                    Some(text) => {
                        let hash = MessageHash::from_text(&text).ok_or_else(|| format!("{text:?} is no hash"))?;
                        (hash, search.find(&account, &hash, &data, namespace).unwrap_or_default())
                    }
                };
                let [timestamp, expiry, stored, changed] = [timestamp, expiry, stored, changed].map(Millis);
                Self::Message(NewMessage { account, namespace, hash, timestamp, expiry, stored, changed, data })
            }
            Line::AlliumStore { .. } | Line::End { .. } => return Err("it stands where an entry should".to_owned()),
        })
    }
}

/// Takes in what [`export`] wrote, several of them behind each other too, into a store that may hold something already:
/// the later state of a message counts, and what was deleted stays so.
///
/// # Errors
/// [`StoreError`], with the number of the line that cannot be used. What came before it is kept, and `progress` is told of
/// it.
pub fn import(config: StoreConfig, input: &mut dyn BufRead, progress: Progress<'_>) -> Result<Exported, StoreError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(failed)?;
    let store = Store::open(config, Clock::default())?;
    let mut done = Exported::default();
    let search = NamespaceSearch::unlimited();
    let (mut lines, mut entries) = (Lines { input, number: 0, section: None, search }, Vec::new());
    loop {
        let next = lines.next();
        let ends = !matches!(next, Ok(Some(_)));
        let failure = match next {
            Ok(Some(entry)) => {
                entries.push(entry);
                None
            }
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if ends || entries.len() == STEP {
            runtime.block_on(store.take_in(std::mem::take(&mut entries), &mut done))?;
            let going = progress(done.entries);
            if let Some(error) = failure {
                return Err(error);
            }
            if ends {
                break;
            }
            if going.is_break() {
                return Err(StoreError::Interrupted);
            }
        }
    }
    store.close();
    Ok(done)
}

/// The entries of a file.
struct Lines<'a> {
    input: &'a mut dyn BufRead,
    number: u64,
    /// How many there were of the export that is being read; `None` between two.
    section: Option<u64>,
    search: NamespaceSearch,
}

impl Lines<'_> {
    /// `None` behind the last export.
    fn next(&mut self) -> Result<Option<Entry>, StoreError> {
        loop {
            let mut text = String::new();
            self.number += 1;
            let number = self.number;
            let wrong = |what: String| StoreError::Unusable(format!("line {number}: {what}"));
            let length = self.input.take(LINE).read_line(&mut text).map_err(|error| wrong(error.to_string()))?;
            match (length, self.section) {
                (0, None) if number > 1 => return Ok(None),
                (0, _) => return Err(wrong("the file ends in the middle".to_owned())),
                // At the end of a file that was put together by hand.
                (_, None) if number > 1 && text.trim().is_empty() => continue,
                _ => {}
            }
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            let line: Line = serde_json::from_str(text).map_err(|error| match error.is_eof() {
                true => wrong("the file ends in the middle".to_owned()),
                false => wrong(error.to_string()),
            })?;
            match (line, self.section) {
                (Line::AlliumStore { version: VERSION }, None) => self.section = Some(0),
                (Line::AlliumStore { version }, None) => {
                    return Err(wrong(format!("it has version {version}, this program reads {VERSION}")));
                }
                (_, None) if number == 1 => return Err(wrong("this is no export of a store".to_owned())),
                (_, None) => return Err(wrong("behind the end of an export there is something else".to_owned())),
                (Line::End { entries }, Some(read)) if entries == read => self.section = None,
                (Line::End { .. }, _) => return Err(wrong("entries are missing".to_owned())),
                (line, Some(read)) => {
                    self.section = Some(read + 1);
                    return Entry::of(line, &mut self.search).map(Some).map_err(wrong);
                }
            }
        }
    }
}

impl Store {
    async fn take_in(&self, entries: Vec<Entry>, done: &mut Exported) -> Result<(), StoreError> {
        let room = self.room;
        let messages = entries.iter().filter(|entry| matches!(entry, Entry::Message(_))).count() as u64;
        let count = entries.len() as u64;
        let all = move |txn: &mut WriteTxn<'_>| {
            let mut new = 0;
            for entry in &entries {
                match entry {
                    Entry::Tombstone(account, hash, until, at) => txn.add_tombstone(account, hash, *at, *until)?,
                    Entry::Command(account, at, command) => {
                        txn.log(account, *at, command)?;
                    }
                    Entry::Revocation(account, token, at, in_force) => {
                        txn.set_revoked(account, &[*token], *in_force, *at)?;
                    }
                    Entry::Message(message) => {
                        new += u64::from(matches!(txn.put(message, &room)?.outcome, Outcome::New | Outcome::Extended));
                    }
                }
            }
            Ok(new)
        };
        done.new += self.writer.submit(all).await?;
        done.entries += count;
        done.messages += messages;
        Ok(())
    }
}

/// A file to take in.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz_import(mut bytes: &[u8]) -> usize {
    let search = super::SeenNamespaces::default().search();
    let mut lines = Lines { input: &mut bytes, number: 0, section: None, search };
    while let Ok(Some(_)) = lines.next() {}
    0
}
