//! QUIC for protocols of Python's: streams of bytes, served and opened. Nothing here waits with the interpreter lock, and
//! what takes time tells a function when it is done.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use allium_engine::{
    crypto::Ed25519Secret,
    transport::quic::{ByteConnection, ByteLimits, ByteListener, ByteStream, StreamError, client_endpoint},
    types::Ed25519PublicKey,
};
use bytes::Bytes;
use parking_lot::Mutex;
use pyo3::{
    exceptions::{PyConnectionError, PyTimeoutError},
    prelude::*,
    types::PyBytes,
};
use tokio::runtime::{Builder, Runtime};
use zeroize::Zeroizing;

use crate::{
    call::waiting,
    network::invalid,
    process::Process,
    quic::{any_port, failed, limit},
};

fn secret(seed: &[u8]) -> PyResult<Ed25519Secret> {
    let seed = Zeroizing::new(<[u8; 32]>::try_from(seed).map_err(|_| invalid("ed25519_seed: 32 bytes"))?);
    Ok(Ed25519Secret::from_seed(&seed))
}

/// The threads that all streams of the process have. They are never taken down: a stream may outlive whoever opened it.
/// A forked process has others, as it has none of these.
fn runtime() -> PyResult<&'static Runtime> {
    // Held only with the interpreter lock, and so by nobody else when Python forks.
    static RUNTIME: Mutex<Option<(Process, &'static Runtime)>> = Mutex::new(None);
    let mut made = RUNTIME.lock();
    if let Some((process, runtime)) = *made
        && process == Process::this()
    {
        return Ok(runtime);
    }
    let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("allium-streams").enable_all().build()?;
    let runtime: &'static Runtime = Box::leak(Box::new(runtime));
    *made = Some((Process::this(), runtime));
    Ok(runtime)
}

fn broken(error: &StreamError) -> PyErr {
    match error {
        StreamError::Timeout => PyTimeoutError::new_err(error.to_string()),
        StreamError::GivenUp(_) | StreamError::Lost(_) => PyConnectionError::new_err(error.to_string()),
    }
}

const fn code(error: &StreamError) -> Option<u64> {
    match error {
        StreamError::GivenUp(code) => Some(*code),
        StreamError::Timeout | StreamError::Lost(_) => None,
    }
}

/// Has `done` called with what failed, or `None`, and the value; for a stream that the other end gave up, its code.
fn tell<T>(runtime: &Runtime, work: impl Future<Output = Result<T, StreamError>> + Send + 'static, done: Py<PyAny>)
where
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    runtime.spawn(async move {
        let outcome = work.await;
        waiting(move |py| {
            match outcome {
                Ok(value) => done.call1(py, (py.None(), value)),
                Err(error) => done.call1(py, (broken(&error).into_value(py), code(&error))),
            }
            .map(drop)
        });
    });
}

/// Bytes, as Python has them.
struct Read(Bytes);

impl<'py> IntoPyObject<'py> for Read {
    type Target = PyBytes;
    type Output = Bound<'py, PyBytes>;
    type Error = std::convert::Infallible;

    fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Self::Error> {
        Ok(PyBytes::new(py, &self.0))
    }
}

/// A listening socket.
#[pyclass(frozen, module = "allium._native")]
pub(crate) struct QuicListener {
    runtime: &'static Runtime,
    listener: Arc<ByteListener>,
}

#[pymethods]
impl QuicListener {
    #[new]
    #[pyo3(signature = (ip, port, ed25519_seed, alpn, connections=256, connections_per_address=32))]
    fn new(
        ip: &str,
        port: u16,
        ed25519_seed: &[u8],
        alpn: &str,
        connections: usize,
        connections_per_address: usize,
    ) -> PyResult<Self> {
        let own = secret(ed25519_seed)?;
        let ip: IpAddr = ip.parse().map_err(|_| invalid(format!("no IP address: {ip}")))?;
        let runtime = runtime()?;
        let limits = ByteLimits { connections, of_address: connections_per_address };
        let listener = {
            let _inside = runtime.enter();
            ByteListener::start(UdpSocket::bind((ip, port))?, &own, alpn.as_bytes(), limits)?
        };
        Ok(Self { runtime, listener: Arc::new(listener) })
    }

