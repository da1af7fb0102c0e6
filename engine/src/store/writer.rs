//! The one writer: takes what has queued, writes it as one transaction, syncs, then answers every request in it.

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

use super::{StoreConfig, StoreError, layout::Tables, work::Work};
use crate::clock::Clock;

/// How often expired messages are looked for (`spec/storage` §3).
const EXPIRY_TICK: Duration = Duration::from_secs(10);
/// Expired messages removed in one transaction, so that stores need not wait for a million of them.
pub(super) const EXPIRY_STEP: usize = 1000;

/// Tells the requester; runs after the commit, with its outcome.
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
type Job = Box<dyn FnOnce(&mut Work<'_>) -> Answer + Send>;

pub(super) struct Writer {
    jobs: Mutex<Option<SyncSender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(tables: Arc<Tables>, config: &StoreConfig, clock: Clock) -> Result<Self, StoreError> {
        let (sender, receiver) = sync_channel(config.queue.max(1));
        let batch = config.batch.max(1);
        let thread = std::thread::Builder::new()
            .name("allium-store".to_owned())
            .spawn(move || run(&tables, &receiver, batch, &clock))
            .map_err(|error| StoreError::Database(error.to_string()))?;
        Ok(Self { jobs: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) })
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
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer ended abnormally");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

fn run(tables: &Tables, jobs: &Receiver<Job>, batch: usize, clock: &Clock) {
    let mut next_tick = Instant::now();
    loop {
        let first = match jobs.recv_timeout(next_tick.saturating_duration_since(Instant::now())) {
            Ok(job) => Some(job),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let mut removed = 0;
        let expire = Instant::now() >= next_tick;
        let queued = first.into_iter().chain(jobs.try_iter()).take(batch);
        commit(tables, clock, queued, |work| {
            if expire {
                removed = work.clean_expired(EXPIRY_STEP)?;
            }
            Ok(())
        });
        if expire && removed < EXPIRY_STEP {
            next_tick = Instant::now() + EXPIRY_TICK;
        }
    }
}

/// One transaction around all of `jobs` and `also`.
fn commit(
    tables: &Tables,
    clock: &Clock,
    jobs: impl Iterator<Item = Job>,
    also: impl FnOnce(&mut Work<'_>) -> Result<(), StoreError>,
) {
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
    for answer in answers {
        answer(outcome.clone());
    }
}
