//! Streams that carry bytes as they are, for protocols beside the nodes' own: a listening end, and a connecting one.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use quinn::{
    Connection, Endpoint, IdleTimeout, Incoming, ReadError, RecvStream, SendStream, TransportConfig, VarInt, WriteError,
};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use super::{
    client::connect,
    config::{HANDSHAKE, IDLE, listen},
    error::QuicError,
};
use crate::{crypto::Ed25519Secret, types::Ed25519PublicKey};

/// Bytes that one connection may have under way each way, in memory of this process.
const WINDOW: u32 = 512 << 10;
/// Streams of one connection that may be open at once.
const STREAMS: u32 = 32;
/// Streams that have begun and are not taken yet; whoever begins another waits.
const NOT_TAKEN: usize = 256;
const GOODBYE: VarInt = VarInt::from_u32(0);

/// Why a stream did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// It took too long.
    #[error("nothing came in time")]
    Timeout,
    /// The other end does not read, or write, any more: its code.
    #[error("the other end gave up with {0}")]
    GivenUp(u64),
    /// Given up here, or with its connection.
    #[error("no connection: {0}")]
    Lost(String),
}

/// How many connections strangers may have.
#[derive(Clone, Copy, Debug)]
pub struct ByteLimits {
    /// In all. From an eighth of them on, newcomers have to prove their address.
    pub connections: usize,
    /// From one address.
    pub of_address: usize,
}

fn transport() -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .receive_window(VarInt::from_u32(WINDOW))
        .stream_receive_window(VarInt::from_u32(WINDOW))
        .send_window(WINDOW.into())
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS))
        .max_idle_timeout(IdleTimeout::try_from(IDLE).ok())
        .datagram_receive_buffer_size(None);
    config
}

/// Connections by address.
#[derive(Default)]
struct Places(Mutex<HashMap<IpAddr, usize>>);

