//! A running node.

use std::{
    collections::HashMap,
    io::ErrorKind,
    net::IpAddr,
    os::fd::{BorrowedFd, IntoRawFd, OwnedFd, RawFd},
    sync::{Arc, Mutex},
    time::Duration,
};

use allium_engine::{
    crypto::Identity,
    node::{Lent, Node as EngineNode, NodeConfig, NodeError},
    store::StoreError,
    transport::{Listeners, Patience, RateLimits, default_memory_limit, parse_network, server::control},
    types::{Ed25519PublicKey, LegacyPublicKey},
    watchdog::{Condition, Ward},
};
use bytes::Bytes;
use pyo3::{
    exceptions::{PyOSError, PyRuntimeError, PyValueError},
    prelude::*,
    types::{PyBytes, PyDict},
};
use zeroize::Zeroizing;

use crate::{
    call,
    kept::Store,
    metrics,
    network::{Network, entries, invalid},
    process::Process,
    watch::Pulse,
};

/// One of our own; the caller's stays the caller's.
fn duplicate(fd: RawFd) -> PyResult<OwnedFd> {
    if fd < 0 {
        return Err(PyValueError::new_err(format!("no descriptor: {fd}")));
    }
    // SAFETY: only asked to be duplicated, which fails for one that is not open.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()?)
}

/// Over HTTPS, OMQ and QUIC; `None` for what was not tested.
type Reached = (bool, Option<bool>, Option<bool>);

/// The parts of another node's answer, or why there is none.
type Answer = (Option<Vec<Vec<u8>>>, String);

/// One running node: its sockets, its store and the threads that serve them.
#[pyclass(frozen, module = "allium._native")]
pub(crate) struct Node {
    node: Mutex<Option<EngineNode>>,
    /// Not behind the lock: it tells of whoever does not give that back.
    ward: Arc<Ward>,
    process: Process,
}

impl Drop for Node {
    fn drop(&mut self) {
        let node = self.node.get_mut().ok().and_then(Option::take);
        node.into_iter().for_each(|node| self.process.give_up(node));
    }
}

impl Node {
    fn with<T>(&self, what: impl FnOnce(&EngineNode) -> T) -> PyResult<T> {
        let node = self.node.lock().map_err(|_| PyRuntimeError::new_err("the node has failed"))?;
        node.as_ref().map(what).ok_or_else(|| PyRuntimeError::new_err("the node was shut down"))
    }
}

