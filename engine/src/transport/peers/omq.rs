//! Requests to other nodes, and to the network's daemon.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{
    replicate::{PeerAnswer, PeerError, PeerLink},
    rpc::Daemon,
    swarm::NodeInfo,
    transport::omq::{
        epoll::Waker,
        queue::{Command, Sender},
    },
};

/// Commands that may wait for the I/O thread.
const QUEUE: usize = 16_384;
/// How long the network's daemon may take.
const DAEMON_TIMEOUT: Duration = Duration::from_secs(15);

/// Requests to other nodes by OMQ. Made before the sockets, because what serves the sockets needs it.
pub struct OmqPeers {
    pub(crate) sender: Sender,
    pub(crate) receiver: Mutex<Option<Receiver<Command>>>,
}

impl OmqPeers {
    /// Not connected to anything yet: requests queue until `Omq::start`.
    ///
    /// # Errors
    /// When the system gives no descriptor.
    pub fn new() -> io::Result<Self> {
        let (queue, receiver) = sync_channel(QUEUE);
        Ok(Self { sender: Sender { queue, waker: Waker::new()? }, receiver: Mutex::new(Some(receiver)) })
    }
}

impl PeerLink for OmqPeers {
    fn request<'a>(
        &'a self,
        peer: &Arc<NodeInfo>,
        command: &'static str,
        parts: Vec<Bytes>,
        timeout: Duration,
    ) -> PeerAnswer<'a> {
        if !peer.is_reachable() {
            return Box::pin(std::future::ready(Err(PeerError::Timeout)));
        }
        let (answer, coming) = oneshot::channel();
        let request = Command::Request { peer: Arc::clone(peer), command, parts, answer };
        if self.sender.send(request).is_err() {
            return Box::pin(std::future::ready(Err(PeerError::Congested)));
        }
        Box::pin(async move {
            match tokio::time::timeout(timeout, coming).await {
                Ok(Ok(answer)) => answer,
                // Too late, or the thread has ended.
                Err(_) | Ok(Err(_)) => Err(PeerError::Timeout),
            }
        })
    }

    fn acquaint<'a>(&'a self, _: &'a Arc<NodeInfo>) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(std::future::ready(()))
    }

    fn is_allium(&self, _: &NodeInfo) -> bool {
        false
    }
}

impl Daemon for OmqPeers {
    fn request(&self, command: &'static str, params: Bytes) -> PeerAnswer<'_> {
        let (answer, coming) = oneshot::channel();
        if self.sender.send(Command::Daemon { command, params, answer }).is_err() {
            return Box::pin(std::future::ready(Err(PeerError::Congested)));
        }
        Box::pin(async move {
            match tokio::time::timeout(DAEMON_TIMEOUT, coming).await {
                Ok(Ok(answer)) => answer,
                Err(_) | Ok(Err(_)) => Err(PeerError::Timeout),
            }
        })
    }
}
