//! QUIC (`spec/transports` §3), for clients and between nodes: request streams over connections whose ends are named by
//! Ed25519 keys.

mod client;
pub mod frame;
mod peers;
mod serve;
mod stream;
mod tls;

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::hmac;
use quinn::{Connection, Endpoint, IdleTimeout, TransportConfig, VarInt, crypto::rustls::HandshakeData};

pub use client::{QuicClient, QuicError};
pub use peers::{PeerConnection, QuicPeers};

use super::services::Services;
use crate::crypto::Ed25519Secret;

/// Application protocol of clients.
pub const ALPN: &[u8] = b"oxenstorage";
/// Application protocol between nodes.
pub const ALPN_NODES: &[u8] = b"oxenstorage-sn";
/// The same with what only Allium has, between nodes of Allium: by this they know each other, whatever versions they
/// advertise. It is offered before the other, so that a node of another make takes that.
const ALPN_ALLIUM: &[u8] = b"allium-sn/1";
/// What closes a stream whose framing is wrong.
const BAD_FRAMING: u32 = 777_000_105;
/// Bytes of the largest frame that the reference takes.
const REFERENCE_FRAME: usize = 10_000_000;
/// Bytes of the largest frame that we take. The largest answer to a `retrieve` takes more than the reference's limit when it
/// goes through onion layers; over OMQ it fits.
const MAX_FRAME: usize = 11 << 20;
/// What the secret of resets is derived with; a local matter.
const RESET_KEY: &[u8] = b"allium quic stateless reset";
const IDLE: Duration = Duration::from_secs(30);
/// Between nodes.
const NODE_IDLE: Duration = Duration::from_secs(60);
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long requests under way may take once the node shuts down.
const DRAIN: Duration = Duration::from_secs(35);

/// How long those who have just connected may take to ask, once the node leaves.
const GRACE: Duration = Duration::from_secs(1);
/// How long the last answers are on their way.
const ON_THE_WAY: Duration = Duration::from_millis(100);
/// How long the ends of connections may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// `spec/transports` §3.1.
fn transport(between_nodes: bool) -> TransportConfig {
    let mut config = TransportConfig::default();
    let idle = if between_nodes { NODE_IDLE } else { IDLE };
    config
        .receive_window(VarInt::from_u32(15 << 20))
        .stream_receive_window(VarInt::from_u32(6 << 20))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_concurrent_bidi_streams(VarInt::from_u32(32))
        .max_idle_timeout(IdleTimeout::try_from(idle).ok())
        .datagram_receive_buffer_size(None);
    if between_nodes {
        config.keep_alive_interval(Some(KEEP_ALIVE));
    }
    config
}

/// A listening QUIC endpoint.
pub struct Quic {
    endpoint: Endpoint,
    server: Arc<serve::Server>,
    peers: Arc<QuicPeers>,
}

impl Quic {
    /// Serves `socket`. Must run inside the runtime that is to serve.
    ///
    /// # Errors
    /// When the socket cannot be used.
    pub fn start(socket: UdpSocket, services: Arc<Services>) -> io::Result<Self> {
        let peers = Arc::clone(&services.quic_peers);
        let config = tls::server(&services.identity.ed25519, ACCEPTED).map_err(io::Error::other)?;
        let mut config = quinn::ServerConfig::with_crypto(config);
        config.transport_config(Arc::new(transport(false)));
        let endpoint = endpoint(socket, config, &services.identity.ed25519)?;
        let server = Arc::new(serve::Server::new(services));
        peers.listen(endpoint.clone(), Arc::clone(&server));
        tokio::spawn(Arc::clone(&server).accept(endpoint.clone()));
        Ok(Self { endpoint, server, peers })
    }

    /// Open connections, those that this node opened included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.endpoint.open_connections()
    }

    /// Requests under way, of clients and of nodes: its name, how many there are, and may be.
    #[must_use]
    pub fn under_way(&self) -> [(&'static str, usize, usize); 2] {
        self.server.under_way()
    }

    /// As [`Self::close`], but whoever connects from now on hears nothing and so tries again: a successor has the same socket.
    pub async fn leave(self) {
        self.server.leave();
        tokio::time::sleep(GRACE).await;
        self.drain().await;
        tokio::time::sleep(ON_THE_WAY).await;
        self.peers.close();
        // Closed as a whole, the endpoint would refuse newcomers.
        self.server.part();
        let _ = tokio::time::timeout(FAREWELL, self.endpoint.wait_idle()).await;
    }

    /// Accepts nothing more, waits for the requests under way, closes every connection.
    pub async fn close(self) {
        self.endpoint.set_server_config(None);
        self.drain().await;
        self.peers.close();
        self.endpoint.close(VarInt::from_u32(0), b"");
        let _ = tokio::time::timeout(FAREWELL, self.endpoint.wait_idle()).await;
    }

    async fn drain(&self) {
        if tokio::time::timeout(DRAIN, self.server.idle()).await.is_err() {
            tracing::warn!("QUIC connections were cut off: their requests took too long");
        }
    }
}

