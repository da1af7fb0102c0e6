//! The asking end of one request stream. Requests overlap; answers come in any order.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use quinn::{Connection, SendStream};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};

use super::{
    config::MAX_FRAME,
    error::QuicError,
    frame::{self, Frames, QuicMessage},
};

type QuicResult = Result<BytesMut, QuicError>;

/// What the asking end and the reader of answers share.
struct Shared {
    waiting: Mutex<HashMap<i64, oneshot::Sender<QuicResult>>>,
    /// Bytes of requests without an answer.
    outstanding: AtomicUsize,
    heard: Mutex<Instant>,
}

pub(crate) struct RequestStream {
    send: tokio::sync::Mutex<SendStream>,
    next: AtomicI64,
    shared: Arc<Shared>,
}

impl RequestStream {
    /// Opens a stream; commands that come on it (notifications) go to `pushed`.
    pub(crate) async fn open(
        connection: &Connection,
        pushed: Option<mpsc::Sender<Vec<u8>>>,
    ) -> Result<Self, QuicError> {
        let (send, receive) = connection.open_bi().await.map_err(|error| QuicError::Connection(error.to_string()))?;
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            outstanding: AtomicUsize::new(0),
            heard: Mutex::new(Instant::now()),
        });
        let frames = Frames::new(receive, Arc::new(Semaphore::new(2 * MAX_FRAME)), None, MAX_FRAME);
        tokio::spawn(read(frames, Arc::clone(&shared), pushed));
        Ok(Self { send: send.into(), next: AtomicI64::new(1), shared })
    }

    /// Bytes of requests without an answer.
    pub(crate) fn outstanding(&self) -> usize {
        self.shared.outstanding.load(Ordering::Relaxed)
    }

    /// When the last answer came.
    pub(crate) fn heard(&self) -> Instant {
        *self.shared.heard.lock()
    }

    pub(crate) async fn request(&self, endpoint: &str, body: impl Into<Bytes>, limit: Duration) -> QuicResult {
        let asked = async { self.send(endpoint, body).await?.answer().await };
        timeout(limit, asked).await.unwrap_or(Err(QuicError::Timeout))
    }

    /// Sends a request, whose answer is awaited apart from that.
    pub(crate) async fn send(&self, endpoint: &str, body: impl Into<Bytes>) -> Result<RequestGuard, QuicError> {
        let body = body.into();
        let rid = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, coming) = oneshot::channel();
        self.shared.waiting.lock().insert(rid, answer);
        let asked = RequestGuard { shared: Arc::clone(&self.shared), rid, bytes: body.len(), coming };
        self.shared.outstanding.fetch_add(body.len(), Ordering::Relaxed);
        let mut command = frame::command(rid, endpoint, body);
        let sent = self.send.lock().await.write_all_chunks(&mut command).await;
        sent.map_err(|error| QuicError::Connection(error.to_string()))?;
        Ok(asked)
    }

    /// Bytes as they are: for tests of the other end's framing.
    pub(super) async fn write_raw(&self, bytes: &[u8]) -> Result<(), QuicError> {
        let sent = self.send.lock().await.write_all(bytes).await;
        sent.map_err(|error| QuicError::Connection(error.to_string()))
    }
}

/// A request that has been sent. It is taken off the books when this is dropped.
pub(crate) struct RequestGuard {
    shared: Arc<Shared>,
    rid: i64,
    bytes: usize,
    coming: oneshot::Receiver<QuicResult>,
}

impl RequestGuard {
    /// The answer, for as long as the connection lasts.
    pub(crate) async fn answer(mut self) -> QuicResult {
        let closed = || Err(QuicError::Connection("the stream was closed".to_owned()));
        (&mut self.coming).await.unwrap_or_else(|_| closed())
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.shared.waiting.lock().remove(&self.rid);
        self.shared.outstanding.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

async fn read(mut frames: Frames, shared: Arc<Shared>, pushed: Option<mpsc::Sender<Vec<u8>>>) {
    while let Ok(Some((frame, _share))) = frames.next().await {
        *shared.heard.lock() = Instant::now();
        let (rid, answer) = match QuicMessage::parse(frame) {
            Ok(QuicMessage::Reply { rid, body }) => (rid, Ok(body)),
            Ok(QuicMessage::Error { rid, body }) => (rid, Err(QuicError::Refused(body.to_vec()))),
            Ok(QuicMessage::Command { body, .. }) => {
                if let Some(pushed) = &pushed {
                    // Whoever does not take its notifications loses them.
                    let _ = pushed.try_send(body.to_vec());
                }
                continue;
            }
            Err(_) => break,
        };
        if let Some(asker) = shared.waiting.lock().remove(&rid) {
            let _ = asker.send(answer);
        }
    }
    // Whoever still waits learns that nothing will come.
    shared.waiting.lock().clear();
}
