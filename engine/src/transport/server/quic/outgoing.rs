//! What goes out on a stream: answers, and notifications to who subscribed on it.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use quinn::SendStream;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::timeout,
};

use crate::{
    holder::Holder,
    rpc::{Notice, Subscriber},
    transport::{
        memory::MemoryBudget,
        quic::frame::{self, Chunks},
    },
};

/// Answers and notifications waiting to be sent on a stream.
pub(super) const OUTGOING: usize = 1024;
/// As many of them are sent as one.
const TOGETHER: usize = 64;
/// How long a client may take none at all of what is sent.
const STALL: Duration = Duration::from_secs(30);

/// Sends what has queued as one: the connection makes as few datagrams, and system calls, of it as it can.
/// Whoever takes nothing for long is not waited for.
pub(super) async fn write(mut stream: SendStream, mut queue: mpsc::Receiver<Outgoing>) {
    let mut frames = Vec::new();
    while queue.recv_many(&mut frames, TOGETHER).await > 0 {
        let mut chunks: Vec<Bytes> = frames.iter_mut().flat_map(|frame| std::mem::take(&mut frame.chunks)).collect();
        let mut left = chunks.as_mut_slice();
        while !left.is_empty() {
            let Ok(Ok(written)) = timeout(STALL, stream.write_chunks(left)).await else { return };
            left = &mut left[written.chunks..];
        }
        frames.clear();
    }
    let _ = stream.finish();
}

/// A frame that waits to be sent, and the place of its request.
pub(super) struct Outgoing {
    chunks: Chunks,
    _place: Option<OwnedSemaphorePermit>,
}

impl Outgoing {
    /// An answer to the request that has `place`.
    pub(super) const fn answer(chunks: Chunks, place: OwnedSemaphorePermit) -> Self {
        Self { chunks, _place: Some(place) }
    }
}

/// Notifications go out as commands on the stream that asked for them.
pub(super) struct StreamSubscriber {
    connection: Vec<u8>,
    outgoing: mpsc::Sender<Outgoing>,
    memory: MemoryBudget,
    holder: Holder,
    next: AtomicI64,
}

impl StreamSubscriber {
    /// Of the stream that `outgoing` leads to, on a connection of this name.
    pub(super) fn new(
        connection: Vec<u8>,
        outgoing: mpsc::Sender<Outgoing>,
        memory: MemoryBudget,
        holder: Holder,
    ) -> Self {
        Self { connection, outgoing, memory, holder, next: AtomicI64::new(1) }
    }
}

impl Subscriber for StreamSubscriber {
    fn connection(&self) -> &[u8] {
        &self.connection
    }

    fn holder(&self) -> Holder {
        self.holder
    }

    fn notify(&self, notice: Notice, dict: Bytes) {
        let rid = self.next.fetch_add(1, Ordering::Relaxed);
        // A subscriber that does not read loses what does not fit.
        let Some(dict) = self.memory.hold(self.holder, dict) else { return };
        let chunks = frame::command(rid, notice.quic(), dict);
        let _ = self.outgoing.try_send(Outgoing { chunks, _place: None });
    }
}
