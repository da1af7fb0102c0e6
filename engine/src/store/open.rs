//! Opening: a copy of an older format, its migration, the write-ahead log that a crash has left, and a check where the file
//! looks torn.

use std::{fs::File, path::Path, sync::atomic::Ordering};

use heed::{Database, EnvFlags, types::Bytes};

use super::{
    backup,
    config::StoreConfig,
    directory::{environment, extend, file_is_short, length, lock},
    error::{StoreError, io},
    hints,
    layout::{FORMAT, Meta, damaged, expiring, u64_at},
    log::{
        memtable::{Table, Writes, size},
        wal,
    },
    migrate,
    shares::{Book, Taken},
    tables::Tables,
    tombstones,
    verify::verify,
};
use crate::files;

/// Room in the map beside the messages: indices, free pages, and what it takes to delete when all is full.
const MAP_RESERVE: u64 = 256 << 20;

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
        // Accounts are all over the file. To read what stands beside a page, as the system does by itself, is 128 KiB for 4
        // where the file is larger than memory (`docs/benchmarks.md`).
        let env = environment(path, Some(map_size), EnvFlags::NO_READ_AHEAD)?;
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
        for entry in tables.tombstones.iter(&txn)? {
            tables.shares.note(Book::Tombstones, tombstones::account_of(entry?.0), 1, &mut taken);
        }
        for entry in tables.hints.iter(&txn)? {
            tables.shares.note(Book::Hints, hints::account_of(entry?.1), 1, &mut taken);
        }
        tables.shares.add(taken);
        drop(txn);
        tables.latest.store(latest, Ordering::Relaxed);
        Ok(tables)
    }

    /// What a crash has left in the write-ahead log goes into the trees.
    fn replay(&self, path: &Path) -> Result<(), StoreError> {
        let mut txn = self.env.write_txn()?;
        let checkpointed = self.meta(&txn, Meta::Checkpointed)?;
        let mut in_flight = self.listed(&txn, checkpointed)?;
        let last = wal::replay(path, checkpointed, |table, key, value| {
            if table == self.expiries.id as u8
                && let (Some(keys), Some(value)) = (&mut in_flight, value)
            {
                keys.push(expiring((key, value)).ok_or_else(damaged)?.1);
            }
            txn.change(&self.table(table)?, key, value)
        })?;
        if last > checkpointed {
            self.set_meta(&mut txn, Meta::Checkpointed, last)?;
            in_flight.map_or(Ok(()), |keys| self.put_replayed(&mut txn, last, keys))?;
        }
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
}
