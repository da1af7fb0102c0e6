//! Work that costs less in many at once.
//!
//! What is ready together is done together, and nothing waits for a batch to fill: whoever asks first lets those tasks
//! run that are ready too, and then does, on the same thread, what they ask. Batches form by themselves under load. Where
//! few come together, most are done at once: to let others run is to wake threads that find nothing.

mod fair;

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::{
    sync::oneshot,
    task::{spawn_blocking, yield_now},
};

use fair::FairQueue;

use crate::metrics::{Distribution, Histograms, bound, thread_number};

/// Jobs that wait, at most, among those asked for by one thread.
const QUEUE: usize = 4096;
/// Jobs done together, at most.
const BATCH: usize = 64;
/// Sizes of batches that are counted: up to 1, 2, 4, …, [`BATCH`].
const SIZES: usize = BATCH.ilog2() as usize + 1;

/// After so many gatherings in a row that brought one job, jobs are done at once,
const FEW: u32 = 4;
/// but one in so many, to see whether there are more again.
const LOOK: u32 = 8;

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

/// How long a job takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// No longer than others may wait: it is done where it is asked for.
    Short,
    /// It is done on a thread that may be kept, together with others such.
    Long,
}

/// Jobs that are ready together: those of one thread and length.
#[repr(align(128))] // No two threads' in what a processor fetches at once.
struct Line<J, D>(Mutex<Waiting<J, D>>);

struct Waiting<J, D> {
    jobs: FairQueue<(J, oneshot::Sender<D>)>,
    /// Somebody is about to take them.
    gathering: bool,
    /// Batches of one job in a row.
    alone: u32,
}

impl<J, D> Waiting<J, D> {
    /// Whether a job that is asked for now is done at once.
    fn at_once(&self) -> bool {
        !self.gathering && self.alone >= FEW && !self.alone.is_multiple_of(LOOK)
    }

    fn count(&mut self, jobs: usize) {
        self.alone = if jobs == 1 { self.alone.wrapping_add(1) } else { 0 };
    }
}

struct Shared<J, D> {
    /// For each thread, of short jobs and of long ones.
    lines: Box<[[Line<J, D>; 2]]>,
    together: Box<dyn Fn(Vec<J>) -> Vec<D> + Send + Sync>,
    sizes: Histograms,
}

impl<J: Send + 'static, D: Send + 'static> Shared<J, D> {
    /// Does what waits in a line, until somebody else does or nothing is left.
    async fn gather(self: Arc<Self>, length: Length, thread: usize) {
        loop {
            // Runs again when the thread has run what was ready.
            yield_now().await;
            let waiting = {
                let mut line = self.line(length, thread).lock();
                // Of long ones, each thread has one batch at a time done, so that few threads are kept by them.
                line.gathering = length == Length::Long;
                let waiting = line.jobs.take(BATCH);
                line.count(waiting.len());
                waiting
            };
            match length {
                Length::Short => self.work(waiting),
                Length::Long => {
                    let shared = Arc::clone(&self);
                    if spawn_blocking(move || shared.work(waiting)).await.is_err() {
                        tracing::error!("jobs that are done together have panicked");
                    }
                }
            }
            let mut line = self.line(length, thread).lock();
            line.gathering &= length == Length::Short;
            if line.jobs.is_empty() || mem::replace(&mut line.gathering, true) {
                return;
            }
        }
    }

    fn work(&self, waiting: Vec<(J, oneshot::Sender<D>)>) {
        self.sizes.size(0, waiting.len());
        let (jobs, askers): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        for (done, asker) in (self.together)(jobs).into_iter().zip(askers) {
            // Who has gone needs no answer.
            let _ = asker.send(done);
        }
    }
}

impl<J, D> Shared<J, D> {
    fn line(&self, length: Length, thread: usize) -> &Mutex<Waiting<J, D>> {
        let [short, long] = &self.lines[thread % self.lines.len()];
        match length {
            Length::Short => &short.0,
            Length::Long => &long.0,
        }
    }
}

/// Does jobs of one kind, those together that are ready together.
pub struct Batcher<J, D>(Arc<Shared<J, D>>);

impl<J: Send + 'static, D: Send + 'static> Batcher<J, D> {
    /// For jobs that `threads` threads ask for; `together` does jobs, and has as many results.
    #[must_use]
    pub fn new(threads: usize, together: impl Fn(Vec<J>) -> Vec<D> + Send + Sync + 'static) -> Self {
        let line = || Line(Mutex::new(Waiting { jobs: FairQueue::new(QUEUE), gathering: false, alone: 0 }));
        Self(Arc::new(Shared {
            lines: (0..threads.max(1)).map(|_| [line(), line()]).collect(),
            together: Box::new(together),
            sizes: Histograms::of_sizes(1, BATCH),
        }))
    }

    /// Has `job` done together with others that are ready, by the Tokio runtime that this is called in.
    ///
    /// # Errors
    /// [`Full`].
    pub async fn done(&self, from: Source, length: Length, job: J) -> Result<D, Full> {
        let (asker, coming) = oneshot::channel();
        self.ask(from, length, (job, asker))?;
        coming.await.map_err(|_| Full)
    }

    /// Does short jobs that are there together, here and now; what each gives, in order.
    #[must_use]
    pub fn at_once(&self, mut jobs: Vec<J>) -> Vec<D> {
        let mut done = Vec::with_capacity(jobs.len());
        while !jobs.is_empty() {
            let rest = jobs.split_off(jobs.len().min(BATCH));
            self.0.sizes.size(0, jobs.len());
            done.extend((self.0.together)(jobs));
            jobs = rest;
        }
        done
    }

