//! The runtime that serves: the engine's own, or one that is lent to it.

use std::{
    future::Future,
    io,
    sync::mpsc::{self, SendError},
    time::Duration,
};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::AbortHandle,
};

/// How long the threads of an own runtime may take to end.
const END: Duration = Duration::from_secs(5);

/// Where the engine's tasks run. Its duties end with it; an own runtime ends too.
pub(crate) struct Threads {
    handle: Handle,
    own: Option<Runtime>,
    duties: Vec<AbortHandle>,
}

impl Threads {
    /// With a runtime of its own.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub(crate) fn own(workers: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(workers.max(1))
            .thread_name("allium-worker")
            .enable_all()
            .build()?;
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
        let waiting = std::thread::Builder::new().name("allium-end".to_owned()).spawn(end);
        if let Err(SendError(runtime)) = last.send(runtime) {
            runtime.shutdown_background();
        }
        drop(last);
        if let Ok(waiting) = waiting {
            let _ = waiting.join();
        }
    }
}
