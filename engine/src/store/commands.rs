//! Clients' commands of the last 30 days, as they were signed: what a member that did not hear of one is shown, and what
//! becomes of a message that arrives after them.

use std::{collections::VecDeque, ops::Bound};

use super::{
    error::StoreError,
    layout::damaged,
    log::memtable::Reads,
    message::{ExpireMode, NewMessage},
    tables::Tables,
    write_txn::WriteTxn,
};
use crate::{
    bencode::Bt,
    holder::may_have_more,
    types::{AccountId, Ed25519PublicKey, MAX_LIFETIME, Millis, Namespace},
};

/// Commands kept of one account, and their bytes; its oldest go first.
const OF_ACCOUNT: usize = 500;
pub(super) const BYTES_OF_ACCOUNT: usize = 4 << 20;
/// Of all accounts, of which each has a share. When it has that, it lets go of one of its own for each new one; where there
/// is nothing left, who has none is obeyed, and what it said is not remembered: nobody makes the node forget what another
/// account has asked for.
const MOST: u64 = 1 << 18;
const MOST_BYTES: u64 = 256 << 20;
/// Key of the time at which the first member took a command, in its params between Allium nodes. Sorts before all others.
pub const AT: &[u8] = b"@";
/// Key of the latest expiry that the first member allowed, by its own clock, so that all members set the same.
pub const LATEST: &[u8] = b"@latest";
/// Bytes of a key: account, time, digest.
pub(super) const KEY: usize = 49;
/// The delete flag of a subaccount's token (`spec/node-rpc` §2.4).
const DELETE_FLAG: u8 = 4;

/// A client's command as members pass it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its name.
    pub method: String,
    /// A bencoded dict.
    pub params: Vec<u8>,
}

/// A change that a client has asked for.
#[derive(Clone, Debug)]
pub struct Change {
    /// When the swarm took it: it does nothing to what is later.
    pub at: Millis,
    /// What to remember of it.
    pub command: Command,
    /// Who is to be told of it, whatever happens.
    pub members: Vec<Ed25519PublicKey>,
}

/// What a command does to a message that it concerns.
pub(super) enum Effect {
    Removed,
    Expires(Millis, ExpireMode),
}

impl Command {
    /// As other members get it; `None` for a dict that cannot be read.
    #[must_use]
    pub fn without_time(&self) -> Option<Vec<u8>> {
        let Ok(Bt::Dict(mut params)) = Bt::parse(&self.params) else { return None };
        params.remove(AT);
        params.remove(LATEST);
        Some(Bt::Dict(params).encode())
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut value = vec![u8::try_from(self.method.len()).unwrap_or(u8::MAX)];
        value.extend_from_slice(self.method.as_bytes());
        value.extend_from_slice(&self.params);
        value
    }

    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let (length, rest) = value.split_first()?;
        let (method, params) = rest.split_at_checked(usize::from(*length))?;
        Some(Self { method: String::from_utf8(method.to_vec()).ok()?, params: params.to_vec() })
    }

    /// What it does to `message`, at `at`; `None` when it does not concern it.
    pub(super) fn effect(&self, message: &NewMessage, at: Millis) -> Option<Effect> {
        let Ok(Bt::Dict(params)) = Bt::parse(&self.params) else { return None };
        let get = |name: &str| params.get(name.as_bytes());
        let time = |name: &str| match get(name) {
            Some(Bt::Int(time)) => u64::try_from(*time).ok().map(Millis),
            _ => None,
        };
        let in_scope = || match get("namespace") {
            Some(Bt::Bytes(all)) => all == b"all",
            Some(Bt::Int(number)) => *number == i128::from(message.namespace.0),
            _ => message.namespace == Namespace(0),
        };
        let position = || match get("messages") {
            Some(Bt::List(hashes)) => {
                let hash = message.hash.to_string();
                hashes.iter().position(|item| matches!(item, Bt::Bytes(text) if text == hash.as_bytes()))
            }
            _ => None,
        };
        match self.method.as_str() {
            "delete" => position().map(|_| Effect::Removed),
            "delete_all" => in_scope().then_some(Effect::Removed),
            "delete_before" => (in_scope() && message.timestamp <= time("before")?).then_some(Effect::Removed),
            "expire_all" => Some(Effect::Expires(time("expiry")?, ExpireMode::Shorten)).filter(|_| in_scope()),
            "expire" => {
                let position = position()?;
                let expiry = match get("expiry")? {
                    Bt::List(several) => match several.get(position)? {
                        Bt::Int(time) => Millis(u64::try_from(*time).ok()?),
                        _ => return None,
                    },
                    _ => time("expiry")?,
                };
                let may_shorten = match get("subaccount") {
                    Some(Bt::Bytes(token)) => token.get(1).is_some_and(|flags| flags & DELETE_FLAG != 0),
                    _ => true,
                };
                let mode = match (get("extend"), get("shorten")) {
                    (Some(Bt::Int(1)), _) => ExpireMode::Extend,
                    (_, Some(Bt::Int(1))) => ExpireMode::Shorten,
                    _ if may_shorten => ExpireMode::Set,
                    _ => ExpireMode::Extend,
                };
                let latest = match params.get(LATEST) {
                    Some(Bt::Int(time)) => u64::try_from(*time).ok().map(Millis),
                    _ => None,
                };
                Some(Effect::Expires(expiry.min(latest_expiry(at, latest)), mode))
            }
            _ => None,
        }
    }
}