    #[getter]
    fn port(&self) -> PyResult<u16> {
        Ok(self.listener.address()?.port())
    }

    fn accept(&self, done: Py<PyAny>) {
        let (listener, runtime) = (Arc::clone(&self.listener), self.runtime);
        let next =
            async move { Ok(listener.stream().await.map(|stream| QuicStream { runtime, stream: Arc::new(stream) })) };
        tell(runtime, next, done);
    }

    fn leave(&self) {
        let _inside = self.runtime.enter();
        self.listener.leave();
    }

    fn close(&self) {
        self.listener.close();
    }
}

/// A connection to a server.
#[pyclass(frozen, module = "allium._native")]
pub(crate) struct QuicConnection {
    runtime: &'static Runtime,
    connection: ByteConnection,
}

#[pymethods]
impl QuicConnection {
    #[new]
    #[pyo3(signature = (ip, port, pubkey_ed25519, ed25519_seed, alpn, timeout=10.0))]
    fn new(
        py: Python<'_>,
        ip: &str,
        port: u16,
        pubkey_ed25519: [u8; 32],
        ed25519_seed: &[u8],
        alpn: &str,
        timeout: f64,
    ) -> PyResult<Self> {
        let (own, limit, runtime) = (secret(ed25519_seed)?, limit(timeout)?, runtime()?);
        let ip: IpAddr = ip.parse().map_err(|_| invalid(format!("no IP address: {ip}")))?;
        let server = Ed25519PublicKey(pubkey_ed25519);
        let connection = py.detach(|| {
            runtime.block_on(async {
                let endpoint = client_endpoint(any_port(ip))?;
                let address = SocketAddr::new(ip, port);
                let connected = ByteConnection::connect(endpoint, address, server, &own, alpn.as_bytes(), limit).await;
                connected.map_err(|error| failed(&error))
            })
        })?;
        Ok(Self { runtime, connection })
    }

    fn open(&self, py: Python<'_>) -> PyResult<QuicStream> {
        let opened = py.detach(|| self.runtime.block_on(self.connection.stream()));
        let stream = Arc::new(opened.map_err(|error| broken(&error))?);
        Ok(QuicStream { runtime: self.runtime, stream })
    }

    fn close(&self) {
        self.connection.close();
    }
}

/// One stream of either.
#[pyclass(frozen, module = "allium._native")]
pub(crate) struct QuicStream {
    runtime: &'static Runtime,
    stream: Arc<ByteStream>,
}

impl QuicStream {
    fn tell<T, W>(&self, done: Py<PyAny>, work: impl FnOnce(Arc<ByteStream>) -> W)
    where
        T: for<'py> IntoPyObject<'py> + Send + 'static,
        W: Future<Output = Result<T, StreamError>> + Send + 'static,
    {
        tell(self.runtime, work(Arc::clone(&self.stream)), done);
    }
}

#[pymethods]
impl QuicStream {
    #[getter]
    fn address(&self) -> String {
        self.stream.address().to_string()
    }

    #[getter]
    fn connection(&self) -> u64 {
        self.stream.connection()
    }

    fn read(&self, most: usize, timeout: f64, done: Py<PyAny>) -> PyResult<()> {
        let limit: Duration = limit(timeout)?;
        self.tell(done, |stream| async move { stream.read(most, limit).await.map(Read) });
        Ok(())
    }

    fn write(&self, data: &[u8], timeout: f64, done: Py<PyAny>) -> PyResult<()> {
        let (limit, data) = (limit(timeout)?, Bytes::copy_from_slice(data));
        self.tell(done, |stream| async move { stream.write(data, limit).await });
        Ok(())
    }

    fn finish(&self, timeout: f64, done: Py<PyAny>) -> PyResult<()> {
        let limit = limit(timeout)?;
        self.tell(done, |stream| async move { stream.finish(limit).await });
        Ok(())
    }

    fn reset(&self, code: u32) {
        let stream = Arc::clone(&self.stream);
        self.runtime.spawn(async move { stream.reset(code).await });
    }
}
