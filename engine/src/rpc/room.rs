//! How much the whole answer to one request may hold, however many parts the request has.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::{reply::Reply, status::Status};

/// Bytes of messages in a whole answer, about, as JSON: what an onion reply can carry once it is sealed and in base64.
const MESSAGES: usize = 7_800_000;
/// A message of the largest size.
const ONE_MESSAGE: usize = 102_600;
/// What stands around the messages of one part.
const AROUND: usize = 1024;

/// Bytes that the answer to a request may still have. Clones of a shared one share them; one that is not has them all.
#[derive(Clone)]
pub(super) struct AnswerRoom(Option<Arc<AtomicUsize>>);

impl AnswerRoom {
    pub(super) const fn new() -> Self {
        Self(None)
    }

    /// For several parts.
    pub(super) fn shared(self) -> Self {
        Self(Some(self.0.unwrap_or_else(|| Arc::new(AtomicUsize::new(MESSAGES + AROUND)))))
    }

    /// Bytes for messages; `None` where not even one may fit.
    pub(super) fn for_messages(&self) -> Option<u64> {
        let left = self.0.as_ref().map_or(MESSAGES, |left| left.load(Ordering::Relaxed).saturating_sub(AROUND));
        (left >= ONE_MESSAGE).then_some(left as u64)
    }

    /// The part of an answer, or that there is no room for it.
    pub(super) fn fit(&self, part: Reply) -> Reply {
        let Some(left) = &self.0 else { return part };
        let size = part.json_size();
        let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(size));
        if taken.is_ok() { part } else { Reply::text(Status::PAYLOAD_TOO_LARGE, "Answer too large") }
    }
}
