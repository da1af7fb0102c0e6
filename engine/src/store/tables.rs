//! The open database: its file, its lock, its tables.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    path::{Path, PathBuf},
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
};

use heed::{Database, Env, WithoutTls, types::Bytes};
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use super::{
    error::StoreError,
    layout::{self, Item, KEY, Meta, Record, Usage, damaged, u64_at},
    log::{
        memtable::{Bounds, Changes, Id, Memtable, Over, Reads, TABLES, Table, Touched, View, Writes},
        wal,
    },
    shares::Shares,
};
use crate::types::{AccountId, MessageHash, Millis};

/// What of the map only deletions and expiry may use.
const LAST_RESERVE: u64 = 64 << 20;
/// What of the map no message may use.
const BOOKS_RESERVE: u64 = 128 << 20;
/// What changes may take in the trees at most, by what they take before.
const CHECKPOINTED: u64 = 4;

/// The open database.
pub(super) struct Tables {
    pub(super) env: Env<WithoutTls>,
    pub(super) data: Table,
    pub(super) expiries: Table,
    pub(super) revoked: Table,
    pub(super) hints: Table,
    pub(super) handoffs: Table,
    pub(super) tombstones: Table,
    pub(super) tombstones_by_time: Table,
    pub(super) commands: Table,
    pub(super) commands_by_time: Table,
    pub(super) meta: Table,
    pub(super) times: Table,
    /// The latest time that any change has: times given to changes never go back.
    pub(super) latest: AtomicU64,
    /// Accounts with messages that were stored again after a deletion that is ahead of the clock, and until when they are.
    pub(super) restored: Mutex<HashMap<AccountId, Millis>>,
    /// Messages that other members may not have been told of, by their sequence numbers: their keys.
    pub(super) in_flight: Mutex<BTreeMap<u64, [u8; KEY]>>,
    /// Those of them that nobody is telling of.
    pub(super) untold: Mutex<BTreeMap<u64, (AccountId, MessageHash)>>,
    pub(super) untold_came: Notify,
    pub(super) max_missed: u64,
    /// As [`StoreConfig`] has it.
    pub(super) ignores_small_extensions: bool,
    /// What members have missed and there was no room to remember, since the start.
    pub(super) hints_dropped: AtomicU64,
    /// Who has how much of `missed` and `tombstones`.
    pub(super) shares: Shares,
    /// What is not in the trees yet.
    pub(super) memtable: RwLock<Memtable>,
    pub(super) touched: Touched,
    /// Entries of the tables that are counted.
    pub(super) lengths: [AtomicI64; TABLES],
    /// Bytes of the values in the log of commands.
    pub(super) logged: AtomicI64,
    /// Where the write-ahead log is of another process that may be writing.
    pub(super) beside: Option<PathBuf>,
    _lock: Option<File>,
}

impl Tables {
    /// With its tables in `tree`.
    pub(super) fn of(
        env: &Env<WithoutTls>,
        lock: Option<File>,
        max_missed: u64,
        tree: &mut impl FnMut(&'static str) -> Result<Database<Bytes, Bytes>, StoreError>,
    ) -> Result<Self, StoreError> {
        let mut table = |id, name| Ok::<_, StoreError>(Table { id, tree: tree(name)? });
        Ok(Self {
            env: env.clone(),
            data: table(Id::Data, "data")?,
            expiries: table(Id::Expiries, "expiries")?,
            revoked: table(Id::Revoked, "revoked")?,
            hints: table(Id::Hints, "missed")?,
            handoffs: table(Id::Handoffs, "dumps")?,
            tombstones: table(Id::Tombstones, "tombs")?,
            tombstones_by_time: table(Id::TombstonesByTime, "tombs_by_time")?,
            commands: table(Id::Commands, "commands")?,
            commands_by_time: table(Id::CommandsByTime, "commands_by_time")?,
            meta: table(Id::Meta, "meta")?,
            times: table(Id::Times, "times")?,
            latest: AtomicU64::new(0),
            restored: Mutex::default(),
            in_flight: Mutex::default(),
            untold: Mutex::default(),
            untold_came: Notify::new(),
            max_missed,
            ignores_small_extensions: false,
            hints_dropped: AtomicU64::new(0),
            shares: Shares::default(),
            memtable: RwLock::default(),
            touched: Touched::default(),
            lengths: [(); TABLES].map(|()| AtomicI64::new(0)),
            logged: AtomicI64::new(0),
            beside: None,
            _lock: lock,
        })
    }

    /// In the order of their numbers.
    pub(super) const fn all(&self) -> [Table; TABLES] {
        [
            self.data,
            self.expiries,
            self.revoked,
            self.hints,
            self.handoffs,
            self.tombstones,
            self.tombstones_by_time,
            self.commands,
            self.commands_by_time,
            self.meta,
            self.times,
        ]
    }

    pub(super) fn table(&self, id: u8) -> Result<Table, StoreError> {
        self.all().get(usize::from(id)).copied().ok_or_else(damaged)
    }

    /// All that was written; the writer waits as long as it is kept.
    pub(super) fn view(&self) -> Result<View<'_>, StoreError> {
        if let Some(directory) = &self.beside {
            return self.view_beside(directory);
        }
        let over = Over::Held(self.memtable.read_recursive());
        Ok(View::new(over, self.env.read_txn()?))
    }

