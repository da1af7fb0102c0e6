//! How connections are set up: protocols, limits, TLS.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::{hkdf, hmac};
use quinn::{
    Connection, ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig, IdleTimeout, TransportConfig, VarInt,
    crypto::rustls::HandshakeData,
};
use socket2::{Domain, SockRef, Socket, Type};

use super::tls;
use crate::crypto::Ed25519Secret;

/// Application protocol of clients.
pub const ALPN: &[u8] = b"oxenstorage";
/// Application protocol between nodes.
pub const ALPN_NODES: &[u8] = b"oxenstorage-sn";
/// The same with what only Allium has, between nodes of Allium: by this they know each other, whatever versions they
/// advertise. It is offered before the other, so that a node of another make takes that.
pub(crate) const ALPN_ALLIUM: &[u8] = b"allium-sn/2";
/// What nodes of Allium had before `stores`, many stores in one message.
pub(crate) const ALPN_ALLIUM_1: &[u8] = b"allium-sn/1";
/// What closes a stream whose framing is wrong.
pub(crate) const BAD_FRAMING: u32 = 777_000_105;
/// Bytes of the largest frame that the reference takes.
pub(crate) const REFERENCE_FRAME: usize = 10_000_000;
/// Bytes of the largest frame that we take. The largest answer to a `retrieve` takes more than the reference's limit when it
/// goes through onion layers; over OMQ it fits.
pub(crate) const MAX_FRAME: usize = 11 << 20;
/// What the secrets of resets and of tokens are derived with; a local matter.
const RESET_KEY: &[u8] = b"allium quic stateless reset";
const TOKEN_KEY: &[u8] = b"allium quic address token";
pub(super) const IDLE: Duration = Duration::from_secs(30);
/// Between nodes.
pub(super) const NODE_IDLE: Duration = Duration::from_secs(60);
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(10);

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

/// A listening endpoint that takes the application protocols `accepted`, as nodes have it.
pub(crate) fn endpoint(socket: UdpSocket, accepted: &[&[u8]], own: &Ed25519Secret) -> io::Result<Endpoint> {
    listen(socket, accepted, own, transport(false))
}

/// A listening endpoint.
///
/// What it resets connections with that it does not know is the same after a restart, so that the other end learns at once
/// that the connection it holds is no more. So are the keys of its tokens: whom the node before asked to prove its address
/// (RFC 9000 §8.1.2) comes back with a proof that this one must know, or the client takes it for an impostor.
pub(super) fn listen(
    socket: UdpSocket,
    accepted: &[&[u8]],
    own: &Ed25519Secret,
    transport: TransportConfig,
) -> io::Result<Endpoint> {
    let secret = |name| blake2b_simd::Params::new().hash_length(32).key(name).hash(&own.to_pkcs8());
    let reset_key = Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret(RESET_KEY).as_bytes()));
    let token_key = Arc::new(hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, secret(TOKEN_KEY).as_bytes()));
    let crypto = tls::server(own, accepted).map_err(io::Error::other)?;
    make_room(&SockRef::from(&socket));
    let mut config = quinn::ServerConfig::new(crypto, token_key);
    config.transport_config(Arc::new(transport));
    let runtime = quinn::default_runtime().ok_or_else(|| io::Error::other("not inside a runtime"))?;
    let mut common = EndpointConfig::new(reset_key);
    common.cid_generator(|| Box::new(RandomIds));
    Endpoint::new(common, Some(config), socket, runtime)
}

/// Connection IDs that are random in all of their bytes.
///
/// Those that quinn makes by itself have 24 random bits. An ID that a client is told to come back with, when it is asked to
/// prove its address, is not compared with those in use: with 5,000 connections, which have 35,000, one in 500 such clients
/// was taken for another and got no answer. They are also told from others by a key that the next process does not know,
/// so that it would reset no connection of the one before.
pub(super) struct RandomIds;

impl RandomIds {
    const BYTES: usize = 8;
}

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut bytes = [0; Self::BYTES];
        // It does not fail: the library aborts where the system has nothing random.
        let _ = aws_lc_rs::rand::fill(&mut bytes);
        ConnectionId::new(&bytes)
    }

    fn cid_len(&self) -> usize {
        Self::BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// Bytes that the kernel is asked to hold for each direction of a socket (Linux doubles them, for its own bookkeeping).
///
/// By default it holds some 90 datagrams, less than 64 clients send at once: what is lost of a handshake comes again after
/// a second (RFC 9002 §6.2.2). The system's limit (`net.core.rmem_max`, `wmem_max`) holds.
pub const SOCKET_BUFFER: usize = 4 << 20;

/// Lets the kernel hold what comes while all threads are busy.
fn make_room(socket: &SockRef<'_>) {
    // What the system does not allow is cut, not refused. What it gives by itself may be more.
    if socket.recv_buffer_size().is_ok_and(|now| now < SOCKET_BUFFER) {
        let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    }
    if socket.send_buffer_size().is_ok_and(|now| now < SOCKET_BUFFER) {
        let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    }
}

/// An endpoint to connect from.
///
/// # Errors
/// When the system gives no socket.
pub fn client_endpoint(bind: SocketAddr) -> io::Result<Endpoint> {
    let socket = Socket::new(Domain::for_address(bind), Type::DGRAM, Some(socket2::Protocol::UDP))?;
    if bind.is_ipv6() {
        // IPv4 too, where the system has both.
        let _ = socket.set_only_v6(false);
    }
    socket.bind(&bind.into())?;
    make_room(&(&socket).into());
    let runtime = quinn::default_runtime().ok_or_else(|| io::Error::other("not inside a runtime"))?;
    Endpoint::new(EndpointConfig::default(), None, socket.into(), runtime)
}

/// The application protocol that a connection has agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Clients,
    Nodes,
    /// `stores`: whether it takes many stores in one message.
    Allium {
        stores: bool,
    },
}

impl Protocol {
    pub(crate) fn of(connection: &Connection) -> Self {
        let data = connection.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
        match data.and_then(|data| data.protocol).as_deref() {
            Some(ALPN_ALLIUM) => Self::Allium { stores: true },
            Some(ALPN_ALLIUM_1) => Self::Allium { stores: false },
            Some(ALPN_NODES) => Self::Nodes,
            _ => Self::Clients,
        }
    }

    /// Whether it is one of ours.
    pub(crate) const fn is_allium(self) -> bool {
        matches!(self, Self::Allium { .. })
    }
}

/// What a node takes.
pub(crate) const ACCEPTED: &[&[u8]] = &[ALPN_ALLIUM, ALPN_ALLIUM_1, ALPN_NODES, ALPN];
/// What it offers another node: ours first.
pub(crate) const BETWEEN_NODES: &[&[u8]] = &[ALPN_ALLIUM, ALPN_ALLIUM_1, ALPN_NODES];

/// How to connect to the node with the Ed25519 key `server`; `offered`: application protocols, the preferred first.
pub(super) fn client_config(
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
