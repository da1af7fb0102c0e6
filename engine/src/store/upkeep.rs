//! What an operator does with a store from outside. Looking is possible beside a running node, changing is not.

use std::{fs::File, path::Path};

use heed::CompactionOption;

use super::{
    Census, StoreConfig, StoreError,
    layout::{FORMAT, Meta},
    recent::Table,
    tables::{FILE, Tables, io, lock},
    verify::{self, Report, TableSize},
};

/// Where a compacted copy is made before it takes the file's place.
const COPY: &str = "data.mdb.compact";
/// LMDB's own lock file, which belongs to the file that it was made beside.
const LMDB_LOCK: &str = "lock.mdb";

/// What a directory holds.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Of the file.
    pub format: u64,
    /// Messages.
    pub messages: u64,
    /// Bytes charged for them.
    pub bytes: u64,
    /// The last sequence number given out.
    pub sequence: u64,
    /// Messages by account and namespace, and the size of the file.
    pub census: Census,
    /// Every table.
    pub tables: Vec<TableSize>,
}

/// What a compaction has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Bytes of the file before.
    pub before: u64,
    /// Bytes of the file now.
    pub after: u64,
}

impl Tables {
    fn named(&self) -> [(&'static str, Table); 10] {
        [
            ("data", self.data),
            ("expiries", self.expiries),
            ("dumps", self.dumps),
            ("missed", self.missed),
            ("tombs", self.tombs),
            ("tombs_by_time", self.tombs_by_time),
            ("commands", self.commands),
            ("commands_by_time", self.commands_by_time),
            ("revoked", self.revoked),
            ("meta", self.meta),
        ]
    }

    fn sizes(&self) -> Result<Vec<TableSize>, StoreError> {
        let txn = self.env.read_txn()?;
        let size = |(name, table): (&'static str, Table)| {
            let stat = table.tree.stat(&txn)?;
            let pages = (stat.branch_pages + stat.leaf_pages + stat.overflow_pages) as u64;
            Ok(TableSize { name, entries: stat.entries as u64, bytes: pages * u64::from(stat.page_size) })
        };
        self.named().into_iter().map(size).collect()
    }
}

/// The format of the store in `path`, and the one that this version writes. Takes no time.
///
/// # Errors
/// [`StoreError`].
pub fn format(path: &Path) -> Result<(u64, u64), StoreError> {
    match Tables::open_to_read(path) {
        Ok(_) => Ok((FORMAT, FORMAT)),
        Err(StoreError::Format { found, known }) => Ok((found, known)),
        Err(error) => Err(error),
    }
}

/// What the store in `path` holds.
///
/// # Errors
/// [`StoreError`].
pub fn summary(path: &Path) -> Result<Summary, StoreError> {
    let tables = Tables::open_to_read(path)?;
    let txn = tables.view()?;
    Ok(Summary {
        format: FORMAT,
        messages: tables.meta(&txn, Meta::Messages)?,
        bytes: tables.meta(&txn, Meta::Bytes)?,
        sequence: tables.meta(&txn, Meta::Sequence)?,
        census: tables.census()?,
        tables: tables.sizes()?,
    })
}

/// Walks every index of the store in `path` both ways and computes every hash anew; `progress` gets the number of entries
/// so far, now and then.
///
/// # Errors
/// [`StoreError`], when it cannot be opened. What does not agree is in the [`Report`].
pub fn verify(path: &Path, progress: &mut dyn FnMut(u64)) -> Result<Report, StoreError> {
    verify::verify(&Tables::open_to_read(path)?, progress)
}

/// Writes the store in `path` anew without free pages. A crash leaves the old file or the new one.
///
/// # Errors
/// [`StoreError::InUse`] while a node runs there; [`StoreError`].
pub fn compact(path: &Path) -> Result<Compacted, StoreError> {
    let lock = lock(path)?;
    let (file, copy) = (path.join(FILE), path.join(COPY));
    let length = || file.metadata().map(|metadata| metadata.len()).map_err(|error| io(&file, &error));
    // The redo log does not come along. What cannot be read is not touched.
    drop(Tables::open_to_read(path)?);
    drop(Tables::open_with(&StoreConfig::new(path), lock.try_clone().map_err(|error| io(path, &error))?)?);
    let tables = Tables::open_to_read(path)?;
    let before = length()?;
    let entries = |tables: &Tables| Ok::<_, StoreError>(tables.sizes()?.into_iter().map(|size| size.entries).collect());
    let held: Vec<u64> = entries(&tables)?;
    match std::fs::remove_file(&copy) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(&copy, &error)),
        _ => {}
    }
    let written = tables.env.copy_to_path(&copy, CompactionOption::Enabled).map_err(StoreError::from);
    let synced = written.and_then(|written| written.sync_all().map_err(|error| io(&copy, &error)));
    drop(tables);
    let swap = || {
        std::fs::rename(&copy, &file)?;
        std::fs::remove_file(path.join(LMDB_LOCK))?;
        File::open(path)?.sync_all()
    };
    if let Err(error) = synced.and_then(|()| swap().map_err(|error| io(&file, &error))) {
        // Best effort: the next attempt removes it too.
        drop(std::fs::remove_file(&copy));
        return Err(error);
    }
    if entries(&Tables::open_to_read(path)?)? != held {
        return Err(StoreError::Damaged("the compacted file does not hold what the old one did".to_owned()));
    }
    drop(lock);
    Ok(Compacted { before, after: length()? })
}
