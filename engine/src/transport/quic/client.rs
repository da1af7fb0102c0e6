//! The asking end: for debugging, for tests of reachability, and for peers.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use quinn::{Connection, Endpoint, SendStream, VarInt};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};

use super::{
    MAX_FRAME, client_config,
    frame::{Frames, Message},
};
use crate::{crypto::Ed25519Secret, types::Ed25519PublicKey};

/// Notifications that wait to be taken.
const PUSHES: usize = 1024;

/// Why a request had no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuicError {
    /// No connection, or it was lost.
    #[error("no connection: {0}")]
    Connection(String),
    /// Nothing came in time.
    #[error("no answer in time")]
    Timeout,
    /// The node's refusal, as it came.
    #[error("refused: {}", String::from_utf8_lossy(.0))]
    Refused(Vec<u8>),
}

type Waiting = Arc<Mutex<HashMap<i64, oneshot::Sender<Result<Vec<u8>, QuicError>>>>>;

/// A connection to one node, with one request stream. Requests may overlap.
pub struct QuicClient {
    connection: Connection,
    send: tokio::sync::Mutex<SendStream>,
    waiting: Waiting,
    next: AtomicI64,
}

impl QuicClient {
    /// Connects to the node with the Ed25519 key `node`; its notifications come out of the receiver.
    ///
    /// # Errors
    /// [`QuicError`].
    pub async fn connect(
        endpoint: &Endpoint,
        address: SocketAddr,
        node: Ed25519PublicKey,
        own: &Ed25519Secret,
        limit: Duration,
    ) -> Result<(Self, mpsc::Receiver<Vec<u8>>), QuicError> {
        let failed = |error: &dyn std::fmt::Display| QuicError::Connection(error.to_string());
        let config = client_config(own, node.0).map_err(|error| failed(&error))?;
        let connecting = endpoint.connect_with(config, address, "localhost").map_err(|error| failed(&error))?;
        let connection =
            timeout(limit, connecting).await.map_err(|_| QuicError::Timeout)?.map_err(|error| failed(&error))?;
        let (send, receive) = connection.open_bi().await.map_err(|error| failed(&error))?;
        let waiting = Waiting::default();
        let (pushed, pushes) = mpsc::channel(PUSHES);
        let frames = Frames::new(receive, Arc::new(Semaphore::new(2 * MAX_FRAME)));
        tokio::spawn(read(frames, Arc::clone(&waiting), pushed));
        let client = Self { connection, send: send.into(), waiting, next: AtomicI64::new(1) };
        Ok((client, pushes))
    }

    /// Asks, and awaits the reply's body.
    ///
    /// # Errors
    /// [`QuicError`].
    pub async fn request(&self, endpoint: &str, body: &[u8], limit: Duration) -> Result<Vec<u8>, QuicError> {
        let rid = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, coming) = oneshot::channel();
        self.waiting.lock().insert(rid, answer);
        let command = Message::Command { rid, endpoint: endpoint.as_bytes().to_vec(), body: body.to_vec() };
        let asked = async {
            let sent = self.send.lock().await.write_chunk(command.encode()).await;
            sent.map_err(|error| QuicError::Connection(error.to_string()))?;
            coming.await.unwrap_or_else(|_| Err(QuicError::Connection("the stream was closed".to_owned())))
        };
        let result = timeout(limit, asked).await.unwrap_or(Err(QuicError::Timeout));
        self.waiting.lock().remove(&rid);
        result
    }

    /// Writes bytes as they are: for tests of the other end's framing.
    ///
    /// # Errors
    /// [`QuicError`].
    pub async fn write_raw(&self, bytes: &[u8]) -> Result<(), QuicError> {
        let sent = self.send.lock().await.write_all(bytes).await;
        sent.map_err(|error| QuicError::Connection(error.to_string()))
    }

    /// Ends the connection.
    pub fn close(&self) {
        self.connection.close(VarInt::from_u32(0), b"");
    }
}

impl Drop for QuicClient {
    fn drop(&mut self) {
        self.close();
    }
}

async fn read(mut frames: Frames, waiting: Waiting, pushed: mpsc::Sender<Vec<u8>>) {
    while let Ok(Some((frame, _share))) = frames.next().await {
        let (rid, answer) = match Message::parse(&frame) {
            Ok(Message::Reply { rid, body }) => (rid, Ok(body)),
            Ok(Message::Error { rid, body }) => (rid, Err(QuicError::Refused(body))),
            Ok(Message::Command { body, .. }) => {
                let _ = pushed.try_send(body);
                continue;
            }
            Err(_) => break,
        };
        if let Some(asker) = waiting.lock().remove(&rid) {
            let _ = asker.send(answer);
        }
    }
    // Whoever still waits learns that nothing will come.
    waiting.lock().clear();
}
