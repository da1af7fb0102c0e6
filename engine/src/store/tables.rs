//! The open database: its file, its lock, its tables.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    thread::JoinHandle,
};

use heed::{Database, Env, EnvFlags, EnvOpenOptions, WithoutTls, types::Bytes};
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use super::{
    StoreConfig, StoreError, backup, is_full,
    layout::{self, FORMAT, Item, KEY, Meta, Record, Usage, damaged, u64_at},
    migrate, pending,
    recent::{Bounds, Changes, Id, Over, Reads, Recent, TABLES, Table, Touched, View, Writes},
    redo,
    shares::{Book, Shares, Taken},
    tombs,
    verify::verify,
};
use crate::{
    files,
    types::{AccountId, MessageHash, Millis},
};

/// The database.
pub(super) const FILE: &str = "data.mdb";
/// Whoever writes holds a lock on this file; LMDB's own only sees to single transactions.
const LOCK: &str = "store.lock";
/// LMDB's own lock file, which belongs to the file that it was made beside.
pub(super) const LMDB_LOCK: &str = "lock.mdb";
const MAX_TABLES: u32 = 32;
/// Room in the map beside the messages: indices, free pages, and what it takes to delete when all is full.
const MAP_RESERVE: u64 = 256 << 20;
/// What of the map only deletions and expiry may use.
const LAST_RESERVE: u64 = 64 << 20;
/// What of the map no message may use.
const BOOKS_RESERVE: u64 = 128 << 20;
/// What changes may take in the trees at most, by what they take before.
const FOLDED: u64 = 4;

/// The open database.
pub(super) struct Tables {
    pub(super) env: Env<WithoutTls>,
    pub(super) data: Table,
    pub(super) expiries: Table,
    pub(super) revoked: Table,
    pub(super) missed: Table,
    pub(super) dumps: Table,
    pub(super) tombs: Table,
    pub(super) tombs_by_time: Table,
    pub(super) commands: Table,
    pub(super) commands_by_time: Table,
    pub(super) meta: Table,
    pub(super) times: Table,
    /// The latest time that any change has: times given to changes never go back.
    pub(super) latest: AtomicU64,
    /// Accounts with messages that were stored again after a deletion that is ahead of the clock, and until when they are.
    pub(super) restored: Mutex<HashMap<AccountId, Millis>>,
    /// Sequence numbers of messages that other members may not have been told of.
    pub(super) in_flight: Mutex<BTreeSet<u64>>,
    /// Those of them that nobody is telling of.
    pub(super) untold: Mutex<BTreeMap<u64, (AccountId, MessageHash)>>,
    pub(super) untold_came: Notify,
    pub(super) max_missed: u64,
    /// As [`StoreConfig`] has it.
    pub(super) ignores_small_extensions: bool,
    /// What members have missed and there was no room to remember, since the start.
    pub(super) missed_dropped: AtomicU64,
    /// Who has how much of `missed` and `tombs`.
    pub(super) shares: Shares,
    /// What is not in the trees yet.
    pub(super) recent: RwLock<Recent>,
    pub(super) touched: Touched,
    /// Entries of the tables that are counted.
    lengths: [AtomicI64; TABLES],
    /// Bytes of the values in the log of commands.
    logged: AtomicI64,
    /// Where the redo log is of another process that may be writing.
    beside: Option<PathBuf>,
    _lock: Option<File>,
}

