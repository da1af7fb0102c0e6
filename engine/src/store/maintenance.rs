//! What an operator does with a store from outside. Looking is possible beside a running node, changing is not.

use std::{
    fs::File,
    io::{PipeReader, PipeWriter, Read, Write},
    ops::ControlFlow,
    path::Path,
};

use heed::{CompactionOption, Env, WithoutTls};

use super::{
    config::StoreConfig,
    directory::{FILE, LMDB_LOCK, lock},
    error::{StoreError, io},
    layout::{FORMAT, Meta},
    log::memtable::Table,
    read::Census,
    tables::Tables,
    verify::{self, Report, TableSize},
};
use crate::files::Replacement;

/// Bytes of a copy that are written between two looks at whether it is to go on.
const PIECE: u64 = 1 << 20;

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
    fn named(&self) -> [(&'static str, Table); 11] {
        [
            ("data", self.data),
            ("expiries", self.expiries),
            ("dumps", self.handoffs),
            ("missed", self.hints),
            ("tombs", self.tombstones),
            ("tombs_by_time", self.tombstones_by_time),
            ("commands", self.commands),
            ("commands_by_time", self.commands_by_time),
            ("revoked", self.revoked),
            ("meta", self.meta),
            ("times", self.times),
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

/// Writes the store in `path` anew without free pages, as long as `progress`, which gets the number of bytes so far, says so.
/// A crash leaves the old file or the new one.
///
/// # Errors
/// [`StoreError::InUse`] while a node runs there; [`StoreError`].
pub fn compact(path: &Path, progress: &mut dyn FnMut(u64) -> ControlFlow<()>) -> Result<Compacted, StoreError> {
    let lock = lock(path)?;
    let file = path.join(FILE);
    let length = || file.metadata().map(|metadata| metadata.len()).map_err(|error| io(&file, &error));
    // The write-ahead log does not come along. What cannot be read is not touched.
    drop(Tables::open_to_read(path)?);
    drop(Tables::open_with(&StoreConfig::new(path), lock.try_clone().map_err(|error| io(path, &error))?)?);
    let tables = Tables::open_to_read(path)?;
    let before = length()?;
    let entries = |tables: &Tables| Ok::<_, StoreError>(tables.sizes()?.into_iter().map(|size| size.entries).collect());
    let held: Vec<u64> = entries(&tables)?;
    let mut copy = Replacement::new(&file).map_err(|error| io(&file, &error))?;
    copy_to(&tables.env, copy.file(), progress)?;
    drop(tables);
    let swap = || {
        copy.commit()?;
        std::fs::remove_file(path.join(LMDB_LOCK))?;
        File::open(path)?.sync_all()
    };
    swap().map_err(|error| io(&file, &error))?;
    if entries(&Tables::open_to_read(path)?)? != held {
        return Err(StoreError::Damaged("the compacted file does not hold what the old one did".to_owned()));
    }
    drop(lock);
    Ok(Compacted { before, after: length()? })
}

/// LMDB writes into a pipe: it would not stop by itself before all is written.
fn copy_to(
    env: &Env<WithoutTls>,
    file: &mut File,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let (mut reader, writer) = std::io::pipe().map_err(|error| failed(&error))?;
    std::thread::scope(|scope| {
        let copying = scope.spawn(move || write_pages(env, writer));
        let moved = move_on(&mut reader, file, progress);
        // Whoever writes into it has nobody to read it.
        drop(reader);
        let copied = copying.join().unwrap_or_else(|_| Err(StoreError::Database("the copying failed".to_owned())));
        moved.and(copied)
    })
}

fn failed(error: &std::io::Error) -> StoreError {
    io(Path::new(FILE), error)
}

fn write_pages(env: &Env<WithoutTls>, writer: PipeWriter) -> Result<(), StoreError> {
    Ok(env.copy_to_file(&mut File::from(std::os::fd::OwnedFd::from(writer)), CompactionOption::Enabled)?)
}

fn move_on(
    reader: &mut PipeReader,
    file: &mut File,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let mut bytes = 0;
    loop {
        let more = std::io::copy(&mut reader.take(PIECE), file).map_err(|error| failed(&error))?;
        bytes += more;
        if progress(bytes).is_break() {
            return Err(StoreError::Interrupted);
        }
        if more == 0 {
            return file.flush().map_err(|error| failed(&error));
        }
    }
}
