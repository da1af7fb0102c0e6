//! What Python does that others depend on, under the engine's watchdog.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use allium_engine::watchdog::{self, Heart, Sign, ThreadId, Vital, Ward};
use parking_lot::Mutex;
use pyo3::prelude::*;

/// How long the interpreter may take to give up its lock.
const PATIENCE: Duration = Duration::from_secs(1);

/// The pulse of something that the thread does which made it.
#[pyclass(frozen, module = "allium._native")]
pub(crate) struct Pulse(Mutex<Option<Heart>>);

impl Pulse {
    /// `place` says in words where it is.
    pub(crate) fn begin(name: &str, patience: u64, place: Py<PyAny>, ward: &Ward) -> Self {
        let pulse = watchdog::Pulse::new(name);
        let heart = pulse.begin();
        ward.watch(Watched { pulse, patience, place: Arc::new(place) });
        Self(Mutex::new(Some(heart)))
    }
}

#[pymethods]
impl Pulse {
    fn beat(&self) {
        self.0.lock().iter().for_each(Heart::beat);
    }

    fn retire(&self) {
        self.0.lock().take().into_iter().for_each(Heart::retire);
    }
}

struct Watched {
    pulse: Arc<watchdog::Pulse>,
    patience: u64,
    place: Arc<Py<PyAny>>,
}

impl Vital for Watched {
    fn name(&self) -> &str {
        self.pulse.name()
    }

    fn patience(&self) -> u64 {
        self.patience
    }

    fn sign(&mut self) -> Sign {
        self.pulse.sign()
    }

    fn thread(&self) -> Option<ThreadId> {
        self.pulse.thread()
    }

    fn stack(&self) -> String {
        format!("{}; in Python: {}", self.pulse.stack(), self.place())
    }
}

impl Watched {
    /// Whoever holds the interpreter's lock may never give it up, so another thread waits for it.
    fn place(&self) -> String {
        let (tell, told) = mpsc::channel();
        let place = Arc::clone(&self.place);
        let ask = move || {
            Python::attach(|py| {
                let answer = place.call0(py).and_then(|answer| answer.extract(py));
                let _ = tell.send(answer.unwrap_or_else(|error| error.to_string()));
            });
        };
        if std::thread::Builder::new().name("allium-ask".to_owned()).spawn(ask).is_err() {
            return "no thread to ask with".to_owned();
        }
        told.recv_timeout(PATIENCE).unwrap_or_else(|_| "the interpreter's lock is not given up".to_owned())
    }
}