impl Tables {
    /// For the one that writes.
    pub(super) fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        let path = &config.path;
        files::make_directory(path).map_err(|error| io(path, &error))?;
        Self::open_with(config, lock(path)?)
    }

    /// `lock`: [`lock`] of the same directory.
    pub(super) fn open_with(config: &StoreConfig, lock: File) -> Result<Self, StoreError> {
        let path = &config.path;
        let length = length(path)?;
        // A limit that was lowered must leave room to delete in.
        let map_size = config.max_bytes.saturating_mul(2).max(length).saturating_add(MAP_RESERVE) / 4096 * 4096;
        let env = environment(path, Some(map_size), EnvFlags::empty())?;
        // Whoever was killed while it read keeps pages from being used again.
        env.clear_stale_readers()?;
        let short = extend(&env, path)?;
        match backup::format(&env)? {
            Some(found) if found > FORMAT => return Err(StoreError::Format { found, known: FORMAT }),
            Some(found) if found < FORMAT => backup::keep(&env, path, found, backup::available(path)?)?,
            _ => {}
        }
        let mut txn = env.write_txn()?;
        let mut table = |name| Ok(env.create_database(&mut txn, Some(name))?);
        let mut tables = Self::of(&env, Some(lock), config.max_missed, &mut table)?;
        tables.ignores_small_extensions = config.ignores_small_extensions;
        if tables.meta(&txn, Meta::Format)? == 0 {
            tables.set_meta(&mut txn, Meta::Format, FORMAT)?;
        }
        txn.commit()?;
        // Pages at the end may have been freed before they were ever written. If they are in use, the file is torn.
        if short && let Some(problem) = verify(&tables, &mut |_| {})?.problems.into_iter().next() {
            return Err(StoreError::Damaged(problem));
        }
        migrate::to_present(&tables)?;
        tables.replay(path)?;
        let txn = tables.env.read_txn()?;
        let latest = tables.meta(&txn, Meta::Latest)?;
        for table in tables.all().into_iter().filter(Table::is_counted) {
            let length = i64::try_from(table.tree.len(&txn)?).map_err(|_| damaged())?;
            tables.lengths[table.id as usize].store(length, Ordering::Relaxed);
        }
        let mut logged = 0;
        for entry in tables.commands.iter(&txn)? {
            logged += size(entry?.1);
        }
        tables.logged.store(logged, Ordering::Relaxed);
        let mut taken = Taken::default();
        for entry in tables.tombs.iter(&txn)? {
            tables.shares.note(Book::Tombs, tombs::account_of(entry?.0), 1, &mut taken);
        }
        for entry in tables.missed.iter(&txn)? {
            tables.shares.note(Book::Missed, pending::account_of(entry?.1), 1, &mut taken);
        }
        tables.shares.add(taken);
        drop(txn);
        tables.latest.store(latest, Ordering::Relaxed);
        Ok(tables)
    }

    /// What a crash has left in the redo log goes into the trees.
    fn replay(&self, path: &Path) -> Result<(), StoreError> {
        let mut txn = self.env.write_txn()?;
        let folded = self.meta(&txn, Meta::Folded)?;
        let last = redo::replay(path, folded, |table, key, value| txn.change(&self.table(table)?, key, value))?;
        self.set_meta(&mut txn, Meta::Folded, last)?;
        Ok(txn.commit()?)
    }

    /// For one that looks, also while a node runs.
    pub(super) fn open_to_read(path: &Path) -> Result<Self, StoreError> {
        if length(path)? == 0 {
            return Err(StoreError::Database(format!("there is no message store in {}", path.display())));
        }
        let env = environment(path, None, EnvFlags::READ_ONLY)?;
        if file_is_short(&env, path)? {
            return Err(StoreError::Damaged("it is shorter than what it says it holds".to_owned()));
        }
        let txn = env.read_txn()?;
        // Older formats have other tables, so their number comes first.
        let meta: Database<Bytes, Bytes> = env.open_database(&txn, Some("meta"))?.ok_or_else(damaged)?;
        let found = meta.get(&txn, Meta::Format.name())?.and_then(u64_at).unwrap_or(0);
        if found != FORMAT {
            return Err(StoreError::Format { found, known: FORMAT });
        }
        let mut tables = Self::of(&env, None, 0, &mut |name| env.open_database(&txn, Some(name))?.ok_or_else(damaged))?;
        txn.commit()?;
        tables.beside = Some(path.to_owned());
        Ok(tables)
    }

    fn of(
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
            missed: table(Id::Missed, "missed")?,
            dumps: table(Id::Dumps, "dumps")?,
            tombs: table(Id::Tombs, "tombs")?,
            tombs_by_time: table(Id::TombsByTime, "tombs_by_time")?,
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
            missed_dropped: AtomicU64::new(0),
            shares: Shares::default(),
            recent: RwLock::default(),
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
            self.missed,
            self.dumps,
            self.tombs,
            self.tombs_by_time,
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
        let over = Over::Held(self.recent.read_recursive());
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
        let recent = self.recent.read_recursive();
        let copy = recent.clone();
        let trees = self.env.read_txn()?;
        drop(recent);
        Ok(View::new(Over::Copied(Box::new(copy)), trees))
    }

    /// What is in the trees, and what the log has after that. A file of the log is only written over when it has gone into
    /// the trees.
    fn view_beside(&self, directory: &Path) -> Result<View<'_>, StoreError> {
        loop {
            let trees = self.env.read_txn()?;
            let folded = self.meta(&trees, Meta::Folded)?;
            let mut changes = Changes::default();
            redo::replay(directory, folded, |table, key, value| {
                changes.put(table, key, value);
                Ok(())
            })?;
            if self.meta(&self.env.read_txn()?, Meta::Folded)? == folded {
                let mut recent = Recent::default();
                recent.add(changes);
                return Ok(View::new(Over::Copied(Box::new(recent)), trees));
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
        self.recent.write().add(changes);
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
        let coming = FOLDED * self.recent.read_recursive().bytes() as u64;
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

/// Bytes of a value, to be counted with.
pub(super) fn size(value: &[u8]) -> i64 {
    i64::try_from(value.len()).unwrap_or(i64::MAX)
}

pub(super) fn io(path: &Path, error: &std::io::Error) -> StoreError {
    if is_full(error) { StoreError::DiskFull } else { StoreError::Database(format!("{}: {error}", path.display())) }
}

/// A thread of the store.
pub(super) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.map_err(|error| StoreError::Database(error.to_string()))
}

/// Held until it is dropped, also by a process that dies.
pub(super) fn lock(path: &Path) -> Result<File, StoreError> {
    let path = path.join(LOCK);
    let file = files::open_private(&path).map_err(|error| io(&path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse),
        Err(TryLockError::Error(error)) => Err(io(&path, &error)),
    }
}

/// Bytes of the file; 0 when there is none.
fn length(path: &Path) -> Result<u64, StoreError> {
    let path = path.join(FILE);
    let length = match std::fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(io(&path, &error)),
    };
    // LMDB's two heads, a page each.
    if length > 0 && length < 8192 {
        return Err(StoreError::Damaged("it has no head".to_owned()));
    }
    Ok(length)
}

