//! What the I/O thread is asked to do by all others.

use std::sync::{
    Arc,
    mpsc::{SyncSender, TrySendError},
};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::epoll::Waker;
use crate::{holder::Holder, replicate::PeerError, rpc::Notice, swarm::NodeInfo, types::X25519PublicKey};

/// The parts of another node's answer, or why there is none.
pub(crate) type PeerResult = Result<Vec<Bytes>, PeerError>;

/// What the I/O thread is asked to do.
pub(crate) enum Command {
    /// Ask `peer`.
    Request { peer: Arc<NodeInfo>, command: &'static str, parts: Vec<Bytes>, answer: oneshot::Sender<PeerResult> },
    /// Ask the network's daemon.
    Daemon { command: &'static str, params: Bytes, answer: oneshot::Sender<PeerResult> },
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
pub(crate) enum Route {
    /// The other side opened it: its routing id.
    Accepted(Bytes),
    /// We opened it: its number.
    Opened(u64),
}

impl Route {
    /// Tells it from all others.
    pub(crate) fn id(&self) -> Vec<u8> {
        match self {
            Self::Accepted(id) => [b"a", id.as_ref()].concat(),
            Self::Opened(number) => [b"o", number.to_be_bytes().as_slice()].concat(),
        }
    }
}

/// Who sends, proven by CURVE, and where an answer goes.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) key: X25519PublicKey,
    pub(crate) route: Route,
    /// For whom memory is held.
    pub(crate) holder: Holder,
}

impl Caller {
    /// Whether it is a node of the network: what such a one is owed is bounded by what it may ask at once.
    pub(crate) fn is_node(&self) -> bool {
        matches!(self.holder, Holder::Node(_))
    }
}

/// The way to the I/O thread, from any other.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) queue: SyncSender<Command>,
    pub(crate) waker: Waker,
}

impl Sender {
    /// Queues `command`; gives it back when the queue is full or the thread has ended.
    pub(crate) fn send(&self, command: Command) -> Result<(), Command> {
        match self.queue.try_send(command) {
            Ok(()) => {
                self.waker.wake();
                Ok(())
            }
            Err(TrySendError::Full(command) | TrySendError::Disconnected(command)) => Err(command),
        }
    }
}
