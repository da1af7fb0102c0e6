//! The message store, opened by itself or an engine's.

use std::path::PathBuf;

use allium_engine::{
    Clock, Store as EngineStore,
    store::{self, Limits, NewMessage, Outcome, StoreConfig, StoreError},
    types::{AccountId, MessageHash, Millis, Namespace},
};
use futures_util::future::try_join_all;
use parking_lot::Mutex;
use pyo3::{
    exceptions::{PyOSError, PyValueError},
    prelude::*,
    types::PyBytes,
};

use crate::{network::invalid, process::Process};

/// Account, namespace, timestamp, expiry, data.
type New = (String, i16, u64, u64, Vec<u8>);
/// Account, namespace, timestamp, expiry, data, hash.
type Storage<'py> = (String, i16, u64, u64, Bound<'py, PyBytes>, String);

fn failed(error: StoreError) -> PyErr {
    PyOSError::new_err(error.to_string())
}

fn account(text: &str) -> PyResult<AccountId> {
    text.parse().map_err(invalid)
}

fn hash(text: &str) -> PyResult<MessageHash> {
    MessageHash::from_text(text).ok_or_else(|| PyValueError::new_err("no message hash"))
}

fn message((account, namespace, timestamp, expiry, data): New) -> PyResult<NewMessage> {
    let account = self::account(&account)?;
    Ok(NewMessage::new(account, Namespace(namespace), Millis(timestamp), Millis(expiry), data))
}

fn kept(py: Python<'_>, message: NewMessage) -> Storage<'_> {
    let NewMessage { account, namespace, hash, timestamp, expiry, data, .. } = message;
    (account.hex(), namespace.0, timestamp.0, expiry.0, PyBytes::new(py, &data), hash.to_string())
}

/// Where a walk through all messages has come to.
#[pyclass(frozen, module = "allium._native")]
pub(crate) struct Cursor(store::Cursor);

#[pyclass(frozen, module = "allium._native")]
pub(crate) struct Store {
    /// Nothing once it is closed: the files are free for others when the last handle has gone.
    store: Mutex<Option<EngineStore>>,
    ours: bool,
    process: Process,
}

impl Drop for Store {
    fn drop(&mut self) {
        let store = self.store.get_mut().take();
        store.into_iter().for_each(|store| self.process.give_up(store));
    }
}

impl Store {
    /// An engine's, which goes on without this handle.
    pub(crate) fn of_engine(store: EngineStore) -> Self {
        Self { store: Mutex::new(Some(store)), ours: false, process: Process::this() }
    }

    fn open(&self) -> PyResult<EngineStore> {
        self.store.lock().clone().ok_or_else(|| failed(StoreError::Closed))
    }
}

#[pymethods]
impl Store {
    #[new]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        max_bytes: u64,
        account_bytes: u64,
        account_messages: u64,
        durability: &str,
    ) -> PyResult<Self> {
        let durability = durability.parse().map_err(PyValueError::new_err::<String>)?;
        let config = StoreConfig { max_bytes, account_bytes, account_messages, durability, ..StoreConfig::new(path) };
        let store = py.detach(|| EngineStore::open(config, Clock::default())).map_err(failed)?;
        Ok(Self { store: Mutex::new(Some(store)), ours: true, process: Process::this() })
    }

    fn put(&self, py: Python<'_>, messages: Vec<New>) -> PyResult<Vec<(String, &'static str, u64)>> {
        let messages: Vec<NewMessage> = messages.into_iter().map(message).collect::<PyResult<_>>()?;
        let hashes: Vec<String> = messages.iter().map(|message| message.hash.to_string()).collect();
        let store = self.open()?;
        let puts = messages.into_iter().map(|message| store.put(message));
        let stored = py.detach(|| pollster::block_on(try_join_all(puts))).map_err(failed)?;
        let outcome = |outcome| match outcome {
            Outcome::New => "new",
            Outcome::Extended => "extended",
            Outcome::Exists => "exists",
            Outcome::Obsolete => "obsolete",
        };
        let stored = stored.into_iter().map(|stored| (outcome(stored.outcome), stored.expiry.0));
        Ok(hashes.into_iter().zip(stored).map(|(hash, (outcome, expiry))| (hash, outcome, expiry)).collect())
    }

    fn get<'py>(&self, py: Python<'py>, account: &str, hash: &str) -> PyResult<Option<Storage<'py>>> {
        let (account, hash) = (self::account(account)?, self::hash(hash)?);
        let store = self.open()?;
        let found = py.detach(move || store.get(&account, &hash)).map_err(failed)?;
        Ok(found.map(|message| kept(py, message)))
    }

    fn retrieve<'py>(
        &self,
        py: Python<'py>,
        account: &str,
        namespace: i16,
        after: Option<&str>,
        max_count: Option<u64>,
        max_size: u64,
    ) -> PyResult<(Vec<Storage<'py>>, bool)> {
        let (account, namespace) = (self::account(account)?, Namespace(namespace));
        let after = after.map(self::hash).transpose()?;
        let limits = Limits { max_count, max_size };
        let store = self.open()?;
        let page = py.detach(move || store.retrieve(&account, namespace, after.as_ref(), limits)).map_err(failed)?;
        let messages = page.messages.into_iter().map(|message| {
            let data = PyBytes::new(py, &message.data);
            (account.hex(), namespace.0, message.timestamp.0, message.expiry.0, data, message.hash.to_string())
        });
        Ok((messages.collect(), page.more))
    }

    fn scan<'py>(
        &self,
        py: Python<'py>,
        cursor: Option<&Cursor>,
        size: usize,
    ) -> PyResult<(Vec<Storage<'py>>, Option<Cursor>)> {
        let start = cursor.map(|cursor| cursor.0.clone()).unwrap_or_default();
        let store = self.open()?;
        let batch = py.detach(move || store.scan(&start, size)).map_err(failed)?;
        Ok((batch.messages.into_iter().map(|message| kept(py, message)).collect(), batch.next.map(Cursor)))
    }

    fn remove(&self, py: Python<'_>, account: &str, hashes: Vec<String>) -> PyResult<Vec<String>> {
        let account = self::account(account)?;
        let hashes = hashes.iter().map(|text| hash(text)).collect::<PyResult<_>>()?;
        let store = self.open()?;
        let removed = py.detach(move || pollster::block_on(store.remove(account, hashes))).map_err(failed)?;
        Ok(removed.iter().map(MessageHash::to_string).collect())
    }

    fn count(&self, py: Python<'_>) -> PyResult<(u64, u64)> {
        let store = self.open()?;
        let stats = py.detach(move || store.stats()).map_err(failed)?;
        Ok((stats.messages, stats.bytes))
    }

    fn close(&self, py: Python<'_>) {
        let store = self.store.lock().take();
        py.detach(|| {
            if let Some(store) = store.filter(|_| self.ours) {
                store.close();
            }
        });
    }
}