fn environment(path: &Path, map_size: Option<u64>, flags: EnvFlags) -> Result<Env<WithoutTls>, StoreError> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.max_dbs(MAX_TABLES).max_readers(1024);
    if let Some(size) = map_size {
        let size = usize::try_from(size);
        options.map_size(size.map_err(|_| StoreError::Database("max_bytes is more than this machine can map".into()))?);
    }
    // SAFETY: no flag takes anything away. The file is written through LMDB alone, by one process (`lock`), and nobody
    // truncates it; where it is short, it is extended before anything of it is read.
    let env = unsafe {
        options.flags(flags);
        options.open(path)?
    };
    // Also who only looks makes them.
    for name in [FILE, LMDB_LOCK] {
        let path = path.join(name);
        files::own(&path).map_err(|error| io(&path, &error))?;
    }
    Ok(env)
}

fn pages_end(env: &Env<WithoutTls>) -> u64 {
    (env.info().last_page_number as u64 + 1) * u64::from(env.stat().page_size)
}

fn file_is_short(env: &Env<WithoutTls>, path: &Path) -> Result<bool, StoreError> {
    Ok(length(path)? < pages_end(env))
}

/// Makes the file as long as it says it is, so that no read falls behind its end; whether it was shorter.
fn extend(env: &Env<WithoutTls>, path: &Path) -> Result<bool, StoreError> {
    let short = length(path)? > 0 && file_is_short(env, path)?;
    if short {
        let path = path.join(FILE);
        let file = File::options().write(true).open(&path).map_err(|error| io(&path, &error))?;
        file.set_len(pages_end(env)).map_err(|error| io(&path, &error))?;
    }
    Ok(short)
}
