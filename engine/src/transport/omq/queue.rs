//! What passes between the I/O thread and all others: what it is asked to do, and the requests that came in.

use std::sync::{
    Arc,
    mpsc::{SyncSender, TrySendError},
};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{super::memory::MemoryShare, endpoints::Endpoint, epoll::Waker};
use crate::{
    holder::Holder,
    replicate::PeerError,
    rpc::{Notice, Subscriber, Ticket},
    swarm::NodeInfo,
    types::X25519PublicKey,
};

pub(super) type Answer = Result<Vec<Bytes>, PeerError>;

/// What the I/O thread is asked to do.
pub(super) enum Command {
    /// Ask `peer`.
    Request { peer: Arc<NodeInfo>, command: &'static str, parts: Vec<Bytes>, answer: oneshot::Sender<Answer> },
    /// Ask the network's daemon.
    Daemon { command: &'static str, params: Bytes, answer: oneshot::Sender<Answer> },
    /// Answer a request.
    Reply { to: Arc<Caller>, tag: Bytes, parts: Vec<Bytes> },
    /// Tell a subscriber of a message.
    Notify { to: Arc<Caller>, notice: Notice, dict: Bytes },
    /// Let others in.
    Listen,
    /// Send those that ask away, soon; go on answering.
    Leave,
    /// Answer what has been asked, close every socket, end.
    Close,
}

/// One connection, as something to send along.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Route {
    /// The other side opened it: its routing id.
    Accepted(Bytes),
    /// We opened it: its number.
    Opened(u64),
}

impl Route {
    /// Tells it from all others.
    pub(super) fn id(&self) -> Vec<u8> {
        match self {
            Self::Accepted(id) => [b"a", id.as_ref()].concat(),
            Self::Opened(number) => [b"o", number.to_be_bytes().as_slice()].concat(),
        }
    }
}

/// Who sends, proven by CURVE, and where an answer goes.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) key: X25519PublicKey,
    pub(super) route: Route,
    /// For whom memory is held.
    pub(super) holder: Holder,
}

impl Caller {
    /// Whether it is a node of the network: what such a one is owed is bounded by what it may ask at once.
    pub(super) fn is_node(&self) -> bool {
        matches!(self.holder, Holder::Node(_))
    }
}

/// A request that came in.
pub(super) struct OmqRequest {
    pub(super) endpoint: Endpoint,
    pub(super) parts: Vec<Bytes>,
    /// What `parts` take of the memory for requests.
    pub(super) share: MemoryShare,
    pub(super) caller: Arc<Caller>,
    /// The way back.
    pub(super) sender: Sender,
    /// Its place among the requests of its connection, where that counts.
    pub(super) ticket: Option<Ticket>,
}

/// A connection that may subscribe.
pub(super) struct OmqSubscriber {
    id: Vec<u8>,
    to: Arc<Caller>,
    pub(super) sender: Sender,
}

impl OmqSubscriber {
    pub(super) fn new(to: Arc<Caller>, sender: Sender) -> Self {
        Self { id: to.route.id(), to, sender }
    }
}

impl Subscriber for OmqSubscriber {
    fn connection(&self) -> &[u8] {
        &self.id
    }

    fn holder(&self) -> Holder {
        self.to.holder
    }

    fn notify(&self, notice: Notice, dict: Bytes) {
        // A full queue loses the notification, as a lost connection would.
        let _ = self.sender.send(Command::Notify { to: Arc::clone(&self.to), notice, dict });
    }
}

/// The way to the I/O thread, from any other.
#[derive(Clone)]
pub(super) struct Sender {
    pub(super) queue: SyncSender<Command>,
    pub(super) waker: Waker,
}

impl Sender {
    /// Queues `command`; gives it back when the queue is full or the thread has ended.
    pub(super) fn send(&self, command: Command) -> Result<(), Command> {
        match self.queue.try_send(command) {
            Ok(()) => {
                self.waker.wake();
                Ok(())
            }
            Err(TrySendError::Full(command) | TrySendError::Disconnected(command)) => Err(command),
        }
    }
}
