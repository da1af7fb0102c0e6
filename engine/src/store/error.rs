//! Errors: why the store did not do what was asked, and what of that a stranger is told.

use std::path::Path;

/// Why the store did not do what was asked. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No room until messages expire.
    #[error("the store is full; room comes back as messages expire")]
    Full,
    /// No room for this account until messages of its own expire.
    #[error("this account's share of the store is full; room comes back as its messages expire")]
    AccountFull,
    /// The queue of writes is full.
    #[error("too many writes are waiting")]
    Busy,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// The directory holds a format that this version does not read.
    #[error("the database has format {found}, this version reads {known}; use a version that wrote it")]
    Format {
        /// What the directory holds.
        found: u64,
        /// What this code reads.
        known: u64,
    },
    /// The map of the file has no room, whatever the messages are charged.
    #[error("the store's file is full; room comes back as messages expire")]
    MapFull,
    /// The disk has no room, or takes nothing (LMDB says the same for a write that was cut off).
    #[error("the disk of the message store is full, or fails; free some of it, or lower max_store_bytes")]
    DiskFull,
    /// Another process writes there.
    #[error("another process has the message store open: a node that runs, or an `allium store` command")]
    InUse,
    /// The file is not as it was written.
    #[error(
        "the message store is damaged ({0}); put a copy of data.mdb back, or move it away and start empty: \
         the swarm sends its messages again"
    )]
    Damaged(String),
    /// What is to be taken in makes no sense.
    #[error("{0}")]
    Unusable(String),
    /// Whoever asked for it wants it no more.
    #[error("it was stopped")]
    Interrupted,
    /// The database or its disk.
    #[error("database: {0}")]
    Database(String),
}

impl StoreError {
    /// What a stranger is told of it: nothing of this machine.
    #[must_use]
    pub fn public(&self) -> String {
        match self {
            Self::Full | Self::AccountFull | Self::Busy | Self::Closed | Self::Interrupted | Self::Unusable(_) => {
                self.to_string()
            }
            Self::MapFull => Self::Full.to_string(),
            Self::Format { .. } | Self::DiskFull | Self::InUse | Self::Damaged(_) | Self::Database(_) => {
                "the store does not work".to_owned()
            }
        }
    }
}

/// Whether the disk has no room, or fails.
fn is_full(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG | libc::EIO))
}

impl From<heed::Error> for StoreError {
    fn from(error: heed::Error) -> Self {
        use heed::MdbError as Mdb;
        match &error {
            heed::Error::Mdb(Mdb::MapFull) => Self::MapFull,
            heed::Error::Mdb(Mdb::Corrupted | Mdb::PageNotFound | Mdb::Invalid | Mdb::VersionMismatch) => {
                Self::Damaged(error.to_string())
            }
            heed::Error::Io(io) if is_full(io) => Self::DiskFull,
            _ => Self::Database(error.to_string()),
        }
    }
}

/// What the operating system says of `path`.
pub(in crate::store) fn io(path: &Path, error: &std::io::Error) -> StoreError {
    if is_full(error) { StoreError::DiskFull } else { StoreError::Database(format!("{}: {error}", path.display())) }
}
