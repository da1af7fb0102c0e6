//! What comes before the trees: the write-ahead log, the memtable over the trees, and the checkpoint that puts it into them.

pub(super) mod checkpoint;
pub(super) mod memtable;
pub(super) mod wal;
