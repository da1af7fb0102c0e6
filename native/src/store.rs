//! A store that is looked at, or changed, from outside.

use std::{
    fs::File,
    io::{BufReader, BufWriter},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use allium_engine::{
    files::Replacement,
    store::{self, Durability, StoreConfig, StoreError},
};
use parking_lot::Mutex;
use pyo3::{exceptions::PyOSError, prelude::*, types::PyDict};

fn failed(error: StoreError) -> PyErr {
    PyOSError::new_err(error.to_string())
}

fn unusable(file: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", file.display())
}

/// How long a signal may wait until it is looked for, and work that was told to stop until it is left behind.
const LOOK: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(2);

/// What work tells of itself, on its own thread.
struct Progress {
    told: Option<Py<PyAny>>,
    failed: Arc<Mutex<Option<PyErr>>>,
    stop: Arc<AtomicBool>,
    last: Instant,
}

impl Progress {
    /// Calls Python with a count, not too often; whether to go on.
    fn tell(&mut self, count: u64) -> ControlFlow<()> {
        if self.last.elapsed() >= LOOK
            && let Some(told) = &self.told
        {
            self.last = Instant::now();
            // Not while the interpreter ends.
            if let Some(Err(error)) = Python::try_attach(|py| told.call1(py, (count,))) {
                self.failed.lock().get_or_insert(error);
                self.stop.store(true, Ordering::Relaxed);
            }
        }
        if self.stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Does `work` on a thread of its own, whatever it waits for there, so that Ctrl-C and SIGTERM are heeded at once.
fn interruptible<T: Send + 'static>(
    py: Python<'_>,
    told: Option<Py<PyAny>>,
    work: impl FnOnce(&mut Progress) -> Result<T, String> + Send + 'static,
) -> PyResult<T> {
    let (failed_in, stop) = (Arc::new(Mutex::new(None)), Arc::new(AtomicBool::new(false)));
    let mut progress = Progress { told, failed: Arc::clone(&failed_in), stop: Arc::clone(&stop), last: Instant::now() };
    let (done, doing) = mpsc::channel();
    let doing = Mutex::new(doing);
    let work = move || {
        // Nobody waits any more when it fails.
        drop(done.send(work(&mut progress)));
    };
    thread::Builder::new().name("store".to_owned()).spawn(work)?;
    loop {
        match py.detach(|| doing.lock().recv_timeout(LOOK)) {
            Err(RecvTimeoutError::Timeout) => {
                if let Err(signal) = py.check_signals() {
                    stop.store(true, Ordering::Relaxed);
                    drop(py.detach(|| doing.lock().recv_timeout(PATIENCE)));
                    return Err(signal);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return Err(PyOSError::new_err("the work on the store has failed")),
            Ok(result) => {
                let raised = failed_in.lock().take();
                return raised.map_or_else(|| result.map_err(PyOSError::new_err), Err);
            }
        }
    }
}

#[pyfunction]
pub(crate) fn store_summary<'py>(py: Python<'py>, data_dir: PathBuf) -> PyResult<Bound<'py, PyDict>> {
    let summary = py.detach(|| store::summary(&data_dir)).map_err(failed)?;
    let dict = PyDict::new(py);
    dict.set_item("format", summary.format)?;
    dict.set_item("messages", summary.messages)?;
    dict.set_item("bytes", summary.bytes)?;
    dict.set_item("sequence", summary.sequence)?;
    dict.set_item("accounts_with_several", summary.census.by_account)?;
    dict.set_item("namespaces", summary.census.by_namespace)?;
    dict.set_item("used_bytes", summary.census.used_bytes)?;
    dict.set_item("file_bytes", summary.census.file_bytes)?;
    let tables = PyDict::new(py);
    for table in summary.tables {
        tables.set_item(table.name, (table.entries, table.bytes))?;
    }
    dict.set_item("tables", tables)?;
    Ok(dict)
}

#[pyfunction]
#[pyo3(signature = (data_dir, progress=None))]
pub(crate) fn store_verify(
    py: Python<'_>,
    data_dir: PathBuf,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'_, PyDict>> {
    let report = interruptible(py, progress, move |progress| {
        store::verify(&data_dir, &mut |count| {
            // It changes nothing, so nothing is to be undone.
            let _ = progress.tell(count);
        })
        .map_err(|error| error.to_string())
    })?;
    let dict = PyDict::new(py);
    dict.set_item("messages", report.messages)?;
    dict.set_item("accounts", report.accounts)?;
    dict.set_item("bytes", report.bytes)?;
    dict.set_item("entries", report.entries)?;
    dict.set_item("unproven", report.unproven)?;
    dict.set_item("found", report.found)?;
    dict.set_item("problems", report.problems)?;
    Ok(dict)
}

#[pyfunction]
pub(crate) fn store_compact(py: Python<'_>, data_dir: PathBuf) -> PyResult<(u64, u64)> {
    let compact = move |progress: &mut Progress| {
        store::compact(&data_dir, &mut |bytes| progress.tell(bytes)).map_err(|error| error.to_string())
    };
    let done = interruptible(py, None, compact)?;
    Ok((done.before, done.after))
}

#[pyfunction]
#[pyo3(signature = (data_dir, file, progress=None))]
pub(crate) fn store_export(
    py: Python<'_>,
    data_dir: PathBuf,
    file: PathBuf,
    progress: Option<Py<PyAny>>,
) -> PyResult<(u64, u64)> {
    let done = interruptible(py, progress, move |progress| {
        let mut tell = |count| progress.tell(count);
        // A pipe or a device is written as it is.
        if file.metadata().is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
            let out = File::options().write(true).open(&file).map_err(|error| unusable(&file, &error))?;
            return store::export(&data_dir, &mut BufWriter::new(out), &mut tell).map_err(|error| error.to_string());
        }
        let mut made = Replacement::new(&file).map_err(|error| unusable(&file, &error))?;
        let done = store::export(&data_dir, &mut BufWriter::new(made.file()), &mut tell);
        let done = done.map_err(|error| error.to_string())?;
        made.commit().map_err(|error| unusable(&file, &error))?;
        Ok(done)
    })?;
    Ok((done.messages, done.entries))
}

#[pyfunction]
#[pyo3(signature = (data_dir, file, max_store_bytes, progress=None))]
pub(crate) fn store_import(
    py: Python<'_>,
    data_dir: PathBuf,
    file: PathBuf,
    max_store_bytes: u64,
    progress: Option<Py<PyAny>>,
) -> PyResult<(u64, u64, u64)> {
    // What an account has already is not taken from it.
    let (account_bytes, account_messages) = (u64::MAX, u64::MAX);
    let config = StoreConfig {
        max_bytes: max_store_bytes,
        account_bytes,
        account_messages,
        // Nothing is acknowledged before all is on disk.
        durability: Durability::Async,
        ..StoreConfig::new(data_dir)
    };
    let done = interruptible(py, progress, move |progress| {
        let input = File::open(&file).map_err(|error| unusable(&file, &error))?;
        let mut taken = 0;
        let done = store::import(config, &mut BufReader::new(input), &mut |count| {
            taken = count;
            progress.tell(count)
        });
        done.map_err(|error| match taken {
            0 => error.to_string(),
            _ => format!("{error}; the {taken} entries before that were taken"),
        })
    })?;
    Ok((done.messages, done.entries, done.new))
}
