//! What is kept of a store before its format changes: a copy that an older version opens.

use std::path::{Path, PathBuf};

use heed::{CompactionOption, Env, WithoutTls, types::Bytes};

use super::{
    directory::FILE,
    error::{StoreError, io},
    layout::{FORMAT, Meta, u64_at},
};
use crate::files::Replacement;

/// Where the copy of a store of `format` is.
pub(super) fn place(path: &Path, format: u64) -> PathBuf {
    path.join(format!("{FILE}.format-{format}"))
}

/// The format of a store, before anything else of it is looked at; `None` for one that is being made.
pub(super) fn format(env: &Env<WithoutTls>) -> Result<Option<u64>, StoreError> {
    let txn = env.read_txn()?;
    let Some(meta) = env.open_database::<Bytes, Bytes>(&txn, Some("meta"))? else { return Ok(None) };
    let found = meta.get(&txn, Meta::Format.name())?.and_then(u64_at);
    // LMDB keeps the handle of a table only if the transaction that opened it is committed.
    txn.commit()?;
    Ok(found)
}

/// Copies the store in `path`, of the older `format`, if `available` bytes are enough for that and for what follows.
///
/// A copy that is there is of a start that was cut off before it changed anything, or of one that an operator undid: the
/// store itself is what counts.
pub(super) fn keep(env: &Env<WithoutTls>, path: &Path, format: u64, available: u64) -> Result<(), StoreError> {
    let (copy, length) = (place(path, format), env.real_disk_size()?);
    // What is converted is there twice for a while, at most.
    let needed = length.saturating_mul(2);
    if available < needed {
        return Err(StoreError::Database(format!(
            "it has format {format} and is copied before it gets format {FORMAT}, which takes {} MB on its disk, where {} \
             are free; make room and start again",
            needed.div_ceil(1 << 20),
            available >> 20,
        )));
    }
    let mut file = Replacement::new(&copy).map_err(|error| io(&copy, &error))?;
    env.copy_to_file(file.file(), CompactionOption::Enabled)?;
    file.commit().map_err(|error| io(&copy, &error))?;
    tracing::info!(format, copy = %copy.display(), "the store was copied before it changes; delete the copy when all is well");
    Ok(())
}

/// Bytes that may still be written where `path` is.
pub(super) fn available(path: &Path) -> Result<u64, StoreError> {
    let told = rustix::fs::statvfs(path).map_err(|error| io(path, &error.into()))?;
    Ok(told.f_bavail.saturating_mul(told.f_frsize))
}
