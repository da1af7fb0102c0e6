//! Configuration: where the store is, how much it may hold, what its acknowledgement means.

use std::path::PathBuf;

/// What an acknowledgement means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// On disk: a power cut loses nothing that was acknowledged.
    #[default]
    Sync,
    /// Given to the operating system, and on disk a second or two later: a crash of the process loses nothing, one of
    /// the machine what was not on disk.
    Async,
}

impl Durability {
    /// As operators write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Async => "async",
        }
    }
}

impl std::str::FromStr for Durability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sync" => Ok(Self::Sync),
            "async" => Ok(Self::Async),
            _ => Err(format!("durability is sync or async, not {text:?}")),
        }
    }
}

/// How a store is laid out and bounded.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Directory of the database; created when missing.
    pub path: PathBuf,
    /// Bytes that messages may take, bookkeeping included.
    pub max_bytes: u64,
    /// Bytes that the messages in the public inboxes of one account may take, and as much again those elsewhere.
    pub account_bytes: u64,
    /// Messages that one account may have, likewise.
    pub account_messages: u64,
    /// Things that members of the swarm have missed, of all members together, that may be kept for them: some 150 bytes
    /// each, and as much as a command's params.
    pub max_missed: u64,
    /// Writes that may wait before the answer is "busy".
    pub queue: usize,
    /// Writes in one transaction at most.
    pub batch: usize,
    /// What an acknowledgement means.
    pub durability: Durability,
    /// Whether a message stays as it is where `expire` would lengthen its life by less than a hundredth.
    pub ignores_small_extensions: bool,
}

impl StoreConfig {
    /// The reference's limit (3,584 MiB) and bounds that suit a loaded node.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            max_bytes: 3584 << 20,
            account_bytes: 128 << 20,
            account_messages: 100_000,
            max_missed: 1 << 20,
            queue: 4096,
            batch: 1024,
            durability: Durability::Sync,
            ignores_small_extensions: false,
        }
    }
}