/// A listening endpoint. What it resets connections with that it does not know is the same after a restart, so that the
/// other end learns at once that the connection it holds is no more.
fn endpoint(socket: UdpSocket, config: quinn::ServerConfig, own: &Ed25519Secret) -> io::Result<Endpoint> {
    let secret = blake2b_simd::Params::new().hash_length(32).key(RESET_KEY).hash(&own.to_pkcs8());
    let reset_key = Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()));
    let runtime = quinn::default_runtime().ok_or_else(|| io::Error::other("not inside a runtime"))?;
    Endpoint::new(quinn::EndpointConfig::new(reset_key), Some(config), socket, runtime)
}

/// An endpoint to connect from.
///
/// # Errors
/// When the system gives no socket.
pub fn client_endpoint(bind: SocketAddr) -> io::Result<Endpoint> {
    Endpoint::client(bind)
}

/// The application protocol that a connection has agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Clients,
    Nodes,
    Allium,
}

impl Protocol {
    fn of(connection: &Connection) -> Self {
        let data = connection.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
        match data.and_then(|data| data.protocol).as_deref() {
            Some(ALPN_ALLIUM) => Self::Allium,
            Some(ALPN_NODES) => Self::Nodes,
            _ => Self::Clients,
        }
    }
}

/// What a node takes.
const ACCEPTED: &[&[u8]] = &[ALPN_ALLIUM, ALPN_NODES, ALPN];
/// What it offers another node: ours first.
const BETWEEN_NODES: &[&[u8]] = &[ALPN_ALLIUM, ALPN_NODES];

/// How to connect to the node with the Ed25519 key `server`; `offered`: application protocols, the preferred first.
fn client_config(
    own: &Ed25519Secret,
    server: [u8; 32],
    offered: &[&[u8]],
) -> Result<quinn::ClientConfig, rustls::Error> {
    let mut config = quinn::ClientConfig::new(tls::client(own, server, offered)?);
    let mut transport = transport(offered == BETWEEN_NODES);
    // Whoever asks may have to wait for as long as the other end gives up an idle connection.
    transport.keep_alive_interval(Some(KEEP_ALIVE));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Names<'a> = &'a [&'a [u8]];

    /// What both ends of a connection say of it.
    async fn agreed(offered: Names<'_>, accepted: Names<'_>) -> Option<(Protocol, Protocol)> {
        let [ours, theirs] = [1, 2].map(|seed| Ed25519Secret::from_seed(&[seed; 32]));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let config = quinn::ServerConfig::with_crypto(tls::server(&theirs, accepted).unwrap());
        let server = endpoint(socket, config, &theirs).unwrap();
        let client = client_endpoint("127.0.0.1:0".parse().unwrap()).unwrap();
        let limit = Duration::from_secs(30);
        let (there, here) = tokio::join!(
            async { server.accept().await.unwrap().await.ok() },
            client::connect(&client, address, theirs.public(), &ours, offered, limit),
        );
        Some((Protocol::of(&here.ok()?), Protocol::of(&there?)))
    }

    /// Whoever knows only what the reference has is met in that.
    #[tokio::test]
    async fn nodes_of_allium_know_each_other_by_their_protocol() {
        let standard: Names<'_> = &[ALPN, ALPN_NODES];
        let cases: [(Names<'_>, Names<'_>, Option<Protocol>); 5] = [
            (BETWEEN_NODES, ACCEPTED, Some(Protocol::Allium)),
            (BETWEEN_NODES, standard, Some(Protocol::Nodes)),
            (&[ALPN_NODES], ACCEPTED, Some(Protocol::Nodes)),
            (&[ALPN], ACCEPTED, Some(Protocol::Clients)),
            // One of before 2.12.
            (BETWEEN_NODES, &[ALPN], None),
        ];
        for (offered, accepted, protocol) in cases {
            assert_eq!(agreed(offered, accepted).await, protocol.map(|protocol| (protocol, protocol)));
        }
    }
}
