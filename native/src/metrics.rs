//! What a node counts, for Python.

use allium_engine::{
    crypto::{Backend, Operation, forced, measure},
    metrics::{Distribution, bound},
    report::NodeMetrics,
    store,
};
use pyo3::{exceptions::PyOSError, prelude::*, types::PyDict};

/// The counts of a histogram's buckets and of what is beyond, and the sum of the values.
type Histogram = (Vec<u64>, f64);

/// Durations add up to seconds.
fn seconds(times: Distribution) -> Histogram {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    (times.counts, times.sum as f64 / 1e9)
}

fn sizes(sizes: Distribution) -> Histogram {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    (sizes.counts, sizes.sum as f64)
}

pub(crate) fn dict<'py>(py: Python<'py>, told: NodeMetrics) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let longest = told.onion_times.iter().map(|(_, times)| times.counts.len()).max().unwrap_or(0);
    let bounds: Vec<u64> = (0..longest.saturating_sub(1)).map(bound).collect();
    dict.set_item("bounds", bounds)?;
    let requests = told.requests.iter().map(|r| (r.via.name(), r.method, r.status.code(), r.count));
    dict.set_item("requests", requests.collect::<Vec<_>>())?;
    let times = told.request_times.into_iter().map(|r| (r.via.name(), r.method, seconds(r.times)));
    dict.set_item("request_times", times.collect::<Vec<_>>())?;
    dict.set_item("refusals", told.refusals)?;
    dict.set_item("traffic", told.traffic)?;
    dict.set_item("arrivals", told.arrivals)?;
    let onions = told.onions.iter().map(|(inside, status, count)| (*inside, status.code(), *count));
    dict.set_item("onions", onions.collect::<Vec<_>>())?;
    let times = told.onion_times.into_iter().map(|(inside, times)| (inside, seconds(times)));
    dict.set_item("onion_times", times.collect::<Vec<_>>())?;
    let queues = told.queues.iter().map(|queue| (queue.name, queue.taken, queue.limit));
    dict.set_item("queues", queues.collect::<Vec<_>>())?;
    let batches = told.batches.into_iter().map(|(what, batches)| (what, sizes(batches)));
    dict.set_item("batches", batches.collect::<Vec<_>>())?;
    dict.set_item("memory", told.memory)?;
    dict.set_item("plan", told.plan)?;
    dict.set_item("known_keys", told.known_keys)?;
    dict.set_item("connections", told.connections)?;
    dict.set_item("commits", seconds(told.store.commits))?;
    dict.set_item("store_refused", told.store.refused.to_vec())?;
    dict.set_item("expired", told.store.expired)?;
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    dict.set_item("expiry_lag", told.store.expiry_lag as f64 / 1e3)?;
    let failure = told.store.failure.map(|(time, error)| (time.as_secs(), error.to_string()));
    dict.set_item("store_failure", failure)?;
    dict.set_item("unfolded_bytes", told.store.uncheckpointed)?;
    dict.set_item("swarms", told.swarms)?;
    dict.set_item("swarm_members", told.swarm_members)?;
    dict.set_item("tests", told.tests)?;
    dict.set_item("unreachable", told.unreachable)?;
    dict.set_item("messages", told.stats.store.messages)?;
    dict.set_item("store_bytes", told.stats.store.bytes)?;
    dict.set_item("store_max_bytes", told.stats.store.max_bytes)?;
    dict.set_item("missed", told.stats.store.hints)?;
    dict.set_item("missed_dropped", told.stats.store.hints_dropped)?;
    dict.set_item("members_behind", told.stats.members_behind)?;
    dict.set_item("transfers", told.stats.transfers)?;
    dict.set_item("monitors", told.stats.monitors)?;
    dict.set_item("quic_peers", told.stats.quic_peers)?;
    dict.set_item("compared_given", told.stats.compared.given)?;
    dict.set_item("compared_taken", told.stats.compared.taken)?;
    dict.set_item("compared_bytes", told.stats.compared.bytes)?;
    dict.set_item("nodes", told.stats.nodes)?;
    dict.set_item("nodes_left_out", told.stats.nodes_left_out)?;
    dict.set_item("height", told.stats.height)?;
    dict.set_item("durability", told.stats.store.durability.name())?;
    Ok(dict)
}

#[pyfunction]
pub(crate) fn store_format(py: Python<'_>, data_dir: std::path::PathBuf) -> PyResult<(u64, u64)> {
    py.detach(|| store::format(&data_dir)).map_err(|error| PyOSError::new_err(error.to_string()))
}

/// What the environment forces, what the processor can run, and what is done how in batches: the kind of work, the backend,
/// from which size on.
type Curve25519 = (Option<&'static str>, Vec<&'static str>, Vec<(&'static str, &'static str, usize)>);

#[pyfunction]
pub(crate) fn curve25519(py: Python<'_>) -> Curve25519 {
    let plan = py.detach(measure);
    let steps = |work: Operation| plan.steps(work).into_iter().map(move |(backend, from)| (work, backend, from));
    let steps = Operation::ALL.into_iter().flat_map(steps);
    (
        forced().map(Backend::as_str),
        Backend::ALL.into_iter().filter(|backend| backend.is_supported()).map(Backend::as_str).collect(),
        steps.map(|(work, backend, from)| (work.as_str(), backend.as_str(), from)).collect(),
    )
}