#[pymethods]
impl Node {
    #[new]
    #[pyo3(signature = (*, data_dir, ed25519_seed, legacy_pubkey, bind_ip="0.0.0.0", https_port=22021, omq_port=22020,
        max_store_bytes=3_758_096_384, account_bytes=134_217_728, account_messages=100_000, max_missed=1_048_576, durability="sync", worker_threads=2, pin_threads=false, queue=1000,
        rate_limit=(600, 300), rate_limit_exempt=Vec::new(), connections_per_address=512, memory_limit=None, patience=(10.0, 60.0, 60.0), admins=Vec::new(),
        oxend_rpc=None, allow_private_servers=false, keeps_messages=true, answers=None, sockets=Vec::new()))]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    fn new(
        py: Python<'_>,
        data_dir: &str,
        ed25519_seed: &[u8],
        legacy_pubkey: [u8; 32],
        bind_ip: &str,
        https_port: u16,
        omq_port: u16,
        max_store_bytes: u64,
        account_bytes: u64,
        account_messages: u64,
        max_missed: u64,
        durability: &str,
        worker_threads: usize,
        pin_threads: bool,
        queue: usize,
        rate_limit: (u32, u32),
        rate_limit_exempt: Vec<String>,
        connections_per_address: usize,
        memory_limit: Option<usize>,
        patience: (f64, f64, f64),
        admins: Vec<String>,
        oxend_rpc: Option<String>,
        allow_private_servers: bool,
        keeps_messages: bool,
        answers: Option<(Vec<String>, Py<PyAny>)>,
        sockets: Vec<RawFd>,
    ) -> PyResult<Self> {
        let seed = Zeroizing::new(<[u8; 32]>::try_from(ed25519_seed).map_err(|_| invalid("ed25519_seed: 32 bytes"))?);
        let bind_ip: IpAddr =
            bind_ip.parse().map_err(|_| PyValueError::new_err(format!("no IP address: {bind_ip}")))?;
        let exempt = rate_limit_exempt.iter().map(|network| parse_network(network)).collect::<Result<_, _>>();
        let rate_limits = RateLimits {
            burst: rate_limit.0,
            per_second: rate_limit.1,
            exempt: exempt.map_err(invalid)?,
            ..RateLimits::default()
        };
        let seconds = |seconds| Duration::try_from_secs_f64(seconds).map_err(invalid);
        let (handshake, head, body) = patience;
        let patience = Patience { handshake: seconds(handshake)?, head: seconds(head)?, body: seconds(body)? };
        let admins = admins.iter().map(|key| key.parse()).collect::<Result<_, _>>().map_err(invalid)?;
        let config = NodeConfig {
            bind_ip,
            https_port,
            omq_port,
            max_store_bytes,
            account_bytes,
            account_messages,
            max_missed,
            durability: durability.parse().map_err(PyValueError::new_err::<String>)?,
            worker_threads,
            pin_threads,
            queue,
            rate_limits,
            connections_per_address,
            memory_limit: memory_limit.unwrap_or_else(default_memory_limit),
            patience,
            admins,
            oxend_rpc,
            allow_private_servers,
            keeps_messages,
            ..NodeConfig::new(data_dir)
        };
        let identity = Identity::new(&seed, LegacyPublicKey(legacy_pubkey));
        let lent = Lent { own: answers.map(|(methods, tell)| call::own(methods, tell)), ..Lent::default() };
        let sockets = sockets.into_iter().map(duplicate).collect::<PyResult<_>>()?;
        let start = || {
            let listeners = Listeners::take(sockets, config.bind_ip, config.https_port, config.omq_port)?;
            EngineNode::start_on(listeners, &config, identity, lent)
        };
        let node = py.detach(start).map_err(|error| match error {
            // Another start would not help.
            NodeError::Io(error) if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput) => {
                PyValueError::new_err(error.to_string())
            }
            NodeError::Store(StoreError::Format { .. }) => PyValueError::new_err(error.to_string()),
            NodeError::Io(error) => PyOSError::new_err(error.to_string()),
            error => PyOSError::new_err(error.to_string()),
        })?;
        let ward = node.ward();
        Ok(Self { node: Mutex::new(Some(node)), ward, process: Process::this() })
    }

    fn set_network(&self, py: Python<'_>, network: Network) -> PyResult<()> {
        let snapshot = network.snapshot(py)?;
        self.with(|node| node.set_network(snapshot))
    }

    fn cut_off(&self, pubkeys_ed25519: Vec<String>) -> PyResult<()> {
        let keys = pubkeys_ed25519.iter().map(|key| key.parse()).collect::<Result<Vec<Ed25519PublicKey>, _>>();
        let keys = keys.map_err(invalid)?;
        self.with(|node| node.cut_off(keys))
    }

    /// Unix seconds.
    fn time(&self) -> PyResult<f64> {
        #[expect(clippy::cast_precision_loss, reason = "until the year 287396")]
        self.with(|node| node.now().0 as f64 / 1e3)
    }

    fn clock_ahead(&self) -> PyResult<Option<f64>> {
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        self.with(|node| node.clock_ahead().map(|ms| ms as f64 / 1e3))
    }

    fn set_clock_offset(&self, milliseconds: i64) -> PyResult<()> {
        self.with(|node| node.set_clock_offset(milliseconds))
    }

    fn test_peer(&self, py: Python<'_>, pubkey_ed25519: &str) -> PyResult<Option<Reached>> {
        let key = pubkey_ed25519.parse().map_err(invalid)?;
        let coming = self.with(|node| node.test_peer(&key))?;
        // The node is free for others meanwhile.
        let result = coming.and_then(|coming| py.detach(move || coming.recv().ok()));
        Ok(result.map(|result| (result.https, result.omq, result.quic)))
    }

    fn onion(&self, payload: Vec<u8>, done: Py<PyAny>) -> PyResult<()> {
        self.with(|node| call::then(node, node.onion(payload), done))?
    }

    fn request(&self, body: Vec<u8>, done: Py<PyAny>) -> PyResult<()> {
        self.with(|node| call::then(node, node.request(body), done))?
    }

    fn store(&self) -> PyResult<Option<Store>> {
        self.with(|node| node.store().cloned().map(Store::of_engine))
    }

    fn next_question(&self, py: Python<'_>) -> PyResult<Option<Question>> {
        Ok(next(py, self.with(EngineNode::control)?))
    }

    fn next_tidings(&self, py: Python<'_>) -> PyResult<Option<Question>> {
        Ok(next(py, self.with(EngineNode::gossip)?))
    }

    fn ask(
        &self,
        py: Python<'_>,
        nodes: Vec<HashMap<String, Py<PyAny>>>,
        command: &str,
        parts: Vec<Vec<u8>>,
        timeout: f64,
    ) -> PyResult<Vec<Answer>> {
        let nodes = entries(py, &nodes)?;
        let limit = Duration::try_from_secs_f64(timeout).map_err(invalid)?;
        let parts = parts.into_iter().map(Bytes::from).collect();
        let coming = self.with(|node| node.ask(nodes, command, parts, limit))?;
        let coming = coming.ok_or_else(|| PyValueError::new_err(format!("other nodes are not asked for {command}")))?;
        let answers =
            py.detach(move || coming.recv()).map_err(|_| PyRuntimeError::new_err("the node was shut down"))?;
        Ok(answers
            .into_iter()
            .map(|answer| match answer {
                Ok(parts) => (Some(parts.iter().map(|part| part.to_vec()).collect()), String::new()),
                Err(error) => (None, error.to_string()),
            })
            .collect())
    }

    fn pinged<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        let seconds = self
            .with(|node| [&node.pinged().https, &node.pinged().omq, &node.pinged().quic].map(|last| last.seconds()))?;
        for (transport, seconds) in ["https", "omq", "quic"].into_iter().zip(seconds) {
            dict.set_item(transport, seconds)?;
        }
        Ok(dict)
    }

    fn not_ready(&self) -> PyResult<Option<String>> {
        self.with(EngineNode::not_ready)
    }

    fn threads(&self) -> Vec<(String, u64, bool)> {
        let conditions = self.ward.conditions();
        conditions.into_iter().map(|Condition { name, stalled, ended }| (name, stalled, ended)).collect()
    }

    fn pulse(&self, name: &str, patience: u64, place: Py<PyAny>) -> Pulse {
        Pulse::begin(name, patience, place, &self.ward)
    }

    fn freeze_thread(&self, py: Python<'_>, name: &str, seconds: f64) -> PyResult<()> {
        let time = Duration::try_from_secs_f64(seconds).map_err(invalid)?;
        Ok(py.detach(|| self.ward.freeze(name, time))?)
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = self.with(EngineNode::stats)?.map_err(|error| PyOSError::new_err(error.to_string()))?;
        let dict = PyDict::new(py);
        dict.set_item("requests", stats.requests)?;
        dict.set_item("relaying", stats.relaying)?;
        dict.set_item("monitors", stats.monitors)?;
        dict.set_item("quic_peers", stats.quic_peers)?;
        dict.set_item("members_behind", stats.members_behind)?;
        dict.set_item("missed", stats.store.hints)?;
        dict.set_item("missed_dropped", stats.store.hints_dropped)?;
        dict.set_item("transfers", stats.transfers)?;
        for (name, sizes) in [("peel", stats.peel_batches), ("verify", stats.verify_batches)] {
            for (power, count) in sizes.into_iter().enumerate() {
                dict.set_item(format!("{name}_batches_{}", 1 << power), count)?;
            }
        }
        dict.set_item("compared_given", stats.compared.given)?;
        dict.set_item("compared_taken", stats.compared.taken)?;
        dict.set_item("compared_bytes", stats.compared.bytes)?;
        dict.set_item("nodes", stats.nodes)?;
        dict.set_item("nodes_left_out", stats.nodes_left_out)?;
        dict.set_item("height", stats.height)?;
        dict.set_item("messages", stats.store.messages)?;
        dict.set_item("store_bytes", stats.store.bytes)?;
        dict.set_item("store_max_bytes", stats.store.max_bytes)?;
        dict.set_item("durability", stats.store.durability.name())?;
        Ok(dict)
    }

    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let told = py.detach(|| self.with(EngineNode::metrics))?;
        metrics::dict(py, told.map_err(|error| PyOSError::new_err(error.to_string()))?)
    }

    fn hand_over(&self, py: Python<'_>) -> PyResult<Vec<RawFd>> {
        let mut node = self.node.lock().map_err(|_| PyRuntimeError::new_err("the node has failed"))?.take();
        let sockets: Vec<OwnedFd> =
            py.detach(|| node.as_mut().and_then(EngineNode::hand_over)).map(Into::into).unwrap_or_default();
        Ok(sockets.into_iter().map(IntoRawFd::into_raw_fd).collect())
    }

    fn shutdown(&self, py: Python<'_>) -> PyResult<()> {
        let node = self.node.lock().map_err(|_| PyRuntimeError::new_err("the node has failed"))?.take();
        py.detach(|| drop(node));
        Ok(())
    }
}

