//! The runtime that serves: the engine's own, or one that is lent to it.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, SendError},
    },
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::AbortHandle,
};

use crate::watchdog::{self, Heart, Pulse, Ward};

/// How long the threads of an own runtime may take to end.
const END: Duration = Duration::from_secs(5);

/// Threads of a node beside its workers, at most; libzmq aborts the process where it cannot have its own.
const OTHERS: usize = 24;

/// Workers, at most: all of them are made at once.
pub const MOST_WORKERS: usize = 1024;

/// After so many requests a thread lets others have its core.
const TURN: u32 = 16;

/// Counts a request, and lets other threads have this one's core from time to time.
///
/// Where more threads have work than there are cores, the system's turns take milliseconds, and whatever was queued on
/// the thread whose turn is over waits as long: with 64 connections a 99th percentile of 4.2 ms, of 1.2 ms with shorter
/// turns (`bench/`, the row `info`). Nothing but a system call is lost where nobody waits.
pub(crate) fn take_turns() {
    thread_local! { static SERVED: Cell<u32> = const { Cell::new(0) }; }
    let served = SERVED.get().wrapping_add(1);
    SERVED.set(served);
    beat();
    if served.is_multiple_of(TURN) {
        thread::yield_now();
    }
}

thread_local! {
    /// Of a worker.
    static HEART: RefCell<Option<Heart>> = const { RefCell::new(None) };
}

/// A worker goes on.
fn beat() {
    HEART.with_borrow(|heart| heart.as_ref().map_or((), Heart::beat));
}

/// The one of these cores that is counted to, round and round.
fn nth(cores: &CpuSet, place: usize) -> CpuSet {
    let mut one = CpuSet::new();
    if let Some(core) = (0..CpuSet::MAX_CPU).filter(|core| cores.is_set(*core)).cycle().nth(place) {
        one.set(core);
    }
    one
}

/// Whether the system gives so many threads: tokio panics where it does not.
fn affordable(count: usize) -> io::Result<()> {
    let (hold, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let threads = (0..count).map(|_| {
        let held = Arc::clone(&held);
        // All at once: each waits until there is the last one.
        thread::Builder::new().name("allium-worker".to_owned()).spawn(move || {
            let _ = held.lock().recv();
        })
    });
    let threads: Vec<_> = threads.collect();
    drop(hold);
    threads.into_iter().try_for_each(|thread| thread.map(|thread| drop(thread.join())))
}

/// Where the engine's tasks run. Its duties end with it; an own runtime ends too.
pub(crate) struct Threads {
    handle: Handle,
    own: Option<Runtime>,
    duties: Vec<AbortHandle>,
    /// Of the workers of an own runtime.
    pulses: Vec<Arc<Pulse>>,
}

impl Threads {
    /// With a runtime of its own. When `pinned`, each worker stays on one core, in turn.
    ///
    /// # Errors
    /// When the system gives no threads, or more than [`MOST_WORKERS`] are wanted.
    pub(crate) fn own(workers: usize, pinned: bool) -> io::Result<Self> {
        let workers = workers.max(1);
        if workers > MOST_WORKERS {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("worker_threads: at most {MOST_WORKERS}")));
        }
        affordable(workers + OTHERS)?;
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(workers).thread_name("allium-worker").enable_all();
        builder.on_thread_park(|| {
            HEART.with_borrow(|heart| heart.as_ref().map_or((), Heart::rest));
            // Whoever waits for this core has it before this thread asks for more work.
            thread::yield_now();
        });
        builder.on_thread_unpark(beat);
        let pulses: Vec<_> = (0..workers).map(|place| Pulse::new(format!("allium-worker-{place}"))).collect();
        let (began, begun) = mpsc::channel();
        let cores = pinned.then(|| sched_getaffinity(None)).transpose()?;
        let (started, theirs) = (AtomicUsize::new(0), pulses.clone());
        builder.on_thread_start(move || {
            // Those that block for workers come later, from a pinned one, and may run anywhere.
            let place = started.fetch_add(1, Ordering::Relaxed);
            if let Some(pulse) = theirs.get(place) {
                HEART.set(Some(pulse.begin()));
            }
            let own = cores.map(|cores| if place < workers { nth(&cores, place) } else { cores });
            if let Some(Err(error)) = own.map(|own| sched_setaffinity(None, &own)) {
                tracing::warn!(%error, "a thread is not where it should be");
            }
            let _ = began.send(());
        });
        let runtime = builder.build()?;
        // Nobody has work yet, so these are the workers.
        begun.iter().take(workers).for_each(drop);
        Ok(Self { handle: runtime.handle().clone(), own: Some(runtime), duties: Vec::new(), pulses })
    }

    /// On a runtime that somebody else ends.
    pub(crate) const fn lent(handle: Handle) -> Self {
        Self { handle, own: None, duties: Vec::new(), pulses: Vec::new() }
    }

    /// From now on the runtime is watched, and each worker of an own one.
    pub(crate) fn put_in(&self, ward: &Ward) {
        ward.watch(watchdog::Runtime::new(self.handle.clone()));
        self.pulses.iter().for_each(|pulse| ward.watch(Arc::clone(pulse)));
    }

    pub(crate) const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Starts `task`, and waits for it unless that could keep it from running.
    pub(crate) fn carry_out(&self, task: impl Future<Output = ()> + Send + 'static) {
        let (done, wait) = mpsc::channel();
        self.handle.spawn(async move {
            task.await;
            done.send(())
        });
        if self.own.is_some() {
            let _ = wait.recv();
        }
    }

    /// Starts something that goes on for as long as the engine runs.
    pub(crate) fn duty(&mut self, duty: impl Future<Output = ()> + Send + 'static) {
        self.duties.push(self.handle.spawn(duty).abort_handle());
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for duty in &self.duties {
            duty.abort();
        }
        let Some(runtime) = self.own.take() else { return };
        if Handle::try_current().is_err() {
            runtime.shutdown_timeout(END);
            return;
        }
        // Inside another runtime nobody may wait for this one's threads, so another thread does.
        let (last, runtimes) = mpsc::channel::<Runtime>();
        let end = move || runtimes.into_iter().for_each(|runtime| runtime.shutdown_timeout(END));
        let waiting = thread::Builder::new().name("allium-end".to_owned()).spawn(end);
        if let Err(SendError(runtime)) = last.send(runtime) {
            runtime.shutdown_background();
        }
        drop(last);
        if let Ok(waiting) = waiting {
            let _ = waiting.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_stay_on_one_core_each_and_others_do_not() {
        let of_thread = || sched_getaffinity(None).unwrap();
        let allowed = of_thread();
        let threads = Threads::own(usize::try_from(allowed.count()).unwrap(), true).unwrap();
        let (tell, told) = mpsc::channel();
        threads.handle().spawn(async move {
            let blocking = tokio::task::spawn_blocking(of_thread).await.unwrap();
            tell.send((of_thread(), blocking)).unwrap();
        });
        let (worker, blocking) = told.recv().unwrap();
        assert_eq!(worker.count(), 1);
        assert!((0..CpuSet::MAX_CPU).all(|core| !worker.is_set(core) || allowed.is_set(core)));
        assert_eq!(blocking, allowed);
    }
}
