//! The runtime that serves: the engine's own, or one that is lent to it.

use std::{
    cell::Cell,
    future::Future,
    io,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, SendError},
    },
    thread,
    time::Duration,
};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::AbortHandle,
};

/// How long the threads of an own runtime may take to end.
const END: Duration = Duration::from_secs(5);

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
    if served.is_multiple_of(TURN) {
        thread::yield_now();
    }
}

/// The one of these cores that is counted to, round and round.
fn nth(cores: &CpuSet, place: usize) -> CpuSet {
    let mut one = CpuSet::new();
    if let Some(core) = (0..CpuSet::MAX_CPU).filter(|core| cores.is_set(*core)).cycle().nth(place) {
        one.set(core);
    }
    one
}

/// Where the engine's tasks run. Its duties end with it; an own runtime ends too.
pub(crate) struct Threads {
    handle: Handle,
    own: Option<Runtime>,
    duties: Vec<AbortHandle>,
}

impl Threads {
    /// With a runtime of its own. When `pinned`, each worker stays on one core, in turn.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub(crate) fn own(workers: usize, pinned: bool) -> io::Result<Self> {
        let workers = workers.max(1);
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(workers).thread_name("allium-worker").enable_all();
        // Whoever waits for this core has it before this thread asks for more work.
        builder.on_thread_park(thread::yield_now);
        let (began, begun) = mpsc::channel();
        if pinned {
            let (cores, started) = (sched_getaffinity(None)?, AtomicUsize::new(0));
            builder.on_thread_start(move || {
                // Those that block for workers come later, from a pinned one, and may run anywhere.
                let place = started.fetch_add(1, Ordering::Relaxed);
                let own = if place < workers { nth(&cores, place) } else { cores };
                if let Err(error) = sched_setaffinity(None, &own) {
                    tracing::warn!(%error, "a thread is not where it should be");
                }
                let _ = began.send(());
            });
        }
        let runtime = builder.build()?;
        if pinned {
            // Nobody has work yet, so these are the workers.
            begun.iter().take(workers).for_each(drop);
        }
        Ok(Self { handle: runtime.handle().clone(), own: Some(runtime), duties: Vec::new() })
    }

    /// On a runtime that somebody else ends.
    pub(crate) const fn lent(handle: Handle) -> Self {
        Self { handle, own: None, duties: Vec::new() }
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
