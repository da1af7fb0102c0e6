//! Questions that the engine does not answer itself: what a node signs for the network, and what it thinks of other nodes,
//! is decided by whoever runs it.
//!
//! They leave through a short queue, one by one, and nothing of the data plane waits for them. What nodes tell each other
//! has a queue of its own, so that strangers cannot fill it. Of the rest, one address has a few under way, and all
//! strangers together leave room for the nodes.

use std::{
    collections::HashMap,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{
    holder::Source,
    rpc::{BUSY, Status},
    types::Ed25519PublicKey,
};

/// What anybody may ask (`spec/appchain` §7).
pub const CLAIMS: [&str; 6] = [
    "bls.get_rewards",
    "bls.get_exit",
    "bls.get_liquidation",
    "bls.rewards_request",
    "bls.exit_liquidation_request",
    "bls.get_accrued_rewards",
];

/// What nodes tell each other of who works (docs/liveness.md): strangers are refused.
pub const LIVENESS: [&str; 2] = ["liveness.tell", "liveness.time"];

/// Questions that may wait.
const QUEUE: usize = 64;
/// Bytes of one question.
const MAX_QUESTION: usize = 64 << 10;
/// Questions of strangers that may be under way, and how many of them from one address.
const STRANGERS: usize = 96;
const PER_SOURCE: usize = 8;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A question that waits for [`Question::answer`]. Dropped without, it is refused.
#[derive(Debug)]
pub struct Question {
    /// One of [`CLAIMS`] or [`LIVENESS`].
    pub command: &'static str,
    /// The node that asks; `None` for anybody else.
    pub from: Option<Ed25519PublicKey>,
    /// The address it came from, as one number; of IPv6 the network of one customer, of a node 0.
    pub source: u128,
    /// What came with it.
    pub parts: Vec<Bytes>,
    answer: oneshot::Sender<Vec<Bytes>>,
}

impl Question {
    /// Gives the answer's parts. Whoever asked may be gone.
    pub fn answer(self, parts: Vec<Bytes>) {
        let _ = self.answer.send(parts);
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    /// The node that it is.
    pub(super) node: Option<Ed25519PublicKey>,
    /// Where it is, if it is no node.
    pub(super) source: Option<Source>,
    /// Whether there may be only so much of it.
    pub(super) limited: bool,
}

/// What strangers have under way.
#[derive(Default)]
struct Strangers {
    all: usize,
    by_source: HashMap<Source, usize>,
}

/// A stranger's place, until it is dropped.
struct Place<'a> {
    strangers: &'a Mutex<Strangers>,
    source: Source,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut strangers = self.strangers.lock();
        strangers.all -= 1;
        if let Some(taken) = strangers.by_source.get_mut(&self.source) {
            *taken -= 1;
            if *taken == 0 {
                strangers.by_source.remove(&self.source);
            }
        }
    }
}

/// The queue of questions.
pub struct Control {
    /// Nothing once the node shuts down.
    queue: Mutex<Option<SyncSender<Question>>>,
    questions: Mutex<Receiver<Question>>,
    attended: AtomicBool,
    strangers: Mutex<Strangers>,
}

impl Default for Control {
    fn default() -> Self {
        let (queue, questions) = sync_channel(QUEUE);
        Self {
            queue: Mutex::new(Some(queue)),
            questions: Mutex::new(questions),
            attended: AtomicBool::new(false),
            strangers: Mutex::default(),
        }
    }
}

impl Control {
    /// Waits for the next question; `None` once the node shuts down. From the first call on, questions are taken.
    #[must_use]
    pub fn next(&self) -> Option<Question> {
        self.attended.store(true, Ordering::Release);
        self.questions.lock().recv().ok()
    }

    /// Ends every wait.
    pub fn close(&self) {
        self.queue.lock().take();
    }

