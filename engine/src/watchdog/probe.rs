//! What has no pulse of its own, and is tried out instead.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::{
    Heart, Pulse, Sign, Vital,
    stack::{self, ThreadId},
};

/// A runtime: what is spawned there is to be carried out.
pub struct Runtime {
    handle: Handle,
    pulse: Arc<Pulse>,
    /// The task's.
    heart: Arc<Heart>,
    last: Sign,
}

impl Runtime {
    /// The one with this handle.
    #[must_use]
    pub fn new(handle: Handle) -> Self {
        let pulse = Pulse::new("tokio");
        let heart = Arc::new(pulse.begin());
        heart.beat();
        Self { handle, pulse, heart, last: Sign::Unknown }
    }
}

impl Vital for Runtime {
    fn name(&self) -> &str {
        self.pulse.name()
    }

    fn sign(&mut self) -> Sign {
        let sign = self.pulse.sign();
        // The next task comes when the one before was carried out.
        if sign != self.last {
            self.last = sign;
            let heart = Arc::clone(&self.heart);
            self.handle.spawn(async move { heart.beat() });
        }
        sign
    }

    fn thread(&self) -> Option<ThreadId> {
        None
    }

    fn stack(&self) -> String {
        let metrics = self.handle.metrics();
        format!("{} tasks on {} workers", metrics.num_alive_tasks(), metrics.num_workers())
    }
}

/// A thread of another library, which a thread of ours has do something again and again.
pub struct Probed {
    /// Beats whenever it was done.
    pulse: Arc<Pulse>,
    prober: Arc<Pulse>,
    last: Sign,
    /// What the other library's threads are called, in the beginning.
    threads: &'static str,
}

impl Probed {
    /// `pulse` beats whenever it was done; `prober` is the thread that asks for it.
    #[must_use]
    pub const fn new(pulse: Arc<Pulse>, prober: Arc<Pulse>, threads: &'static str) -> Self {
        Self { pulse, prober, last: Sign::Unknown, threads }
    }
}

impl Vital for Probed {
    fn name(&self) -> &str {
        self.pulse.name()
    }

    fn sign(&mut self) -> Sign {
        let prober = self.prober.sign();
        let asks = prober != self.last;
        self.last = prober;
        if asks { self.pulse.sign() } else { Sign::Unknown }
    }

    fn thread(&self) -> Option<ThreadId> {
        None
    }

    fn stack(&self) -> String {
        stack::of_named(self.threads)
    }
}