    /// As [`Self::view`], for what concerns one account.
    pub(super) fn view_of(&self, account: &AccountId) -> Result<View<'_>, StoreError> {
        if self.touched.may_have(&account.0) {
            return self.view();
        }
        Ok(View::new(Over::Nothing, self.env.read_txn()?))
    }

    /// As [`Self::view`], for a walk that takes its time.
    pub(super) fn long_view(&self) -> Result<View<'_>, StoreError> {
        if let Some(directory) = &self.beside {
            return self.view_beside(directory);
        }
        let memtable = self.memtable.read_recursive();
        let copy = memtable.clone();
        let trees = self.env.read_txn()?;
        drop(memtable);
        Ok(View::new(Over::Copied(Box::new(copy)), trees))
    }

    /// What is in the trees, and what the log has after that. A file of the log is only written over when it has gone into
    /// the trees.
    fn view_beside(&self, directory: &Path) -> Result<View<'_>, StoreError> {
        loop {
            let trees = self.env.read_txn()?;
            let checkpointed = self.meta(&trees, Meta::Checkpointed)?;
            let mut changes = Changes::default();
            wal::replay(directory, checkpointed, |table, key, value| {
                changes.put(table, key, value);
                Ok(())
            })?;
            if self.meta(&self.env.read_txn()?, Meta::Checkpointed)? == checkpointed {
                let mut memtable = Memtable::default();
                memtable.add(changes);
                return Ok(View::new(Over::Copied(Box::new(memtable)), trees));
            }
        }
    }

    /// What is on disk is to be seen.
    pub(super) fn publish(&self, changes: Changes, side: usize) {
        let by_account = self.all().map(|table| table.is_by_account());
        for (table, key, _) in changes.iter().filter(|(table, ..)| by_account[usize::from(*table)]) {
            debug_assert!(key.len() >= 33, "table {table}");
            self.touched.mark(side, key);
        }
        for (length, more) in self.lengths.iter().zip(changes.more_entries()) {
            length.fetch_add(more, Ordering::Relaxed);
        }
        self.logged.fetch_add(changes.more_logged(), Ordering::Relaxed);
        self.memtable.write().add(changes);
    }

    /// How many entries a table has that is counted.
    pub(super) fn len(&self, table: &Table, view: &View<'_>) -> u64 {
        let length = self.lengths[table.id as usize].load(Ordering::Relaxed);
        u64::try_from(length + view.more_entries(table)).unwrap_or(0)
    }

    /// Bytes of the commands in the log.
    pub(super) fn logged(&self, view: &View<'_>) -> u64 {
        u64::try_from(self.logged.load(Ordering::Relaxed) + view.more_logged()).unwrap_or(0)
    }

    /// What an account has. An entry that format 4 wrote says nothing of inboxes; they are counted then.
    pub(super) fn usage(&self, txn: &impl Reads, account: &[u8; 33]) -> Result<Usage, StoreError> {
        let Some(value) = self.data.get(txn, account)? else { return Ok(Usage::default()) };
        let told = Usage::decode(value).ok_or_else(damaged)?;
        if value.len() >= Usage::LENGTH {
            return Ok(told);
        }
        let mut counted = Usage::default();
        for entry in self.data.prefix_iter(txn, &layout::messages_of(&AccountId(*account)))? {
            let (key, value) = entry?;
            let (Some(Item::Message(key)), Some(record)) = (Item::of(key), Record::decode(value)) else {
                return Err(damaged());
            };
            counted.add(layout::namespace_of(key), layout::charge(record.data.len()));
        }
        Ok(Usage { inbox: counted.inbox, ..told })
    }

    /// The key of the message with this hash, if `account` has it.
    pub(super) fn find(
        &self,
        txn: &impl Reads,
        account: &[u8; 33],
        hash: &MessageHash,
    ) -> Result<Option<[u8; KEY]>, StoreError> {
        let place = self.data.get(txn, &layout::hash_key(account, hash))?;
        place.map(|place| layout::at_place(account, place).ok_or_else(damaged)).transpose()
    }

    /// The message there, if there is one.
    pub(super) fn message<'t>(&self, txn: &'t impl Reads, key: &[u8; KEY]) -> Result<Option<Record<'t>>, StoreError> {
        let Some(value) = self.data.get(txn, key)? else { return Ok(None) };
        let times = self.times.get(txn, key)?;
        Record::decode(value).and_then(|record| record.with_times(times)).map(Some).ok_or_else(damaged)
    }

    /// The message there, which is there.
    pub(super) fn record<'t>(&self, txn: &'t impl Reads, key: &[u8; KEY]) -> Result<Record<'t>, StoreError> {
        self.message(txn, key)?.ok_or_else(damaged)
    }

    /// The messages whose keys are in `range`, in the order of accounts, namespaces and storing.
    pub(super) fn messages<'t, V: Reads>(
        &self,
        txn: &'t V,
        range: Bounds<'_>,
    ) -> Result<impl Iterator<Item = Result<([u8; KEY], Record<'t>), StoreError>> + use<'t, V>, StoreError> {
        let entries = self.data.range(txn, &range)?;
        let mut times = self.times.range(txn, &range)?.peekable();
        Ok(entries.filter_map(move |entry| {
            let (key, value) = match entry {
                Ok(entry) => entry,
                Err(error) => return Some(Err(error)),
            };
            let key = match Item::of(key) {
                Some(Item::Message(key)) => key,
                Some(Item::Usage(_) | Item::Hash(..)) => return None,
                None => return Some(Err(damaged())),
            };
            // Both are in the order of their keys.
            let changed = match times.next_if(|entry| !matches!(entry, Ok((of, _)) if *of > key.as_slice())) {
                None => None,
                Some(Ok((of, value))) if of == key => Some(value),
                // One of a message that is not there.
                Some(Ok(_)) => return Some(Err(damaged())),
                Some(Err(error)) => return Some(Err(error)),
            };
            let record = Record::decode(value).and_then(|record| record.with_times(changed));
            Some(record.map(|record| (*key, record)).ok_or_else(damaged))
        }))
    }

    /// A number of `meta`, 0 when it was never set.
    pub(super) fn meta(&self, txn: &impl Reads, which: Meta) -> Result<u64, StoreError> {
        Ok(self.meta.get(txn, which.name())?.and_then(u64_at).unwrap_or(0))
    }

    pub(super) fn set_meta(&self, txn: &mut impl Writes, which: Meta, value: u64) -> Result<(), StoreError> {
        // A transaction that changes nothing is not written at all.
        if self.meta(txn, which)? == value && self.meta.get(txn, which.name())?.is_some() {
            return Ok(());
        }
        self.meta.put(txn, which.name(), &value.to_be_bytes())
    }

    /// What of the map is left.
    pub(super) fn left(&self) -> Result<Left, StoreError> {
        let info = self.env.info();
        let (map_size, page) = (info.map_size as u64, u64::from(self.env.stat().page_size));
        let coming = CHECKPOINTED * self.memtable.read_recursive().bytes() as u64;
        let of = |used: u64| match map_size.saturating_sub(used + coming) {
            0..LAST_RESERVE => Left::Nothing,
            LAST_RESERVE..BOOKS_RESERVE => Left::Little,
            _ => Left::Enough,
        };
        match of((info.last_page_number as u64 + 1) * page) {
            Left::Enough => Ok(Left::Enough),
            // Counting free pages takes longer.
            Left::Little | Left::Nothing => Ok(of(self.env.non_free_pages_size()?)),
        }
    }
}

/// How much of the map may still be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// All may go on.
    Enough,
    /// No messages, but what is remembered of changes: commands, deletions, what members have missed.
    Little,
    /// Only what makes room.
    Nothing,
}
