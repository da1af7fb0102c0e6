//! The message store (`spec/storage`): one writer that puts whatever has queued into a write-ahead log as one transaction, and a
//! thread that checkpoints the log into LMDB. Readers see a snapshot, and wait for neither but for the moment in which what is on
//! disk is shown to them.

mod backup;
mod commands;
mod config;
mod directory;
mod embed;
mod error;
mod export;
mod fill;
mod handle;
mod handoff;
mod hints;
mod inventory;
mod layout;
mod log;
mod maintenance;
mod message;
mod metrics;
mod migrate;
mod namespaces;
mod open;
mod operations;
mod read;
mod shares;
mod tables;
mod threads;
mod tombstones;
mod verify;
mod write_txn;
mod writer;

pub use config::{Durability, StoreConfig};
pub use error::StoreError;
pub use handle::Store;
pub use handoff::{Batch, Cursor};
pub use maintenance::{Compacted, compact, verify};
pub use message::{NewMessage, Outcome, Stored};
pub use read::{Limits, Page, StoreStats, StoredMessage};
pub use verify::Report;

#[doc(hidden)]
pub use commands::{AT, Change, Command, LATEST, latest_expiry};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use export::fuzz_import;
#[doc(hidden)]
pub use export::{Exported, Progress, export, import};
#[doc(hidden)]
pub use fill::fill_in_order;
#[doc(hidden)]
pub use handoff::Handoff;
#[doc(hidden)]
pub use hints::{Hint, Promised, ReplicationGuard};
#[doc(hidden)]
pub use inventory::{Inventory, Place};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use log::wal::fuzz_wal;
#[doc(hidden)]
pub use maintenance::{Summary, format, summary};
#[doc(hidden)]
pub use message::{ExpireMode, ExpireResult, Scope};
#[doc(hidden)]
pub use metrics::StoreMetrics;
#[doc(hidden)]
pub use namespaces::{NamespaceSearch, SeenNamespaces};
#[doc(hidden)]
pub use read::Census;
#[doc(hidden)]
pub use verify::TableSize;

#[cfg(test)]
mod tests;