    /// What is answered to a question, or why nothing is.
    pub(super) async fn ask(
        &self,
        command: &'static str,
        asker: Asker,
        parts: Vec<Bytes>,
    ) -> Result<Vec<Bytes>, (Status, &str)> {
        if !self.attended.load(Ordering::Acquire) {
            return Err((Status::SERVICE_UNAVAILABLE, "This node signs nothing for the network"));
        }
        if parts.iter().map(Bytes::len).sum::<usize>() > MAX_QUESTION {
            return Err((Status::BAD_REQUEST, "The question is too long"));
        }
        let _place = match asker.source.filter(|_| asker.limited).map(|source| self.admit(source)) {
            Some(None) => return Err((Status::SERVICE_UNAVAILABLE, BUSY)),
            place => place,
        };
        let (answer, coming) = oneshot::channel();
        let question =
            Question { command, from: asker.node, source: asker.source.map_or(0, Source::number), parts, answer };
        let sent = match &*self.queue.lock() {
            Some(queue) => queue.try_send(question),
            None => return Err((Status::SERVICE_UNAVAILABLE, "The node is shutting down")),
        };
        match sent {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err((Status::SERVICE_UNAVAILABLE, BUSY)),
            Err(TrySendError::Disconnected(_)) => {
                return Err((Status::SERVICE_UNAVAILABLE, "The node is shutting down"));
            }
        }
        match tokio::time::timeout(PATIENCE, coming).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err((Status::INTERNAL_SERVER_ERROR, "The question was not answered")),
            Err(_) => Err((Status::GATEWAY_TIMEOUT, "No answer in time")),
        }
    }

    fn admit(&self, source: Source) -> Option<Place<'_>> {
        let mut strangers = self.strangers.lock();
        let taken = strangers.by_source.get(&source).copied().unwrap_or_default();
        if strangers.all >= STRANGERS || taken >= PER_SOURCE {
            return None;
        }
        strangers.all += 1;
        strangers.by_source.insert(source, taken + 1);
        Some(Place { strangers: &self.strangers, source })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn questions_wait_in_a_short_queue_and_end_with_the_node() {
        let control = Arc::new(Control::default());
        let asked = |bytes: usize| control.ask(CLAIMS[0], stranger(1), vec![Bytes::from(vec![0; bytes])]);
        assert_eq!(asked(1).await.unwrap_err().0, Status::SERVICE_UNAVAILABLE);
        let (first, attendant) = {
            let (sender, receiver) = std::sync::mpsc::channel();
            let attendant = Arc::clone(&control);
            let thread = std::thread::spawn(move || {
                while let Some(question) = attendant.next() {
                    if sender.send(question).is_err() {
                        return;
                    }
                }
            });
            (receiver, thread)
        };
        while !control.attended.load(Ordering::Acquire) {
            tokio::task::yield_now().await;
        }
        assert_eq!(asked(MAX_QUESTION + 1).await.unwrap_err().0, Status::BAD_REQUEST);
        let asker = tokio::spawn({
            let control = Arc::clone(&control);
            let node = Asker { node: Some(Ed25519PublicKey([7; 32])), ..stranger(1) };
            let parts = vec![Bytes::from_static(b"what")];
            async move { control.ask(LIVENESS[1], node, parts).await.map_err(|(status, _)| status) }
        });
        let question = tokio::task::spawn_blocking(move || first.recv().unwrap()).await.unwrap();
        assert_eq!((question.command, question.parts[0].as_ref()), (LIVENESS[1], &b"what"[..]));
        assert_eq!(question.from, Some(Ed25519PublicKey([7; 32])));
        question.answer(vec![Bytes::from_static(b"that")]);
        assert_eq!(asker.await.unwrap().unwrap(), [Bytes::from_static(b"that")]);
        control.close();
        attendant.join().unwrap();
        assert_eq!(asked(1).await.unwrap_err().0, Status::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn one_address_has_a_few_under_way_and_all_strangers_leave_room_for_nodes() {
        let control = Control::default();
        control.attended.store(true, Ordering::Release);
        let admitted = |asker: Asker| control.admit(asker.source.unwrap());
        let first: Vec<_> = (0..PER_SOURCE).map(|_| admitted(stranger(1)).unwrap()).collect();
        assert!(admitted(stranger(1)).is_none());
        let refused = control.ask(CLAIMS[0], stranger(1), Vec::new()).await;
        assert_eq!(refused.unwrap_err(), (Status::SERVICE_UNAVAILABLE, BUSY));
        let others: Vec<_> = (0..).map_while(|number| admitted(stranger(2 + number / 4))).collect();
        assert_eq!(first.len() + others.len(), STRANGERS);
        assert!(admitted(stranger(200)).is_none());
        for asker in [
            Asker { node: Some(Ed25519PublicKey([7; 32])), source: None, limited: false },
            Asker { limited: false, ..stranger(1) },
        ] {
            let asked = tokio::time::timeout(Duration::from_millis(20), control.ask(CLAIMS[0], asker, Vec::new()));
            assert!(asked.await.is_err(), "it waits for an answer");
        }
        drop((first, others));
        assert!(admitted(stranger(1)).is_some());
        assert!(control.strangers.lock().by_source.is_empty());
    }

    fn stranger(last: u8) -> Asker {
        Asker { node: None, source: Some(Source::of([192, 0, 2, last].into())), limited: true }
    }
}
