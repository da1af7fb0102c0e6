//! The open database: its file, its lock, its tables.

use std::{
    collections::BTreeSet,
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    thread::JoinHandle,
};

use heed::{Database, Env, EnvFlags, EnvOpenOptions, WithoutTls, types::Bytes};
use parking_lot::{Mutex, RwLock};

use super::{
    StoreConfig, StoreError, backup, is_full,
    layout::{self, FORMAT, Item, KEY, Meta, Record, Usage, damaged, u64_at},
    migrate,
    recent::{Bounds, Changes, Id, Over, Reads, Recent, TABLES, Table, Touched, View, Writes},
    redo,
    verify::verify,
};
use crate::types::{AccountId, MessageHash};

/// The database.
pub(super) const FILE: &str = "data.mdb";
/// Whoever writes holds a lock on this file; LMDB's own only sees to single transactions.
const LOCK: &str = "store.lock";
const MAX_TABLES: u32 = 32;
/// Room in the map beside the messages: indices, free pages, and what it takes to delete when all is full.
const MAP_RESERVE: u64 = 256 << 20;
/// What of the map only deletions may use.
const LAST_RESERVE: u64 = 64 << 20;
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
    /// The latest time that any change has: times given to changes never go back.
    pub(super) latest: AtomicU64,
    /// Sequence numbers of messages that other members may not have been told of.
    pub(super) in_flight: Mutex<BTreeSet<u64>>,
    pub(super) max_missed: u64,
    /// What members have missed and there was no room to remember, since the start.
    pub(super) missed_dropped: AtomicU64,
    /// What is not in the trees yet.
    pub(super) recent: RwLock<Recent>,
    pub(super) touched: Touched,
    /// Entries of the tables that are counted.
    lengths: [AtomicI64; TABLES],
    /// Where the redo log is of another process that may be writing.
    beside: Option<PathBuf>,
    _lock: Option<File>,
}

impl Tables {
    /// For the one that writes.
    pub(super) fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        let path = &config.path;
        std::fs::create_dir_all(path).map_err(|error| io(path, &error))?;
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
        let tables = Self::of(&env, Some(lock), config.max_missed, &mut table)?;
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
            latest: AtomicU64::new(0),
            in_flight: Mutex::default(),
            max_missed,
            missed_dropped: AtomicU64::new(0),
            recent: RwLock::default(),
            touched: Touched::default(),
            lengths: [(); TABLES].map(|()| AtomicI64::new(0)),
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
        self.recent.write().add(changes);
    }

    /// How many entries a table has that is counted.
    pub(super) fn len(&self, table: &Table, view: &View<'_>) -> u64 {
        let length = self.lengths[table.id as usize].load(Ordering::Relaxed);
        u64::try_from(length + view.more_entries(table)).unwrap_or(0)
    }

    /// What an account has.
    pub(super) fn usage(&self, txn: &impl Reads, account: &[u8; 33]) -> Result<Usage, StoreError> {
        Ok(self.data.get(txn, account)?.and_then(Usage::decode).unwrap_or_default())
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

    /// The message there.
    pub(super) fn record<'t>(&self, txn: &'t impl Reads, key: &[u8; KEY]) -> Result<Record<'t>, StoreError> {
        self.data.get(txn, key)?.and_then(Record::decode).ok_or_else(damaged)
    }

    /// The messages whose keys are in `range`, in the order of accounts, namespaces and storing.
    pub(super) fn messages<'t, V: Reads>(
        &self,
        txn: &'t V,
        range: Bounds<'_>,
    ) -> Result<impl Iterator<Item = Result<([u8; KEY], Record<'t>), StoreError>> + use<'t, V>, StoreError> {
        let entries = self.data.range(txn, &range)?;
        Ok(entries.filter_map(|entry| {
            let (key, value) = match entry {
                Ok(entry) => entry,
                Err(error) => return Some(Err(error)),
            };
            match (Item::of(key), Record::decode(value)) {
                (Some(Item::Message(key)), Some(record)) => Some(Ok((*key, record))),
                (Some(Item::Usage(_) | Item::Hash(..)), _) => None,
                _ => Some(Err(damaged())),
            }
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

    /// Whether so little of the map is left that it is kept for deletions.
    pub(super) fn is_tight(&self) -> Result<bool, StoreError> {
        let info = self.env.info();
        let map_size = info.map_size as u64;
        let page = u64::from(self.env.stat().page_size);
        let reserve = LAST_RESERVE + FOLDED * self.recent.read_recursive().bytes() as u64;
        if (info.last_page_number as u64 + 1) * page + reserve <= map_size {
            return Ok(false);
        }
        Ok(self.env.non_free_pages_size()? + reserve > map_size)
    }
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
    let options = || File::options().create(true).truncate(false).write(true).open(&path);
    let file = options().map_err(|error| io(&path, &error))?;
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
    unsafe {
        options.flags(flags);
        Ok(options.open(path)?)
    }
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