/// The latest expiry that a command taken at `at` may set; `told`: what the first member allowed.
#[must_use]
pub fn latest_expiry(at: Millis, told: Option<Millis>) -> Millis {
    let most = at.plus(MAX_LIFETIME);
    told.map_or(most, |told| told.min(most))
}

pub(super) fn key(account: &AccountId, at: Millis, digest: [u8; 8]) -> [u8; KEY] {
    let mut key = [0; KEY];
    key[..33].copy_from_slice(&account.0);
    key[33..41].copy_from_slice(&at.0.to_be_bytes());
    key[41..].copy_from_slice(&digest);
    key
}

/// The same key, time first.
fn by_time(key: &[u8; KEY]) -> [u8; KEY] {
    let mut other = [0; KEY];
    other[..8].copy_from_slice(&key[33..41]);
    other[8..41].copy_from_slice(&key[..33]);
    other[41..].copy_from_slice(&key[41..]);
    other
}

fn of_time(other: [u8; KEY]) -> [u8; KEY] {
    let mut key = [0; KEY];
    key[..33].copy_from_slice(&other[8..41]);
    key[33..41].copy_from_slice(&other[..8]);
    key[41..].copy_from_slice(&other[41..]);
    key
}

/// The key in `commands_by_time` that belongs to an entry of `commands`.
pub(super) fn by_time_of(key: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    Command::decode(value)?;
    Some(by_time(key.try_into().ok()?).to_vec())
}

/// The key in `commands` that belongs to one of `commands_by_time`.
pub(super) fn key_of_time(other: &[u8]) -> Option<Vec<u8>> {
    Some(of_time(other.try_into().ok()?).to_vec())
}

impl Tables {
    /// Bytes of the account's commands in the log.
    pub(super) fn logged_of(&self, view: &impl Reads, account: &AccountId) -> Result<u64, StoreError> {
        self.commands.prefix_iter(view, &account.0)?.map(|entry| Ok(entry?.1.len() as u64)).sum()
    }
}