    fn ask(&self, from: Source, length: Length, asked: (J, oneshot::Sender<D>)) -> Result<(), Full> {
        let thread = thread_number();
        let mut line = self.0.line(length, thread).lock();
        if length == Length::Short && line.at_once() {
            line.count(1);
            drop(line);
            self.0.work(vec![asked]);
            return Ok(());
        }
        line.jobs.push(from.0, asked).map_err(|_| Full)?;
        if !mem::replace(&mut line.gathering, true) {
            // A task of its own: who asks may go away.
            tokio::spawn(Arc::clone(&self.0).gather(length, thread));
        }
        Ok(())
    }
}

impl<J, D> Batcher<J, D> {
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
        self.0.sizes.read(0)
    }

    /// How many threads ask for jobs.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.0.lines.len()
    }

    /// Jobs that wait, and how many may.
    #[must_use]
    pub fn queued(&self) -> (usize, usize) {
        let lines = self.0.lines.as_flattened();
        (lines.iter().map(|line| line.0.lock().jobs.len()).sum(), lines.len() * QUEUE)
    }
}

#[cfg(test)]
mod tests {
    use std::{ops::Range, pin::pin, sync::mpsc, task::Poll};

    use tokio::task::JoinSet;

    use super::{Length::*, *};

    type Tasks = JoinSet<Result<u32, Full>>;

    fn ask(tasks: &mut Tasks, batcher: &Arc<Batcher<u32, u32>>, length: Length, jobs: Range<u32>) {
        for job in jobs {
            let batcher = Arc::clone(batcher);
            tasks.spawn(async move { batcher.done(Source::new(), length, job).await.map(|done| done - job) });
        }
    }

    #[tokio::test]
    async fn what_is_ready_together_is_done_together() {
        let next = |jobs: Vec<u32>| jobs.into_iter().map(|job| job + 1).collect();
        let batcher = Arc::new(Batcher::new(1, next));
        assert_eq!(batcher.done(Source::new(), Short, 7).await, Ok(8));
        let mut tasks = JoinSet::new();
        // More than one batch may have.
        ask(&mut tasks, &batcher, Short, 0..70);
        while let Some(more) = tasks.join_next().await {
            assert_eq!(more.unwrap(), Ok(1));
        }
        assert_eq!(batcher.sizes(), [1, 0, 0, 1, 0, 0, 1]);
        assert_eq!(batcher.queued(), (0, 2 * QUEUE));
        // When none came along with others for a while, only some wait for others.
        for _ in 0..FEW {
            assert_eq!(batcher.done(Source::new(), Short, 7).await, Ok(8));
        }
        let mut waited = 0;
        for _ in 0..5 * LOOK {
            let mut asked = pin!(batcher.done(Source::new(), Short, 7));
            match futures_util::poll!(asked.as_mut()) {
                Poll::Ready(done) => assert_eq!(done, Ok(8)),
                Poll::Pending => {
                    waited += 1;
                    assert_eq!(asked.await, Ok(8));
                }
            }
        }
        assert_eq!(waited, 5);
        // And as soon as one brought others along, all do.
        while batcher.0.line(Short, thread_number()).lock().at_once() {
            assert_eq!(batcher.done(Source::new(), Short, 7).await, Ok(8));
        }
        for _ in 0..2 {
            let before = batcher.sizes();
            ask(&mut tasks, &batcher, Short, 0..8);
            while tasks.join_next().await.is_some() {}
            assert_eq!(batcher.sizes()[3], before[3] + 1);
        }
    }

    #[tokio::test]
    async fn long_jobs_are_done_aside_and_others_go_on() {
        let (started, begun) = mpsc::channel();
        let (go_on, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let batcher = Batcher::new(1, move |jobs: Vec<u32>| {
            started.send(jobs.len()).unwrap();
            wait.lock().recv().unwrap();
            jobs.into_iter().map(|job| job + 1).collect()
        });
        let batcher = Arc::new(batcher);
        let mut tasks = JoinSet::new();
        ask(&mut tasks, &batcher, Long, 0..1);
        let first = spawn_blocking(move || (begun.recv().unwrap(), begun)).await.unwrap();
        assert_eq!(first.0, 1);
        ask(&mut tasks, &batcher, Long, 1..4);
        while batcher.queued().0 < 3 {
            yield_now().await;
        }
        go_on.send(()).unwrap();
        go_on.send(()).unwrap();
        assert_eq!(spawn_blocking(move || first.1.recv().unwrap()).await.unwrap(), 3);
        assert!(tasks.join_all().await.into_iter().all(|more| more == Ok(1)));
    }

    #[tokio::test]
    async fn who_goes_away_or_fails_takes_nobody_along() {
        let batcher = Arc::new(Batcher::new(1, |jobs: Vec<u32>| {
            assert!(!jobs.contains(&13));
            jobs
        }));
        let gone = tokio::spawn({
            let batcher = Arc::clone(&batcher);
            async move { batcher.done(Source::new(), Short, 1).await }
        });
        yield_now().await;
        gone.abort();
        assert_eq!(batcher.done(Source::new(), Short, 2).await, Ok(2));
        assert_eq!(batcher.done(Source::new(), Short, 13).await, Err(Full));
        assert_eq!(batcher.done(Source::new(), Short, 3).await, Ok(3));
    }

    #[tokio::test]
    async fn a_full_queue_says_so() {
        let batcher = Batcher::new(1, |jobs: Vec<()>| jobs);
        batcher.0.line(Short, thread_number()).lock().jobs = FairQueue::new(0);
        assert_eq!(batcher.done(Source::new(), Short, ()).await, Err(Full));
    }
}