/// Waits for a question; the node is free for others meanwhile.
fn next(py: Python<'_>, desk: Arc<control::Control>) -> Option<Question> {
    py.detach(move || desk.next()).map(|question| Question(Mutex::new(Some(question))))
}

/// One question, which can be answered once.
#[pyclass(frozen, module = "allium._native")]
pub(crate) struct Question(Mutex<Option<control::Question>>);

impl Question {
    fn with<T>(&self, what: impl FnOnce(&control::Question) -> T) -> PyResult<T> {
        let question = self.0.lock().map_err(|_| PyRuntimeError::new_err("the question has failed"))?;
        question.as_ref().map(what).ok_or_else(|| PyRuntimeError::new_err("the question was answered already"))
    }
}

#[pymethods]
impl Question {
    #[getter]
    fn command(&self) -> PyResult<&'static str> {
        self.with(|question| question.command)
    }

    #[getter]
    fn sender(&self) -> PyResult<Option<String>> {
        self.with(|question| question.from.map(|key| key.to_string()))
    }

    #[getter]
    fn source(&self) -> PyResult<u128> {
        self.with(|question| question.source)
    }

    #[getter]
    fn parts<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        self.with(|question| question.parts.iter().map(|part| PyBytes::new(py, part)).collect())
    }

    fn answer(&self, parts: Vec<Vec<u8>>) -> PyResult<()> {
        let question = self.0.lock().map_err(|_| PyRuntimeError::new_err("the question has failed"))?.take();
        let question = question.ok_or_else(|| PyRuntimeError::new_err("the question was answered already"))?;
        question.answer(parts.into_iter().map(Bytes::from).collect());
        Ok(())
    }
}
