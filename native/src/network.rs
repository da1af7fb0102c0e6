//! The network's snapshot, from Python's dicts.

use std::{collections::HashMap, str::FromStr};

use allium_engine::{
    swarm::{self, NodeInfo, Snapshot, SwarmId},
    types::AccountId,
};
use pyo3::{exceptions::PyValueError, prelude::*};

/// `Network` of the stub.
pub(crate) struct Network {
    height: u64,
    block_hash: String,
    hardfork: [u16; 2],
    nodes: Vec<HashMap<String, Py<PyAny>>>,
}

impl<'py> FromPyObject<'_, 'py> for Network {
    type Error = PyErr;

    fn extract(network: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Ok(Self {
            height: field(&network, "height")?,
            block_hash: field(&network, "block_hash")?,
            hardfork: field(&network, "hardfork")?,
            nodes: field(&network, "nodes")?,
        })
    }
}

/// One field of the dict; `ValueError`, whatever is wrong with it.
fn field<'py, T>(network: &Bound<'py, PyAny>, name: &str) -> PyResult<T>
where
    T: for<'a> FromPyObject<'a, 'py, Error: Into<PyErr>>,
{
    let wrong = |error: PyErr| PyValueError::new_err(format!("{name} of the network: {error}"));
    let value = network.get_item(name).map_err(wrong)?;
    value.extract().map_err(|error: <T as FromPyObject<'_, 'py>>::Error| wrong(error.into()))
}

impl Network {
    pub(crate) fn snapshot(self, py: Python<'_>) -> PyResult<Snapshot> {
        let nodes = entries(py, &self.nodes)?;
        Ok(Snapshot::new(self.height, self.block_hash, self.hardfork, nodes))
    }
}

/// Nodes from a list of `NodeEntry`.
pub(crate) fn entries(py: Python<'_>, nodes: &[HashMap<String, Py<PyAny>>]) -> PyResult<Vec<NodeInfo>> {
    nodes.iter().map(|entry| Entry { py, entry }.node()).collect()
}

pub(crate) fn invalid(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// One `NodeEntry` of the stub; keys that it does not know are passed over.
struct Entry<'a, 'py> {
    py: Python<'py>,
    entry: &'a HashMap<String, Py<PyAny>>,
}

impl Entry<'_, '_> {
    fn optional<T: for<'a> FromPyObject<'a, 'a, Error: Into<PyErr>>>(&self, name: &str) -> PyResult<Option<T>> {
        let Some(value) = self.entry.get(name) else { return Ok(None) };
        let value = value.bind(self.py);
        value.extract().map(Some).map_err(|error: <T as FromPyObject<'_, '_>>::Error| {
            PyValueError::new_err(format!("{name} of a node: {}", error.into()))
        })
    }

    fn required<T: for<'a> FromPyObject<'a, 'a, Error: Into<PyErr>>>(&self, name: &str) -> PyResult<T> {
        self.optional(name)?.ok_or_else(|| PyValueError::new_err(format!("a node has no {name}")))
    }

    fn parsed<T: FromStr<Err: std::fmt::Display>>(&self, name: &str) -> PyResult<T> {
        let text: String = self.required(name)?;
        text.parse().map_err(|error| PyValueError::new_err(format!("{name} {text:?} of a node: {error}")))
    }

    fn node(&self) -> PyResult<NodeInfo> {
        Ok(NodeInfo {
            legacy: self.parsed("pubkey_legacy")?,
            ed25519: self.parsed("pubkey_ed25519")?,
            x25519: self.parsed("pubkey_x25519")?,
            ip: self.parsed("ip")?,
            https_port: self.required("https_port")?,
            omq_port: self.required("omq_port")?,
            swarm: SwarmId(self.required("swarm_id")?),
            version: self.optional("version")?.unwrap_or(allium_engine::rpc::PROTOCOL_VERSION),
            requested_unlock_height: self.optional("requested_unlock_height")?.unwrap_or(0),
        })
    }
}

/// The result of `get_n_service_nodes`, as JSON.
#[pyfunction]
pub(crate) fn service_nodes(py: Python<'_>, network: Network, params: &str) -> PyResult<String> {
    let params = serde_json::from_str(params).map_err(invalid)?;
    Ok(swarm::service_nodes(&network.snapshot(py)?, &params).to_string())
}

/// The id of the swarm of an account.
#[pyfunction]
pub(crate) fn swarm_of(account_id: &str, swarm_ids: Vec<u64>) -> PyResult<Option<u64>> {
    let account: AccountId = account_id.parse().map_err(invalid)?;
    let mut swarms: Vec<SwarmId> = swarm_ids.into_iter().map(SwarmId).filter(|id| *id != SwarmId::UNASSIGNED).collect();
    swarms.sort_unstable();
    swarms.dedup();
    Ok(swarm::swarm_of(swarm::position(&account), &swarms).map(|id| id.0))
}