/// A connection's place, until it is dropped.
struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Places {
    fn take(self: &Arc<Self>, address: IpAddr, most: usize) -> Option<Place> {
        let mut counts = self.0.lock();
        let count = counts.entry(address).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place { places: Arc::clone(self), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.places.0.lock();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// A listening end: gives the streams that clients open.
pub struct ByteListener {
    endpoint: Endpoint,
    streams: tokio::sync::Mutex<mpsc::Receiver<ByteStream>>,
}

impl ByteListener {
    /// Serves `socket` as the key `own`, to clients that offer the application protocol `alpn`. Must run inside a runtime.
    ///
    /// # Errors
    /// When the socket cannot be used.
    pub fn start(socket: UdpSocket, own: &Ed25519Secret, alpn: &[u8], limits: ByteLimits) -> io::Result<Self> {
        let endpoint = listen(socket, &[alpn], own, transport())?;
        let (begun, streams) = mpsc::channel(NOT_TAKEN);
        tokio::spawn(accept(endpoint.clone(), limits, begun));
        Ok(Self { endpoint, streams: tokio::sync::Mutex::new(streams) })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// The next stream; `None` once it is closed.
    pub async fn stream(&self) -> Option<ByteStream> {
        self.streams.lock().await.recv().await
    }

    /// Accepts nobody any more; connections that stand go on.
    pub fn leave(&self) {
        self.endpoint.set_server_config(None);
    }

    /// Ends all connections.
    pub fn close(&self) {
        self.endpoint.close(GOODBYE, b"");
    }
}

async fn accept(endpoint: Endpoint, limits: ByteLimits, begun: mpsc::Sender<ByteStream>) {
    let (places, next) = (Arc::new(Places::default()), Arc::new(AtomicU64::new(0)));
    while let Some(incoming) = endpoint.accept().await {
        let open = endpoint.open_connections();
        if open >= limits.connections / 8 && incoming.may_retry() {
            let _ = incoming.retry();
            continue;
        }
        let place = places.take(incoming.remote_address().ip(), limits.of_address);
        match place.filter(|_| open < limits.connections) {
            Some(place) => {
                let (begun, next) = (begun.clone(), Arc::clone(&next));
                tokio::spawn(async move {
                    serve(incoming, begun, &next).await;
                    drop(place);
                });
            }
            None => incoming.refuse(),
        }
    }
}

async fn serve(incoming: Incoming, begun: mpsc::Sender<ByteStream>, next: &AtomicU64) {
    let Ok(connecting) = incoming.accept() else { return };
    let Ok(Ok(connection)) = timeout(HANDSHAKE, connecting).await else { return };
    let number = next.fetch_add(1, Ordering::Relaxed);
    while let Ok((send, receive)) = connection.accept_bi().await {
        let stream = ByteStream::new(&connection, number, send, receive);
        if begun.send(stream).await.is_err() {
            connection.close(GOODBYE, b"");
        }
    }
}

/// A connecting end: opens streams.
pub struct ByteConnection {
    connection: Connection,
    endpoint: Endpoint,
}

impl ByteConnection {
    /// Connects as `own` to the server with the Ed25519 key `server`, offering the application protocol `alpn`.
    ///
    /// # Errors
    /// [`QuicError`].
    pub async fn connect(
        endpoint: Endpoint,
        address: SocketAddr,
        server: Ed25519PublicKey,
        own: &Ed25519Secret,
        alpn: &[u8],
        limit: Duration,
    ) -> Result<Self, QuicError> {
        let connection = connect(&endpoint, address, server, own, &[alpn], limit).await?;
        Ok(Self { connection, endpoint })
    }

    /// A new stream; the other end learns of it with the first bytes.
    ///
    /// # Errors
    /// [`StreamError::Lost`].
    pub async fn stream(&self) -> Result<ByteStream, StreamError> {
        let (send, receive) = self.connection.open_bi().await.map_err(lost)?;
        Ok(ByteStream::new(&self.connection, 0, send, receive))
    }

    /// Ends the connection.
    pub fn close(&self) {
        self.connection.close(GOODBYE, b"");
        self.endpoint.close(GOODBYE, b"");
    }
}

impl Drop for ByteConnection {
    fn drop(&mut self) {
        self.close();
    }
}

/// A stream of bytes each way. One reads and one writes at a time; others wait.
pub struct ByteStream {
    address: IpAddr,
    connection: u64,
    send: tokio::sync::Mutex<SendStream>,
    receive: tokio::sync::Mutex<RecvStream>,
    /// Whether it has been given up here: whoever reads or writes lets go of it.
    over: watch::Sender<bool>,
}

fn lost(error: impl std::fmt::Display) -> StreamError {
    StreamError::Lost(error.to_string())
}

fn unread(error: ReadError) -> StreamError {
    match error {
        ReadError::Reset(code) => StreamError::GivenUp(code.into_inner()),
        error => lost(error),
    }
}

fn unwritten(error: WriteError) -> StreamError {
    match error {
        WriteError::Stopped(code) => StreamError::GivenUp(code.into_inner()),
        error => lost(error),
    }
}

/// `first`, and behind it what else has come: quinn gives the bytes of one packet at a time.
fn with_what_is_there(receive: &mut RecvStream, first: Bytes, most: usize) -> Bytes {
    let mut next = |held: usize| {
        let left = most.saturating_sub(held);
        let chunk = (held > 0 && left > 0).then(|| receive.read_chunk(left, true).now_or_never());
        // Its end, and what went wrong, are told to whoever reads next.
        chunk.flatten()?.ok().flatten().map(|chunk| chunk.bytes)
    };
    let Some(second) = next(first.len()) else { return first };
    let mut all = BytesMut::from(first);
    all.extend_from_slice(&second);
    while let Some(more) = next(all.len()) {
        all.extend_from_slice(&more);
    }
    all.freeze()
}

impl ByteStream {
    fn new(connection: &Connection, number: u64, send: SendStream, receive: RecvStream) -> Self {
        let address = connection.remote_address().ip().to_canonical();
        let over = watch::Sender::new(false);
        Self { address, connection: number, send: send.into(), receive: receive.into(), over }
    }

    /// The other end.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// Which of the listener's connections it is on.
    #[must_use]
    pub const fn connection(&self) -> u64 {
        self.connection
    }

    /// What has come, up to `most` bytes; nothing at the end.
    ///
    /// # Errors
    /// [`StreamError`].
    pub async fn read(&self, most: usize, limit: Duration) -> Result<Bytes, StreamError> {
        let read = async {
            let mut receive = self.receive.lock().await;
            let first = receive.read_chunk(most, true).await.map_err(unread)?;
            let first = first.map(|chunk| chunk.bytes).unwrap_or_default();
            Ok(with_what_is_there(&mut receive, first, most))
        };
        self.unless_over(read, limit).await
    }

    /// Sends all of it. When that fails, some of it may have been sent.
    ///
    /// # Errors
    /// [`StreamError`].
    pub async fn write(&self, bytes: Bytes, limit: Duration) -> Result<(), StreamError> {
        let write = async {
            let mut send = self.send.lock().await;
            // Who waits for room does not hear by itself that nothing more is wanted.
            let stopped = send.stopped();
            tokio::select! {
                biased;
                written = send.write_chunk(bytes) => written.map_err(unwritten),
                Ok(Some(code)) = stopped => Err(StreamError::GivenUp(code.into_inner())),
            }
        };
        self.unless_over(write, limit).await
    }

    /// Ends what is sent, and waits until the other end has it all.
    ///
    /// # Errors
    /// [`StreamError`].
    pub async fn finish(&self, limit: Duration) -> Result<(), StreamError> {
        let finish = async {
            let stopped = {
                let mut send = self.send.lock().await;
                send.finish().map_err(lost)?;
                send.stopped()
            };
            match stopped.await.map_err(lost)? {
                None => Ok(()),
                Some(code) => Err(StreamError::GivenUp(code.into_inner())),
            }
        };
        self.unless_over(finish, limit).await
    }

    async fn unless_over<T>(
        &self,
        work: impl Future<Output = Result<T, StreamError>>,
        limit: Duration,
    ) -> Result<T, StreamError> {
        let mut over = self.over.subscribe();
        let over = over.wait_for(|over| *over);
        tokio::select! {
            biased;
            _ = over => Err(lost("given up here")),
            done = timeout(limit, work) => done.unwrap_or(Err(StreamError::Timeout)),
        }
    }

    /// Gives up both ways with `code`. Whoever reads or writes fails at once.
    pub async fn reset(&self, code: u32) {
        let _ = self.over.send_replace(true);
        let _ = self.send.lock().await.reset(code.into());
        let _ = self.receive.lock().await.stop(code.into());
    }
}

#[cfg(test)]
mod tests {
    use super::{super::config::client_endpoint, *};

    const LIMIT: Duration = Duration::from_secs(30);

    fn keys() -> [Ed25519Secret; 2] {
        [1, 2].map(|seed| Ed25519Secret::from_seed(&[seed; 32]))
    }

    async fn connected(listener: &ByteListener) -> Result<ByteConnection, QuicError> {
        let [ours, theirs] = keys();
        let endpoint = client_endpoint("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.address().unwrap();
        ByteConnection::connect(endpoint, address, theirs.public(), &ours, b"test", LIMIT).await
    }

    fn listener(limits: ByteLimits) -> ByteListener {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        ByteListener::start(socket, &keys()[1], b"test", limits).unwrap()
    }

    #[tokio::test]
    async fn bytes_come_as_they_went() {
        let listener = listener(ByteLimits { connections: 4, of_address: 4 });
        let connection = connected(&listener).await.unwrap();
        let client = connection.stream().await.unwrap();
        // More than the windows hold.
        let sent = Bytes::from(vec![7; 3 << 20]);
        let there = async {
            let stream = listener.stream().await.unwrap();
            assert!(stream.address().is_loopback());
            let mut length = 0;
            loop {
                let bytes = stream.read(64 << 10, LIMIT).await.unwrap();
                if bytes.is_empty() {
                    break;
                }
                assert!(bytes.len() <= 64 << 10 && bytes.iter().all(|byte| *byte == 7));
                length += bytes.len();
            }
            stream.write(Bytes::from(length.to_string()), LIMIT).await.unwrap();
            stream.finish(LIMIT).await.unwrap();
        };
        let here = async {
            client.write(sent.clone(), LIMIT).await.unwrap();
            client.finish(LIMIT).await.unwrap();
            assert_eq!(client.read(100, LIMIT).await.unwrap(), sent.len().to_string());
            assert_eq!(client.read(100, LIMIT).await.unwrap(), "");
        };
        tokio::join!(there, here);
        let client = connection.stream().await.unwrap();
        client.write(Bytes::from_static(b"x"), LIMIT).await.unwrap();
        listener.stream().await.unwrap().reset(404).await;
        assert_eq!(client.read(1, LIMIT).await, Err(StreamError::GivenUp(404)));
    }

    /// Neither end waits for the other to take what it does not want.
    #[tokio::test]
    async fn who_waits_for_room_hears_that_it_is_over() {
        let listener = listener(ByteLimits { connections: 4, of_address: 4 });
        let connection = connected(&listener).await.unwrap();
        let much = Bytes::from(vec![7; 3 << 20]);
        let client = connection.stream().await.unwrap();
        let (written, ()) = tokio::join!(client.write(much.clone(), LIMIT), async {
            let stream = listener.stream().await.unwrap();
            while stream.read(64 << 10, LIMIT).await.unwrap().len() < 1000 {}
            stream.reset(451).await;
        });
        assert_eq!(written, Err(StreamError::GivenUp(451)));
        let client = connection.stream().await.unwrap();
        let (written, ()) = tokio::join!(client.write(much, LIMIT), async {
            listener.stream().await.unwrap();
            client.reset(499).await;
        });
        assert!(matches!(written, Err(StreamError::Lost(_))), "{written:?}");
    }

    #[tokio::test]
    async fn nobody_takes_more_than_its_places() {
        let listener = listener(ByteLimits { connections: 64, of_address: 2 });
        let first = connected(&listener).await.unwrap();
        let second = connected(&listener).await.unwrap();
        assert!(connected(&listener).await.is_err());
        first.close();
        // Its place is free as soon as the other end has heard of it.
        let free = async { while connected(&listener).await.is_err() {} };
        timeout(LIMIT, free).await.unwrap();
        drop(second);
    }
}
