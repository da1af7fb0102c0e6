//! What clients have asked of a swarm, on its way to another member: stores that are ready together go in one message.
//!
//! Nothing waits for others to come: whoever comes first lets those tasks run that are ready too, and then all goes that
//! they have brought. The order stays: what is no store goes by itself, after what came before it.

use std::{collections::VecDeque, mem, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::{sync::oneshot, task::yield_now, time::timeout};

use crate::{
    bencode::Bt,
    metrics::Histograms,
    replicate::{MemberAnswer, PeerError, read, refusal},
    transport::quic::{
        QuicError,
        stores::{self, MOST, MOST_BYTES},
        stream::{RequestGuard, RequestStream},
    },
};

/// Bytes that may wait: the other end does not read.
const CONGESTED: usize = 16 << 20;
/// How often those that are ready are let run before what they have brought goes, at most.
const LOOKS: usize = 3;
/// What one that waits takes beside its params, about.
const OVERHEAD: usize = 256;

/// What became of one.
type Told = Result<MemberAnswer, PeerError>;

struct Forwarded {
    method: &'static str,
    params: Bytes,
    limit: Duration,
    asker: oneshot::Sender<Told>,
}

impl Forwarded {
    fn is_store(&self) -> bool {
        self.method == "store"
    }

    const fn size(&self) -> usize {
        self.params.len() + OVERHEAD
    }
}

#[derive(Default)]
struct Waiting {
    forwarded: VecDeque<Forwarded>,
    bytes: usize,
    /// Somebody is about to take them.
    sending: bool,
}

/// What waits to be sent along one connection.
pub(super) struct Line {
    stream: Arc<RequestStream>,
    waiting: Mutex<Waiting>,
    /// Stores in one message.
    sizes: Arc<Histograms>,
}

impl Line {
    /// Along `stream`; counts messages in `sizes`.
    pub(super) fn new(stream: Arc<RequestStream>, sizes: Arc<Histograms>) -> Self {
        Self { stream, waiting: Waiting::default().into(), sizes }
    }

    /// Sizes of messages, for [`Self::new`].
    pub(super) fn sizes() -> Arc<Histograms> {
        Arc::new(Histograms::of_sizes(1, MOST))
    }

    /// Whether somebody has to send what waits now.
    fn push(&self, forwarded: Forwarded) -> Result<bool, PeerError> {
        let mut waiting = self.waiting.lock();
        if waiting.bytes + forwarded.size() > CONGESTED {
            return Err(PeerError::Congested);
        }
        waiting.bytes += forwarded.size();
        waiting.forwarded.push_back(forwarded);
        Ok(!mem::replace(&mut waiting.sending, true))
    }

    /// What goes next: stores for one message, or one of another kind.
    fn take(&self) -> Option<Vec<Forwarded>> {
        let mut waiting = self.waiting.lock();
        let (mut taken, mut bytes) = (Vec::<Forwarded>::new(), 0);
        while let Some(next) = waiting.forwarded.front() {
            let fits = next.is_store() && taken.len() < MOST && bytes + next.params.len() <= MOST_BYTES;
            if taken.first().is_some_and(|first| !first.is_store() || !fits) {
                break;
            }
            let Some(next) = waiting.forwarded.pop_front() else { break };
            waiting.bytes -= next.size();
            bytes += next.params.len();
            // Who has gone needs no answer, and will tell the member in another way.
            if !next.asker.is_closed() {
                taken.push(next);
            }
        }
        waiting.sending = !taken.is_empty();
        waiting.sending.then_some(taken)
    }
}

/// Passes a client's command on along `line`, with others that are ready.
///
/// # Errors
/// [`PeerError`].
pub(super) async fn forward(line: &Arc<Line>, method: &'static str, params: Bytes, limit: Duration) -> Told {
    let (asker, coming) = oneshot::channel();
    if line.push(Forwarded { method, params, limit, asker })? {
        tokio::spawn(send_waiting(Arc::clone(line)));
    }
    coming.await.unwrap_or(Err(PeerError::Timeout))
}

/// Sends what waits, until nothing is left.
async fn send_waiting(line: Arc<Line>) {
    loop {
        // As long as those that have run bring more, they have woken others that are ready too.
        let (mut before, mut looks) = (0, 0);
        while looks < LOOKS && line.waiting.lock().forwarded.len() > before {
            before = line.waiting.lock().forwarded.len();
            looks += 1;
            // Runs again when the thread has run what was ready.
            yield_now().await;
        }
        let Some(batch) = line.take() else { return };
        match batch.as_slice() {
            [one] if !one.is_store() => one_alone(&line.stream, batch).await,
            _ => {
                line.sizes.size(0, batch.len());
                many_stores(&line.stream, batch).await;
            }
        }
    }
}

/// The body of `storage_cc`.
pub(super) fn command_body(parts: &[Bytes]) -> Vec<u8> {
    Bt::List(parts.iter().map(|part| part.as_ref().into()).collect()).encode()
}

/// The answer to `storage_cc`, as OMQ's parts: a refusal `<code> <reason>\n\n<text>` as two.
pub(super) fn command_parts(answer: Result<BytesMut, QuicError>) -> Result<Vec<Bytes>, PeerError> {
    match answer {
        Ok(reply) => Ok(unwrapped(&reply)),
        Err(QuicError::Refused(text)) => {
            let (code, reason) = refusal(&text);
            Ok(vec![code.into(), reason.into()])
        }
        Err(QuicError::Timeout | QuicError::Connection(_)) => Err(PeerError::Timeout),
    }
}

/// The dict inside `[200, dict]`; nothing of another answer, which makes it an invalid one.
fn unwrapped(reply: &[u8]) -> Vec<Bytes> {
    let Ok(Bt::List(items)) = Bt::parse(reply) else { return Vec::new() };
    let [Bt::Int(200), dict] = items.as_slice() else { return Vec::new() };
    vec![dict.encode().into()]
}

async fn one_alone(stream: &RequestStream, batch: Vec<Forwarded>) {
    for Forwarded { method, params, limit, asker } in batch {
        let sent = stream.send("storage_cc", command_body(&[Bytes::from_static(method.as_bytes()), params])).await;
        tokio::spawn(async move {
            let _ = asker.send(command_parts(awaited(sent, limit).await).map(|parts| read(Ok(parts))));
        });
    }
}

async fn many_stores(stream: &RequestStream, batch: Vec<Forwarded>) {
    let body = stores::request(batch.iter().map(|store| &store.params));
    let limit = batch.iter().map(|store| store.limit).max().unwrap_or_default();
    let askers: Vec<_> = batch.into_iter().map(|store| store.asker).collect();
    let sent = stream.send("stores", body).await;
    tokio::spawn(async move {
        let told: Vec<Told> = match awaited(sent, limit).await {
            Ok(answer) => stores::outcomes(&answer, askers.len()).into_iter().map(Ok).collect(),
            Err(QuicError::Refused(text)) => vec![Ok(stores::refused(&text)); askers.len()],
            Err(QuicError::Timeout | QuicError::Connection(_)) => vec![Err(PeerError::Timeout); askers.len()],
        };
        for (told, asker) in told.into_iter().zip(askers) {
            let _ = asker.send(told);
        }
    });
}

async fn awaited(sent: Result<RequestGuard, QuicError>, limit: Duration) -> Result<BytesMut, QuicError> {
    timeout(limit, sent?.answer()).await.unwrap_or(Err(QuicError::Timeout))
}

#[cfg(test)]
mod tests;
