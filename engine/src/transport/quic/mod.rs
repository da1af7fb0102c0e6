//! QUIC for clients (`spec/transports` §3): request streams over connections whose ends are named by Ed25519 keys.

mod client;
pub mod frame;
mod serve;
mod tls;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use quinn::{Endpoint, IdleTimeout, TransportConfig, VarInt};

pub use client::{QuicClient, QuicError};

use super::services::Services;
use crate::crypto::Ed25519Secret;

/// Application protocol of clients.
pub const ALPN: &[u8] = b"oxenstorage";
/// What closes a stream whose framing is wrong.
const BAD_FRAMING: u32 = 777_000_105;
/// Bytes of the largest frame.
const MAX_FRAME: usize = 10_000_000;
const IDLE: Duration = Duration::from_secs(30);
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long requests under way may take once the node shuts down.
const DRAIN: Duration = Duration::from_secs(35);

/// `spec/transports` §3.1.
fn transport() -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    config
        .receive_window(VarInt::from_u32(15 << 20))
        .stream_receive_window(VarInt::from_u32(6 << 20))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_concurrent_bidi_streams(VarInt::from_u32(32))
        .max_idle_timeout(IdleTimeout::try_from(IDLE).ok())
        .datagram_receive_buffer_size(None);
    Arc::new(config)
}

/// A listening QUIC endpoint.
pub struct Quic {
    endpoint: Endpoint,
    server: Arc<serve::Server>,
}

impl Quic {
    /// Listens on UDP `address`. Must run inside the runtime that is to serve.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn start(address: SocketAddr, services: Arc<Services>) -> io::Result<Self> {
        let config = tls::server(&services.identity.ed25519).map_err(io::Error::other)?;
        let mut config = quinn::ServerConfig::with_crypto(config);
        config.transport_config(transport());
        let endpoint = Endpoint::server(config, address)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address} for QUIC: {error}")))?;
        let server = Arc::new(serve::Server::new(services));
        tokio::spawn(Arc::clone(&server).accept(endpoint.clone()));
        Ok(Self { endpoint, server })
    }

    /// Accepts nothing more, waits for the requests under way, closes every connection.
    pub async fn close(self) {
        self.endpoint.set_server_config(None);
        if tokio::time::timeout(DRAIN, self.server.idle()).await.is_err() {
            tracing::warn!("QUIC connections were cut off: their requests took too long");
        }
        self.endpoint.close(VarInt::from_u32(0), b"");
        let _ = tokio::time::timeout(Duration::from_secs(2), self.endpoint.wait_idle()).await;
    }
}

/// An endpoint to connect from, by an identity that may be new for each use.
///
/// # Errors
/// When the system gives no socket, or the key cannot be used.
pub fn client_endpoint(bind: SocketAddr) -> io::Result<Endpoint> {
    Endpoint::client(bind)
}

/// How to connect to the node with the Ed25519 key `server`.
fn client_config(own: &Ed25519Secret, server: [u8; 32]) -> Result<quinn::ClientConfig, rustls::Error> {
    let mut config = quinn::ClientConfig::new(tls::client(own, server)?);
    config.transport_config(transport());
    Ok(config)
}