impl WriteTxn<'_> {
    /// Remembers a command; its key, if there is room for it.
    pub(super) fn log(
        &mut self,
        account: &AccountId,
        at: Millis,
        command: &Command,
    ) -> Result<Option<[u8; KEY]>, StoreError> {
        let value = command.encode();
        let digest = blake2b_simd::Params::new().hash_length(8).hash(&value);
        let digest = digest.as_bytes().try_into().map_err(|_| damaged())?;
        self.guard(|txn| {
            let key = key(account, at, digest);
            if txn.tables.commands.get(&txn.view, &key)?.is_some() {
                return Ok(Some(key));
            }
            let mut held: VecDeque<([u8; KEY], usize)> = VecDeque::new();
            for entry in txn.tables.commands.prefix_iter(&txn.view, &account.0)? {
                let (key, value) = entry?;
                held.push_back((key.try_into().map_err(|_| damaged())?, value.len()));
            }
            let mut bytes: usize = value.len() + held.iter().map(|(_, length)| length).sum::<usize>();
            let mut gone = Vec::new();
            while held.len() >= OF_ACCOUNT || bytes > BYTES_OF_ACCOUNT {
                let Some((oldest, length)) = held.pop_front() else { return Ok(None) };
                bytes -= length;
                gone.push(oldest);
            }
            let (length, others) = (value.len() as u64, (bytes - value.len()) as u64);
            let used = txn.tables.len(&txn.tables.commands, &txn.view);
            let full = txn.exhausted
                || !may_have_more(held.len() as u64, used, MOST)
                || !may_have_more(others, txn.tables.logged(&txn.view) + length, MOST_BYTES);
            if full && gone.is_empty() {
                match held.pop_front() {
                    Some((oldest, _)) if !txn.exhausted => gone.push(oldest),
                    _ => return Ok(None),
                }
            }
            txn.forget_commands(&gone)?;
            txn.tables.commands.put(&mut txn.view, &key, &value)?;
            txn.tables.commands_by_time.put(&mut txn.view, &by_time(&key), &[])?;
            Ok(Some(key))
        })
    }

    fn forget_commands(&mut self, keys: &[[u8; KEY]]) -> Result<(), StoreError> {
        for key in keys {
            self.tables.commands.delete(&mut self.view, key)?;
            self.tables.commands_by_time.delete(&mut self.view, &by_time(key))?;
        }
        Ok(())
    }

    /// Forgets up to `step` commands that can concern no message any more.
    pub(super) fn clean_commands(&mut self, step: usize) -> Result<(), StoreError> {
        let horizon = self.expiring().minus(MAX_LIFETIME).0.to_be_bytes();
        let mut ended: Vec<[u8; KEY]> = Vec::new();
        for entry in self.tables.commands_by_time.iter(&self.view)?.take(step) {
            let (other, _) = entry?;
            if other[..8] > horizon[..] {
                break;
            }
            ended.push(of_time(other.try_into().map_err(|_| damaged())?));
        }
        self.forget_commands(&ended)
    }

    /// Whether a command of this time is known.
    pub(super) fn has_command(&self, account: &AccountId, at: Millis) -> Result<bool, StoreError> {
        let prefix = &key(account, at, [0; 8])[..41];
        Ok(self.tables.commands.prefix_iter(&self.view, prefix)?.next().transpose()?.is_some())
    }

    /// What the commands since it was stored make of a message: when its expiry was changed, and to what. `None`: it is
    /// deleted.
    pub(super) fn fate(&self, message: &NewMessage) -> Result<Option<(Millis, Millis)>, StoreError> {
        let (first, last) = (key(&message.account, message.stored, [0; 8]), key(&message.account, END, [0xff; 8]));
        let range = (Bound::Included(first.as_slice()), Bound::Included(last.as_slice()));
        let (mut changed, mut expiry) = (message.changed, message.expiry);
        for entry in self.tables.commands.range(&self.view, &range)? {
            let (key, value) = entry?;
            let at = key[33..41].try_into().map_err(|_| damaged())?;
            let at = Millis(u64::from_be_bytes(at));
            match Command::decode(value).ok_or_else(damaged)?.effect(message, at) {
                None => {}
                Some(Effect::Removed) => return Ok(None),
                Some(Effect::Expires(wanted, mode)) if at >= changed => {
                    changed = at;
                    if self.changes(mode, message.timestamp, expiry, wanted) {
                        expiry = wanted;
                    }
                }
                Some(Effect::Expires(..)) => {}
            }
        }
        Ok(Some((changed, expiry)))
    }
}

pub(super) const END: Millis = Millis(u64::MAX);
