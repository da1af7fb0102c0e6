//! A watchdog over the threads that others depend on.
//!
//! Each has a [`Pulse`], which costs it an atomic store a turn. A thread that has work and gives no sign of life for ten
//! seconds, or has ended, is told of in the log with its stack, and to whoever runs the node, for as long as that lasts.
//!
//! Time is counted in looks, not by a clock: a process that was stopped, or a machine that slept, has missed none.

mod probe;
mod pulse;
mod stack;

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use parking_lot::Mutex;

pub use probe::{Probed, Runtime};
pub use pulse::{Heart, Pulse};
pub use stack::ThreadId;

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(1);
/// Looks without a sign of life after which a thread has stalled, if nothing else is said.
const STALLED: u64 = 10;

/// What is known of something that should go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It goes on as long as this changes.
    Count(u64),
    /// It has nothing to do.
    AtRest,
    /// Nothing, this time.
    Unknown,
    /// It is no more, and should be.
    Ended,
    /// It is no more, and need not be.
    Gone,
}

/// Something that should go on.
pub trait Vital: Send {
    /// What it is called.
    fn name(&self) -> &str;
    /// Seconds without a sign of life after which it has stalled.
    fn patience(&self) -> u64 {
        STALLED
    }
    /// Looks at it: once a second.
    fn sign(&mut self) -> Sign;
    /// The thread that it is, if it is one.
    fn thread(&self) -> Option<ThreadId>;
    /// What it is doing instead, on one line.
    fn stack(&self) -> String;
}

/// How something is that should go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What it is called.
    pub name: String,
    /// Seconds since it stalled or ended, from its last sign of life; 0 while it is well.
    pub stalled: u64,
    /// Whether it is no more.
    pub ended: bool,
}

/// Something that is watched.
pub(crate) struct Patient {
    vital: Box<dyn Vital>,
    last: Sign,
    /// Looks since the last sign of life.
    silent: u64,
    told: bool,
}

impl Patient {
    /// `None` when it need not be watched any more.
    fn examine(&mut self) -> Option<Condition> {
        let sign = self.vital.sign();
        match sign {
            Sign::Gone => return None,
            Sign::Unknown => {}
            Sign::Ended => self.silent += 1,
            Sign::Count(_) if sign == self.last => self.silent += 1,
            Sign::Count(_) | Sign::AtRest => {
                if self.told {
                    tracing::warn!(
                        thread = self.vital.name(),
                        seconds = self.silent,
                        "a thread that stood still goes on"
                    );
                }
                (self.silent, self.told) = (0, false);
            }
        }
        if sign != Sign::Unknown {
            self.last = sign;
        }
        let ended = sign == Sign::Ended;
        let stalled = if ended || self.silent >= self.vital.patience() { self.silent } else { 0 };
        if stalled > 0 && !self.told {
            self.told = true;
            let thread = self.vital.name();
            if ended {
                tracing::error!(thread, "a thread that others depend on has ended");
            } else {
                let stack = self.vital.stack();
                tracing::error!(thread, seconds = stalled, stack, "a thread that others depend on stands still");
            }
        }
        Some(Condition { name: self.vital.name().to_owned(), stalled, ended })
    }
}

/// What is watched, and how it is.
#[derive(Default)]
pub struct Ward {
    /// Not looked at yet.
    new: Mutex<Vec<Box<dyn Vital>>>,
    conditions: Mutex<Vec<Condition>>,
    /// Threads by name, of all that are watched.
    threads: Mutex<Vec<(String, ThreadId)>>,
}

impl std::fmt::Debug for Ward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ward").field("conditions", &self.conditions).finish_non_exhaustive()
    }
}

impl Ward {
    /// From now on `vital` is watched.
    pub fn watch(&self, vital: impl Vital + 'static) {
        self.new.lock().push(Box::new(vital));
    }

    /// All that is watched, as it was at the last look.
    #[must_use]
    pub fn conditions(&self) -> Vec<Condition> {
        self.conditions.lock().clone()
    }

    /// A lever of test networks: this thread does nothing for so long.
    ///
    /// # Errors
    /// When there is none of that name, or it takes no signal.
    pub fn freeze(&self, name: &str, time: Duration) -> io::Result<()> {
        let thread = self.threads.lock().iter().find(|(known, _)| known == name).map(|(_, thread)| *thread);
        stack::freeze(thread.ok_or_else(|| io::Error::other(format!("no thread {name:?} is watched")))?, time)
    }

