//! The one writer: takes what has queued, writes it to the write-ahead log as one transaction, syncs, then answers every request
//! in it. What was written goes into the trees later, much at once.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{
    config::{Durability, StoreConfig},
    error::StoreError,
    hints,
    layout::Meta,
    log::{
        checkpoint::{Checkpoint, Checkpointer},
        wal::Wal,
    },
    metrics::Counts,
    tables::Tables,
    threads::spawn,
    write_txn::WriteTxn,
};
use crate::{
    clock::Clock,
    watchdog::{Heart, Pulse},
};

const THREAD: &str = "allium-store";
/// How often expired messages are looked for (`spec/storage` §3).
const EXPIRY_TICK: Duration = Duration::from_secs(10);
/// Expired messages removed in one transaction, so that stores need not wait for a million of them: at least, and as
/// many more as the disk takes in a moment.
pub(super) const EXPIRY_STEP: usize = 50;
const MOST_EXPIRED: usize = 3200;
const MOMENT: Duration = Duration::from_millis(10);
/// What was written last takes so much memory before it goes into the trees, some 6,000 messages of 1 KiB, or so long.
const CHECKPOINT_BYTES: usize = 8 << 20;
const CHECKPOINT_AFTER: Duration = Duration::from_secs(1);
/// When nothing was written for so long, it is tried out whether that can be done.
const TRIED_AFTER: Duration = Duration::from_secs(10);
/// And so much at most, while what was written before goes there.
const MOST_BYTES: usize = 4 * CHECKPOINT_BYTES;

