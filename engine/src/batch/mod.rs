//! Work that costs less in many at once, done away from the threads that serve sockets.
//!
//! What has queued is done together, and nothing waits for a batch to fill: batches form by themselves under load.

mod fair;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use fair::FairQueue;

use crate::metrics::{Distribution, Histograms, bound};

/// Jobs that wait, at most.
const QUEUE: usize = 4096;
/// Jobs done together, at most.
const BATCH: usize = 64;
/// Sizes of batches that are counted: up to 1, 2, 4, …, [`BATCH`].
const SIZES: usize = BATCH.ilog2() as usize + 1;

/// How many batches there were of what size: of one job, of two, of up to 4, 8, 16, 32 and 64.
pub type BatchSizes = [u64; SIZES];

/// Whom a job is for: jobs of one source wait for each other before they wait for those of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source(u64);

impl Source {
    /// The owner of this key.
    #[must_use]
    pub fn of(key: &[u8; 32]) -> Self {
        let [first, ..] = key.as_chunks::<8>().0 else { return Self::new() };
        Self(u64::from_le_bytes(*first))
    }

    /// Another one than all before.
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl Default for Source {
    fn default() -> Self {
        Self::new()
    }
}

/// As many jobs wait as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

struct Queue<J, D> {
    jobs: FairQueue<(J, oneshot::Sender<D>)>,
    closing: bool,
}

struct Shared<J, D> {
    queue: Mutex<Queue<J, D>>,
    filled: Condvar,
    /// Somebody does a job on its own thread.
    alone: AtomicBool,
    sizes: Histograms,
}

impl<J, D> Shared<J, D> {
    fn work(&self, together: impl Fn(Vec<J>) -> Vec<D>) {
        loop {
            let waiting = {
                let mut queue = self.queue.lock();
                self.filled.wait_while(&mut queue, |queue| queue.jobs.is_empty() && !queue.closing);
                queue.jobs.take(BATCH)
            };
            if waiting.is_empty() {
                return;
            }
            self.sizes.size(0, waiting.len());
            let (jobs, askers): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
            for (done, asker) in together(jobs).into_iter().zip(askers) {
                // Who has gone needs no answer.
                let _ = asker.send(done);
            }
        }
    }
}

/// Threads that do jobs of one kind, and the queue before them.
pub struct Batcher<J, D> {
    shared: Arc<Shared<J, D>>,
    threads: Vec<JoinHandle<()>>,
}

impl<J: Send + 'static, D: Send + 'static> Batcher<J, D> {
    /// With `threads` threads; `together` does jobs, and has as many results.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        name: &str,
        threads: usize,
        together: impl Fn(Vec<J>) -> Vec<D> + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue { jobs: FairQueue::new(QUEUE), closing: false }),
            filled: Condvar::new(),
            alone: AtomicBool::new(false),
            sizes: Histograms::of_sizes(1, BATCH),
        });
        let mut batcher = Self { shared, threads: Vec::with_capacity(threads) };
        for _ in 0..threads.max(1) {
            let (shared, together) = (Arc::clone(&batcher.shared), together.clone());
            let thread = std::thread::Builder::new().name(name.to_owned());
            batcher.threads.push(thread.spawn(move || shared.work(together))?);
        }
        Ok(batcher)
    }
}

impl<J, D> Batcher<J, D> {
    /// Leave to do a job on the caller's own thread, for one caller at a time: waking another thread takes longer than
    /// one small job.
    #[must_use]
    pub fn alone(&self) -> Option<Alone<'_>> {
        self.shared.alone.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).ok()?;
        self.shared.sizes.size(0, 1);
        Some(Alone(&self.shared.alone))
    }

    /// Has `job` done together with others that wait.
    ///
    /// # Errors
    /// [`Full`].
    pub async fn done(&self, from: Source, job: J) -> Result<D, Full> {
        let (asker, coming) = oneshot::channel();
        self.shared.queue.lock().jobs.push(from.0, (job, asker)).map_err(|_| Full)?;
        self.shared.filled.notify_one();
        // The threads end after whoever holds this.
        coming.await.map_err(|_| Full)
    }

    /// Batches so far, by their size.
    #[must_use]
    pub fn sizes(&self) -> BatchSizes {
        let mut sizes = [0; SIZES];
        for (bucket, count) in self.batches().counts.into_iter().enumerate() {
            if let Some(size) = sizes.get_mut(bound(bucket).next_power_of_two().ilog2() as usize) {
                *size += count;
            }
        }
        sizes
    }

    /// Batches so far: how many jobs there were in each.
    #[must_use]
    pub fn batches(&self) -> Distribution {
        self.shared.sizes.read(0)
    }

    /// Jobs that wait, and how many may.
    #[must_use]
    pub fn queued(&self) -> (usize, usize) {
        (self.shared.queue.lock().jobs.len(), QUEUE)
    }
}

impl<J, D> Drop for Batcher<J, D> {
    fn drop(&mut self) {
        self.shared.queue.lock().closing = true;
        self.shared.filled.notify_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that works in batches has panicked");
            }
        }
    }
}

/// See [`Batcher::alone`].
pub struct Alone<'a>(&'a AtomicBool);

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_queues_while_one_batch_is_done_is_the_next() {
        let (started, begun) = mpsc::channel();
        let (go_on, wait) = mpsc::channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        let batcher = Batcher::start("test", 1, move |jobs: Vec<u32>| {
            started.send(jobs.len()).unwrap();
            wait.lock().recv().unwrap();
            jobs.into_iter().map(|job| job + 1).collect()
        });
        let batcher = Arc::new(batcher.unwrap());
        let ask = |job| {
            let batcher = Arc::clone(&batcher);
            tokio::spawn(async move { batcher.done(Source::new(), job).await })
        };
        let first = ask(0);
        assert_eq!(begun.recv().unwrap(), 1);
        let others: Vec<_> = (1..=70).map(ask).collect();
        // All have queued once so many are in line.
        while batcher.shared.queue.lock().jobs.len() != 70 {
            tokio::task::yield_now().await;
        }
        for _ in 0..3 {
            go_on.send(()).unwrap();
        }
        assert_eq!(begun.recv().unwrap(), BATCH);
        assert_eq!(begun.recv().unwrap(), 6);
        assert_eq!(first.await.unwrap(), Ok(1));
        for (job, other) in (1..).zip(others) {
            assert_eq!(other.await.unwrap(), Ok(job + 1));
        }
        assert_eq!(batcher.sizes(), [1, 0, 0, 1, 0, 0, 1]);
        let alone = batcher.alone();
        assert!(alone.is_some() && batcher.alone().is_none());
        drop(alone);
        assert!(batcher.alone().is_some());
        assert_eq!(batcher.sizes(), [3, 0, 0, 1, 0, 0, 1]);
    }

    #[tokio::test]
    async fn a_full_queue_says_so() {
        let batcher = Batcher::start("test", 1, |jobs: Vec<()>| jobs).unwrap();
        batcher.shared.queue.lock().jobs = FairQueue::new(0);
        assert_eq!(batcher.done(Source::new(), ()).await, Err(Full));
    }
}
