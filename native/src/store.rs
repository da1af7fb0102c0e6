//! A store that is looked at, or changed, from outside.

use std::{
    fs::File,
    io::{BufReader, BufWriter},
    path::PathBuf,
};

use allium_engine::store::{self, Durability, Exported, StoreConfig, StoreError};
use pyo3::{exceptions::PyOSError, prelude::*, types::PyDict};

fn failed(error: StoreError) -> PyErr {
    PyOSError::new_err(error.to_string())
}

/// Calls `progress` with a count; once it has raised, no more, and the error is kept.
struct Progress {
    told: Option<Py<PyAny>>,
    raised: Option<PyErr>,
}

impl Progress {
    const fn new(told: Option<Py<PyAny>>) -> Self {
        Self { told, raised: None }
    }

    fn tell(&mut self, count: u64) {
        let Some(told) = self.told.as_ref().filter(|_| self.raised.is_none()) else { return };
        self.raised = Python::attach(|py| told.call1(py, (count,))).err();
    }

    fn done<T>(self, result: Result<T, StoreError>) -> PyResult<T> {
        self.raised.map_or_else(|| result.map_err(failed), Err)
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
    let mut progress = Progress::new(progress);
    let report = py.detach(|| store::verify(&data_dir, &mut |count| progress.tell(count)));
    let report = progress.done(report)?;
    let dict = PyDict::new(py);
    dict.set_item("messages", report.messages)?;
    dict.set_item("accounts", report.accounts)?;
    dict.set_item("bytes", report.bytes)?;
    dict.set_item("entries", report.entries)?;
    dict.set_item("found", report.found)?;
    dict.set_item("problems", report.problems)?;
    Ok(dict)
}

#[pyfunction]
pub(crate) fn store_compact(py: Python<'_>, data_dir: PathBuf) -> PyResult<(u64, u64)> {
    let done = py.detach(|| store::compact(&data_dir)).map_err(failed)?;
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
    let mut progress = Progress::new(progress);
    let mut out = BufWriter::new(File::create(&file)?);
    let done = py.detach(|| store::export(&data_dir, &mut out, &mut |count| progress.tell(count)));
    let Exported { messages, entries } = progress.done(done)?;
    Ok((messages, entries))
}

#[pyfunction]
#[pyo3(signature = (data_dir, file, max_store_bytes, progress=None))]
pub(crate) fn store_import(
    py: Python<'_>,
    data_dir: PathBuf,
    file: PathBuf,
    max_store_bytes: u64,
    progress: Option<Py<PyAny>>,
) -> PyResult<(u64, u64)> {
    let mut progress = Progress::new(progress);
    let mut input = BufReader::new(File::open(&file)?);
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
    let done = py.detach(|| store::import(config, &mut input, &mut |count| progress.tell(count)));
    let Exported { messages, entries } = progress.done(done)?;
    Ok((messages, entries))
}
