//! Puts what was written last into the trees, beside the writer.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use heed::PutFlags;
use parking_lot::{Condvar, Mutex};

use super::super::{
    error::StoreError,
    layout::Meta,
    log::{
        memtable::{Change, Changes},
        wal::Unsynced,
    },
    tables::Tables,
    threads::spawn,
};
use crate::watchdog::{Heart, Pulse};

const CHECKPOINT_THREAD: &str = "allium-ckpt";
/// After a checkpoint that failed.
const PAUSE: Duration = Duration::from_secs(1);
/// Changes in one transaction: the pages that it writes are kept in memory until it ends, and then for the next.
const STEP: usize = 16_384;
/// And where so many at once do not fit into the file.
const SMALL_STEP: usize = 256;

/// Changes that are to go into the trees.
pub(in crate::store) struct Checkpoint {
    pub(in crate::store) epoch: u64,
    pub(in crate::store) side: usize,
    pub(in crate::store) changes: Arc<Changes>,
    /// As [`super::super::hints::in_flight`] gives it.
    pub(in crate::store) in_flight: Option<Vec<u8>>,
    /// Of the log, what may not be on disk.
    pub(in crate::store) unsynced: Option<Unsynced>,
}

#[derive(Default)]
struct CheckpointState {
    busy: bool,
    /// Why it does not come to an end.
    stuck: Option<StoreError>,
    ended: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<CheckpointState>,
    changed: Condvar,
}

/// The thread that checkpoints, as the writer has it.
pub(in crate::store) struct Checkpointer {
    checkpoints: Option<Sender<Checkpoint>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    pulse: Arc<Pulse>,
}

impl Checkpointer {
    pub(in crate::store) fn start(tables: Arc<Tables>) -> Result<Self, StoreError> {
        let (sender, receiver) = channel();
        let shared = Arc::<Shared>::default();
        let of_thread = Arc::clone(&shared);
        let pulse = Pulse::new(CHECKPOINT_THREAD);
        let its = Arc::clone(&pulse);
        let thread = spawn(CHECKPOINT_THREAD, move || run(&tables, &receiver, &of_thread, &its.begin()))?;
        Ok(Self { checkpoints: Some(sender), shared, thread: Some(thread), pulse })
    }

    pub(in crate::store) const fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    pub(in crate::store) fn is_busy(&self) -> bool {
        self.shared.state.lock().busy
    }

    /// Why it does not come to an end.
    pub(in crate::store) fn stuck(&self) -> Option<StoreError> {
        self.shared.state.lock().stuck.clone()
    }

    /// Only when it is not busy.
    pub(in crate::store) fn begin(&self, checkpoint: Checkpoint) {
        self.shared.state.lock().busy = true;
        if self.checkpoints.as_ref().is_none_or(|checkpoints| checkpoints.send(checkpoint).is_err()) {
            let mut state = self.shared.state.lock();
            state.stuck = Some(StoreError::Closed);
        }
    }

    /// Returns when all is in the trees, or why it cannot be now.
    pub(in crate::store) fn wait(&self) -> Result<(), StoreError> {
        let mut state = self.shared.state.lock();
        loop {
            match &state.stuck {
                _ if !state.busy => return Ok(()),
                Some(error) => return Err(error.clone()),
                None => self.shared.changed.wait(&mut state),
            }
        }
    }

    /// Ends the thread, also when it is stuck.
    fn end(&mut self) {
        self.checkpoints = None;
        self.shared.state.lock().ended = true;
        self.shared.changed.notify_all();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that checkpoints ended abnormally");
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.end();
    }
}

fn run(tables: &Tables, checkpoints: &Receiver<Checkpoint>, shared: &Shared, heart: &Heart) {
    while let Ok(checkpoint) = checkpoints.recv() {
        heart.beat();
        while let Err(error) = tables.checkpoint(&checkpoint, heart) {
            tracing::error!(%error, "what was written last could not be put into the store's trees yet");
            let mut state = shared.state.lock();
            state.stuck = Some(error);
            shared.changed.notify_all();
            if !state.ended {
                shared.changed.wait_for(&mut state, PAUSE);
            }
            if state.ended {
                return;
            }
        }
        let side = checkpoint.side;
        drop(checkpoint);
        // What is in the trees is seen there before it is not seen here any more.
        let checkpointed = tables.memtable.write().checkpointed();
        tables.touched.clear(side);
        drop(checkpointed);
        let mut state = shared.state.lock();
        (state.busy, state.stuck) = (false, None);
        shared.changed.notify_all();
        heart.rest();
    }
}

impl Tables {
    /// In several transactions: what is checkpointed twice is the same, and whoever reads sees all of `changes` elsewhere.
    /// The log is on disk before the first of several, so that the tables never hold a part of what is nowhere else.
    fn checkpoint(&self, checkpoint: &Checkpoint, heart: &Heart) -> Result<(), StoreError> {
        let all: Vec<_> = checkpoint.changes.iter().collect();
        let sync = || checkpoint.unsynced.as_ref().map_or(Ok(()), Unsynced::sync);
        if all.len() > STEP {
            sync()?;
        }
        let mut rest = all.as_slice();
        loop {
            heart.beat();
            let (some, later) = rest.split_at(rest.len().min(STEP));
            let last = later.is_empty().then_some(checkpoint);
            match self.put_all(some, last) {
                Err(StoreError::MapFull) => {
                    sync()?;
                    some.chunks(SMALL_STEP).try_for_each(|few| self.put_all(few, None))?;
                    self.put_all(&[], last)?;
                }
                done => done?,
            }
            if last.is_some() {
                return Ok(());
            }
            rest = later;
        }
    }

    /// `whole`: with these changes all of it is there.
    fn put_all(&self, changes: &[Change<'_>], whole: Option<&Checkpoint>) -> Result<(), StoreError> {
        let mut txn = self.env.write_txn()?;
        let mut last = self.expiries.tree.last(&txn)?.map(|(key, _)| key.to_vec());
        for &(table, key, value) in changes {
            let table = self.table(table)?;
            match value {
                // Most of these come in order: their pages are filled to the end.
                Some(value) if table.id == self.expiries.id && last.as_deref().is_none_or(|last| last < key) => {
                    table.tree.put_with_flags(&mut txn, PutFlags::APPEND, key, value)?;
                    last = Some(key.to_vec());
                }
                Some(value) => table.tree.put(&mut txn, key, value)?,
                None => drop(table.tree.delete(&mut txn, key)?),
            }
        }
        if let Some(whole) = whole {
            self.set_meta(&mut txn, Meta::Checkpointed, whole.epoch)?;
            self.put_in_flight(&mut txn, whole.in_flight.as_deref())?;
        }
        Ok(txn.commit()?)
    }
}
