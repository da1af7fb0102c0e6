//! Requests that Python answers, and Python that waits for the engine's answers. The engine's threads never wait for the
//! interpreter: what is told to it is told from a thread for waiting.

use std::sync::Mutex;

use allium_engine::{Answer, Call as EngineCall, node::Node, rpc::CustomMethods};
use pyo3::{
    exceptions::{PyRuntimeError, PyValueError},
    prelude::*,
    types::PyBytes,
};

use crate::network::invalid;

/// A request that can be answered once.
#[pyclass(frozen, module = "allium._native")]
pub(crate) struct Call {
    method: String,
    params: String,
    call: Mutex<Option<EngineCall>>,
}

#[pymethods]
impl Call {
    #[getter]
    fn method(&self) -> &str {
        &self.method
    }

    #[getter]
    fn params(&self) -> &str {
        &self.params
    }

    fn answer(&self, status: u16, body: &str) -> PyResult<()> {
        let body = serde_json::from_str(body).map_err(invalid)?;
        let call = self.call.lock().map_err(|_| PyRuntimeError::new_err("the call has failed"))?.take();
        let call = call.ok_or_else(|| PyRuntimeError::new_err("the call was answered already"))?;
        call.answer(status, body);
        Ok(())
    }
}

/// Hands requests for `methods` to `tell`.
pub(crate) fn own(methods: Vec<String>, tell: Py<PyAny>) -> CustomMethods {
    let tell = std::sync::Arc::new(tell);
    CustomMethods::new(methods, move |call| {
        let tell = std::sync::Arc::clone(&tell);
        waiting(move |py| {
            let (method, params) = (call.method().to_owned(), call.params().to_string());
            let call = Call { method, params, call: Mutex::new(Some(call)) };
            tell.call1(py, (call,)).map(drop)
        });
    })
}

/// Has `done` called with the status and the body that `answer` becomes.
pub(crate) fn then(
    node: &Node,
    answer: impl Future<Output = Answer> + Send + 'static,
    done: Py<PyAny>,
) -> PyResult<()> {
    let runtime = node.runtime().ok_or_else(|| PyValueError::new_err("the node was shut down"))?;
    runtime.spawn(async move {
        let Answer { status, body } = answer.await;
        waiting(move |py| done.call1(py, (status, PyBytes::new(py, &body))).map(drop));
    });
    Ok(())
}

/// Calls Python from a thread of the current runtime that may wait; not at all once the interpreter ends.
pub(crate) fn waiting(what: impl FnOnce(Python<'_>) -> PyResult<()> + Send + 'static) {
    tokio::task::spawn_blocking(move || {
        Python::try_attach(|py| {
            if let Err(error) = what(py) {
                error.write_unraisable(py, None);
            }
        })
    });
}
