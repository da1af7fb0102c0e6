//! The engine's Python face: conversions and nothing else. `python/allium/_native.pyi` is its contract.

mod bls;
mod call;
mod ed25519;
mod kem;
mod kept;
mod log;
mod metrics;
mod network;
mod node;
mod onion;
mod panic;
mod peel;
mod process;
mod quic;
mod store;
mod streams;
mod watch;

use pyo3::prelude::*;

/// Built as `allium._native`.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    panic::tell_all();
    module.add("QUIC_SOCKET_BUFFER", allium_engine::transport::quic::SOCKET_BUFFER)?;
    module.add("PROTOCOL_VERSION", <(u16, u16, u16)>::from(allium_engine::rpc::PROTOCOL_VERSION))?;
    module.add_class::<bls::BlsSecretKey>()?;
    module.add_class::<bls::BlsDomain>()?;
    module.add_class::<call::Call>()?;
    module.add_class::<kem::MlKem768Key>()?;
    module.add_class::<kept::Cursor>()?;
    module.add_class::<kept::Store>()?;
    module.add_class::<node::Node>()?;
    module.add_class::<node::Question>()?;
    module.add_class::<onion::ReplyKey>()?;
    module.add_class::<peel::Peeled>()?;
    module.add_class::<quic::QuicClient>()?;
    module.add_class::<streams::QuicConnection>()?;
    module.add_class::<streams::QuicListener>()?;
    module.add_class::<streams::QuicStream>()?;
    module.add_class::<watch::Pulse>()?;
    module.add_function(wrap_pyfunction!(bls::bls_aggregate_keys, module)?)?;
    module.add_function(wrap_pyfunction!(bls::bls_aggregate_signatures, module)?)?;
    module.add_function(wrap_pyfunction!(ed25519::verify_ed25519, module)?)?;
    module.add_function(wrap_pyfunction!(kem::ml_kem_768_encapsulate, module)?)?;
    module.add_function(wrap_pyfunction!(log::log_to_stderr, module)?)?;
    module.add_function(wrap_pyfunction!(panic::fail, module)?)?;
    module.add_function(wrap_pyfunction!(onion::onion_build, module)?)?;
    module.add_function(wrap_pyfunction!(onion::peel_batch, module)?)?;
    module.add_function(wrap_pyfunction!(peel::onion_peel, module)?)?;
    module.add_function(wrap_pyfunction!(peel::node_keys, module)?)?;
    module.add_function(wrap_pyfunction!(network::service_nodes, module)?)?;
    module.add_function(wrap_pyfunction!(network::swarm_of, module)?)?;
    module.add_function(wrap_pyfunction!(metrics::store_format, module)?)?;
    module.add_function(wrap_pyfunction!(metrics::curve25519, module)?)?;
    module.add_function(wrap_pyfunction!(store::store_summary, module)?)?;
    module.add_function(wrap_pyfunction!(store::store_verify, module)?)?;
    module.add_function(wrap_pyfunction!(store::store_compact, module)?)?;
    module.add_function(wrap_pyfunction!(store::store_export, module)?)?;
    module.add_function(wrap_pyfunction!(store::store_import, module)?)
}