/// Tells the requester; runs after the commit, with its outcome.
type Completion = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
type Job = Box<dyn FnOnce(&mut WriteTxn<'_>) -> Completion + Send>;

pub(super) struct Writer {
    jobs: Mutex<Option<SyncSender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    counts: Arc<Counts>,
    queue: usize,
    pulses: [Arc<Pulse>; 2],
}

impl Writer {
    pub(super) fn start(tables: Arc<Tables>, config: &StoreConfig, clock: Clock) -> Result<Self, StoreError> {
        let queue = config.queue.max(1);
        let (sender, receiver) = sync_channel(queue);
        let counts = Arc::<Counts>::default();
        let of_thread = Arc::clone(&counts);
        let batch = config.batch.max(1);
        let checkpointed = tables.meta(&tables.env.read_txn()?, Meta::Checkpointed)?;
        let wal = Wal::open(&config.path, checkpointed + 1, config.durability == Durability::Sync)?;
        let checkpointer = Checkpointer::start(Arc::clone(&tables))?;
        let pulse = Pulse::new(THREAD);
        let pulses = [Arc::clone(&pulse), Arc::clone(checkpointer.pulse())];
        let thread = spawn(THREAD, move || {
            let heart = pulse.begin();
            Run { tables, clock, wal, checkpointer, since: None, wrote: Instant::now(), counts: of_thread, heart }
                .run(&receiver, batch)
        })?;
        Ok(Self { jobs: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)), counts, queue, pulses })
    }

    /// Of the thread that writes and the one that checkpoints.
    pub(super) const fn pulses(&self) -> &[Arc<Pulse>; 2] {
        &self.pulses
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Writes that may wait.
    pub(super) const fn queue(&self) -> usize {
        self.queue
    }

    /// Queues `job` and awaits its result, which comes after the commit.
    pub(super) async fn submit<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut WriteTxn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let done = self.done(job).await;
        if let Err(error) = &done {
            self.counts.refused(error);
        }
        done
    }

    async fn done<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut WriteTxn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, result) = oneshot::channel();
        let job: Job = Box::new(move |txn| {
            let done = job(txn);
            // A requester that went away wants no answer.
            Box::new(move |committed| drop(answer.send(committed.and(done))))
        });
        match self.jobs.lock().as_ref().map(|jobs| jobs.try_send(job)) {
            Some(Ok(())) => self.counts.submitted(),
            Some(Err(TrySendError::Full(_))) => return Err(StoreError::Busy),
            Some(Err(TrySendError::Disconnected(_))) | None => return Err(StoreError::Closed),
        }
        result.await.unwrap_or(Err(StoreError::Closed))
    }

    pub(super) fn close(&self) {
        drop(self.jobs.lock().take());
        if self.thread.lock().take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the store's writer ended abnormally");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

/// The writer's thread.
struct Run {
    tables: Arc<Tables>,
    clock: Clock,
    wal: Wal,
    checkpointer: Checkpointer,
    /// When the first change was made that is not being checkpointed.
    since: Option<Instant>,
    /// When something was last written.
    wrote: Instant,
    counts: Arc<Counts>,
    heart: Heart,
}

impl Run {
    fn run(mut self, jobs: &Receiver<Job>, batch: usize) {
        let (mut next_tick, mut step) = (Instant::now(), EXPIRY_STEP);
        // After a transaction that did not fit, requests go one by one: a deletion is not to fail for the stores beside it.
        let mut one_by_one = false;
        loop {
            let until = match self.since {
                Some(since) if !self.checkpointer.is_busy() => next_tick.min(since + CHECKPOINT_AFTER),
                Some(_) => next_tick.min(Instant::now() + MOMENT),
                None => next_tick,
            };
            self.heart.rest();
            let first = jobs.recv_timeout(until.saturating_duration_since(Instant::now()));
            self.heart.beat();
            let first = match first {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return self.end(),
            };
            let mut removed = 0;
            let began = Instant::now();
            let expire = began >= next_tick;
            let try_out = expire && self.wrote.elapsed() >= TRIED_AFTER;
            if first.is_some() || expire {
                let queued = first.into_iter().chain(jobs.try_iter()).take(if one_by_one { 1 } else { batch });
                let outcome = self.commit(queued, |txn| {
                    if expire && !one_by_one {
                        removed = txn.clean_expired(step)?;
                    }
                    if try_out {
                        txn.try_out()?;
                    }
                    Ok(())
                });
                let did_not_fit = matches!(outcome, Err(StoreError::MapFull | StoreError::DiskFull));
                if !expire {
                    one_by_one |= did_not_fit;
                } else if one_by_one {
                    // Once more with everything, expired messages first.
                    one_by_one = false;
                    step = EXPIRY_STEP;
                } else if did_not_fit {
                    one_by_one = true;
                    next_tick = Instant::now() + EXPIRY_TICK;
                } else if removed < step {
                    (next_tick, step) = (Instant::now() + EXPIRY_TICK, EXPIRY_STEP);
                } else if began.elapsed() < MOMENT {
                    step = (step * 2).min(MOST_EXPIRED);
                } else {
                    step = (step / 2).max(EXPIRY_STEP);
                }
            }
            self.checkpoint_when_due();
            if expire && let Some(error) = self.checkpointer.stuck() {
                self.counts.failed(&error);
            }
        }
    }

    /// One transaction around all of `jobs` and `also`.
    fn commit(
        &mut self,
        jobs: impl Iterator<Item = Job>,
        also: impl FnOnce(&mut WriteTxn<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let began = Instant::now();
        let mut completions: Vec<Completion> = Vec::new();
        let tables = Arc::clone(&self.tables);
        let mut outcome = WriteTxn::new(&tables, &self.clock).and_then(|mut txn| {
            for job in jobs {
                completions.push(job(&mut txn));
                // What else has queued goes into the next one.
                if txn.is_large() || began.elapsed() >= MOMENT {
                    break;
                }
            }
            also(&mut txn)?;
            let taken = std::mem::take(&mut txn.taken);
            Ok((txn.checkpoint, txn.expired, taken, txn.finish()?))
        });
        if let Ok((.., changes)) = &outcome
            && !changes.is_empty()
            && let Err(error) = self.make_room().and_then(|()| self.wal.append(changes))
        {
            outcome = Err(error);
        }
        let outcome = outcome.map(|(checkpoint, expired, taken, changes)| {
            self.counts.expired(expired);
            if !changes.is_empty() {
                self.wrote = Instant::now();
                if self.checkpointer.stuck().is_none() {
                    self.counts.works();
                }
                self.since.get_or_insert_with(Instant::now);
                tables.publish(changes, self.wal.side());
                tables.shares.add(taken);
            }
            // It is on disk, whatever comes of this.
            if checkpoint && let Err(error) = self.checkpoint_all() {
                tracing::warn!(%error, "what was written last is in the write-ahead log still");
            }
        });
        if let Err(error) = &outcome {
            tracing::error!(%error, "a transaction was given up");
            self.counts.failed(error);
        }
        self.counts.committed(completions.len(), began.elapsed());
        for completion in completions {
            completion(outcome.clone());
        }
        outcome
    }

    /// Has the changes since the last time checkpointed, beside us.
    fn checkpoint(&mut self) {
        let side = self.wal.side();
        let unsynced = self.wal.unsynced();
        let changes = self.tables.memtable.write().freeze();
        let epoch = self.wal.turn();
        let in_flight = hints::in_flight(&self.tables, epoch);
        self.checkpointer.begin(Checkpoint { epoch, side, changes, in_flight, unsynced });
        self.since = None;
    }

    fn checkpoint_when_due(&mut self) {
        let Some(since) = self.since else { return };
        let due = self.tables.memtable.read().bytes() >= CHECKPOINT_BYTES || since.elapsed() >= CHECKPOINT_AFTER;
        if due && !self.checkpointer.is_busy() {
            self.checkpoint();
        }
    }

    /// Waits while more would take too much memory; an error while it cannot be otherwise.
    fn make_room(&mut self) -> Result<(), StoreError> {
        if self.tables.memtable.read().bytes() < MOST_BYTES {
            return Ok(());
        }
        self.await_checkpointer()?;
        self.checkpoint();
        Ok(())
    }

    /// Returns when all is in the trees.
    fn checkpoint_all(&mut self) -> Result<(), StoreError> {
        self.await_checkpointer()?;
        if self.since.is_some() {
            self.checkpoint();
        }
        self.await_checkpointer()
    }

    /// The other thread's pulse says whether that goes on.
    fn await_checkpointer(&self) -> Result<(), StoreError> {
        self.heart.rest();
        let checkpointed = self.checkpointer.wait();
        self.heart.beat();
        checkpointed
    }

    fn end(mut self) {
        match self.checkpoint_all() {
            Ok(()) => self.wal.remove(),
            Err(error) => {
                tracing::error!(%error, "the write-ahead log has what is not in the trees; the next start puts it there")
            }
        }
    }
}
