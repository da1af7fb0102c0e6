//! The one writer: takes what has queued, writes it as one transaction, syncs, then answers every request in it.

use std::{
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{Durability, StoreConfig, StoreError, tables::Tables, work::Work};
use crate::clock::Clock;

/// How often expired messages are looked for (`spec/storage` §3).
const EXPIRY_TICK: Duration = Duration::from_secs(10);
/// Expired messages removed in one transaction, so that stores need not wait for a million of them: at least, and as
/// many more as the disk takes in a moment.
pub(super) const EXPIRY_STEP: usize = 50;
const MOST_EXPIRED: usize = 3200;
const MOMENT: Duration = Duration::from_millis(10);
/// How often [`Durability::Async`] has the system write.
const SYNC_TICK: Duration = Duration::from_secs(1);

/// Tells the requester; runs after the commit, with its outcome.
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
type Job = Box<dyn FnOnce(&mut Work<'_>) -> Answer + Send>;

pub(super) struct Writer {
    jobs: Mutex<Option<SyncSender<Job>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(tables: Arc<Tables>, config: &StoreConfig, clock: Clock) -> Result<Self, StoreError> {
        let (sender, receiver) = sync_channel(config.queue.max(1));
        let batch = config.batch.max(1);
        let mut threads = Vec::new();
        let mut start = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
            threads.push(thread.map_err(|error| StoreError::Database(error.to_string()))?);
            Ok::<_, StoreError>(())
        };
        let mut ended = None;
        if config.durability == Durability::Async {
            let (sender, receiver) = channel();
            ended = Some(sender);
            let tables = Arc::clone(&tables);
            start("allium-sync", Box::new(move || sync(&tables, &receiver)))?;
        }
        start("allium-store", Box::new(move || run(&tables, &receiver, batch, &clock, ended)))?;
        Ok(Self { jobs: Mutex::new(Some(sender)), threads: Mutex::new(threads) })
    }

    /// Queues `job` and awaits its result, which comes after the commit.
    pub(super) async fn submit<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Work<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, result) = oneshot::channel();
        let job: Job = Box::new(move |work| {
            let done = job(work);
            // A requester that went away wants no answer.
            Box::new(move |committed| drop(answer.send(committed.and(done))))
        });
        match self.jobs.lock().as_ref().map(|jobs| jobs.try_send(job)) {
            Some(Ok(())) => {}
            Some(Err(TrySendError::Full(_))) => return Err(StoreError::Busy),
            Some(Err(TrySendError::Disconnected(_))) | None => return Err(StoreError::Closed),
        }
        result.await.unwrap_or(Err(StoreError::Closed))
    }

    pub(super) fn close(&self) {
        drop(self.jobs.lock().take());
        for thread in self.threads.lock().drain(..).rev() {
            if thread.join().is_err() {
                tracing::error!("the store's writer ended abnormally");
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

/// `_ended` tells the other thread when this one has written all.
fn run(tables: &Tables, jobs: &Receiver<Job>, batch: usize, clock: &Clock, _ended: Option<Sender<()>>) {
    let (mut next_tick, mut step) = (Instant::now(), EXPIRY_STEP);
    // After a transaction that did not fit, requests go one by one: a deletion is not to fail for the stores beside it.
    let mut one_by_one = false;
    loop {
        let first = match jobs.recv_timeout(next_tick.saturating_duration_since(Instant::now())) {
            Ok(job) => Some(job),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let mut removed = 0;
        let began = Instant::now();
        let expire = began >= next_tick;
        let queued = first.into_iter().chain(jobs.try_iter()).take(if one_by_one { 1 } else { batch });
        let outcome = commit(tables, clock, queued, |work| {
            if expire && !one_by_one {
                removed = work.clean_expired(step)?;
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
}

/// One transaction around all of `jobs` and `also`.
fn commit(
    tables: &Tables,
    clock: &Clock,
    jobs: impl Iterator<Item = Job>,
    also: impl FnOnce(&mut Work<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut answers: Vec<Answer> = Vec::new();
    let outcome = tables.env.write_txn().map_err(StoreError::from).and_then(|txn| {
        let mut work = Work::new(tables, txn, clock.now())?;
        answers.extend(jobs.map(|job| job(&mut work)));
        also(&mut work)?;
        work.commit()
    });
    if let Err(error) = &outcome {
        tracing::error!(%error, "a transaction was given up");
    }
    tables.unsynced.store(true, Ordering::Relaxed);
    for answer in answers {
        answer(outcome.clone());
    }
    outcome
}

/// Beside the writer, so that nothing waits for it.
fn sync(tables: &Tables, ended: &Receiver<()>) {
    loop {
        let last = ended.recv_timeout(SYNC_TICK) == Err(RecvTimeoutError::Disconnected);
        if tables.unsynced.swap(false, Ordering::Relaxed)
            && let Err(error) = tables.env.force_sync()
        {
            tracing::error!(%error, "the store could not be written to disk");
            tables.unsynced.store(true, Ordering::Relaxed);
        }
        if last {
            return;
        }
    }
}