    pub(crate) fn look(&self, patients: &mut Vec<Patient>) {
        let new = std::mem::take(&mut *self.new.lock());
        patients.extend(new.into_iter().map(|vital| Patient { vital, last: Sign::AtRest, silent: 0, told: false }));
        let mut conditions = Vec::with_capacity(patients.len());
        patients.retain_mut(|patient| {
            let condition = patient.examine();
            let stays = condition.is_some();
            conditions.extend(condition);
            stays
        });
        let threads =
            patients.iter().filter_map(|Patient { vital, .. }| Some((vital.name().to_owned(), vital.thread()?)));
        *self.threads.lock() = threads.collect();
        *self.conditions.lock() = conditions;
    }
}

/// The thread that looks. Dropping it ends it.
#[derive(Debug)]
pub struct Watchdog {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Looks at all that is in `ward`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(ward: Arc<Ward>) -> io::Result<Self> {
        let (end, ended) = channel();
        let run = move || run(&ward, &ended);
        let thread = std::thread::Builder::new().name("allium-watchdog".to_owned()).spawn(run)?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.end = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the watchdog ended abnormally");
        }
    }
}

fn run(ward: &Ward, ended: &Receiver<()>) {
    let mut patients = Vec::new();
    while ended.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
        ward.look(&mut patients);
    }
    // Nobody looks any more.
    ward.conditions.lock().clear();
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

    fn looks(ward: &Ward, patients: &mut Vec<Patient>, count: u64) -> Vec<(String, u64, bool)> {
        (0..count).for_each(|_| ward.look(patients));
        ward.conditions().into_iter().map(|told| (told.name, told.stalled, told.ended)).collect()
    }

    #[test]
    fn who_stands_still_with_work_or_has_ended_is_told_of() {
        let (ward, mut patients) = (Ward::default(), Vec::new());
        let pulses = ["works", "rests", "panics", "retires"].map(Pulse::new);
        for pulse in &pulses {
            ward.watch(Arc::clone(pulse));
        }
        let (turn, turns) = mpsc::channel::<()>();
        let (done, dones) = mpsc::channel();
        let [works, rests, panics, retires] = pulses;
        let (heart, _resting) = (thread::spawn(move || works.begin()).join().unwrap(), rests.begin());
        let working = thread::spawn(move || {
            heart.beat();
            done.send(()).unwrap();
            for () in turns {
                heart.beat();
                done.send(()).unwrap();
            }
            heart.retire();
        });
        dones.recv().unwrap();
        thread::spawn(move || retires.begin().retire()).join().unwrap();
        let all = |works, panics| {
            vec![
                ("works".to_owned(), works, false),
                ("rests".to_owned(), 0, false),
                ("panics".to_owned(), panics, panics > 0),
            ]
        };
        assert_eq!(looks(&ward, &mut patients, STALLED), all(0, 0));
        assert_eq!(looks(&ward, &mut patients, 1), all(STALLED, 0));
        let panicking = thread::spawn(move || {
            let _heart = panics.begin();
            panic!("as it may be");
        });
        assert!(panicking.join().is_err());
        assert_eq!(looks(&ward, &mut patients, 2), all(STALLED + 2, 2));
        turn.send(()).unwrap();
        dones.recv().unwrap();
        assert_eq!(looks(&ward, &mut patients, 1), all(0, 3));
        drop(turn);
        working.join().unwrap();
        assert_eq!(looks(&ward, &mut patients, 1).len(), 2);
    }

    #[test]
    fn a_runtime_whose_workers_are_busy_with_one_thing_stands_still() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (ward, mut patients) = (Ward::default(), Vec::new());
        ward.watch(Runtime::new(runtime.handle().clone()));
        let (hold, held) = mpsc::channel::<()>();
        let (begun, begin) = mpsc::channel();
        runtime.spawn(async move {
            begun.send(()).unwrap();
            let _ = held.recv();
        });
        begin.recv().unwrap();
        assert_eq!(looks(&ward, &mut patients, STALLED), [("tokio".to_owned(), 0, false)]);
        assert_eq!(looks(&ward, &mut patients, 1), [("tokio".to_owned(), STALLED, false)]);
        drop(hold);
        while looks(&ward, &mut patients, 1)[0].1 > 0 {
            thread::yield_now();
        }
    }
}
