//! The directory: its lock, its LMDB environment, and the length that its file has.

use std::{
    fs::{File, TryLockError},
    path::Path,
};

use heed::{Env, EnvFlags, EnvOpenOptions, WithoutTls};

use super::error::{StoreError, io};
use crate::files;

/// The database.
pub(super) const FILE: &str = "data.mdb";
/// Whoever writes holds a lock on this file; LMDB's own only sees to single transactions.
const LOCK: &str = "store.lock";
/// LMDB's own lock file, which belongs to the file that it was made beside.
pub(super) const LMDB_LOCK: &str = "lock.mdb";
const MAX_TABLES: u32 = 32;

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
pub(super) fn length(path: &Path) -> Result<u64, StoreError> {
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

pub(super) fn environment(path: &Path, map_size: Option<u64>, flags: EnvFlags) -> Result<Env<WithoutTls>, StoreError> {
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

pub(super) fn file_is_short(env: &Env<WithoutTls>, path: &Path) -> Result<bool, StoreError> {
    Ok(length(path)? < pages_end(env))
}

/// Makes the file as long as it says it is, so that no read falls behind its end; whether it was shorter.
pub(super) fn extend(env: &Env<WithoutTls>, path: &Path) -> Result<bool, StoreError> {
    let short = length(path)? > 0 && file_is_short(env, path)?;
    if short {
        let path = path.join(FILE);
        let file = File::options().write(true).open(&path).map_err(|error| io(&path, &error))?;
        file.set_len(pages_end(env)).map_err(|error| io(&path, &error))?;
    }
    Ok(short)
}
