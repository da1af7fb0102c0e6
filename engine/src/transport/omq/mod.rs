//! OMQ (`spec/transports` §2): ZMTP with CURVE between nodes, and from clients that speak it.
//!
//! One thread owns every socket: a ROUTER that others connect to, and a DEALER per node that we have something to say
//! to, opened on demand and closed when idle. Requests that arrive run as tasks of the runtime; their answers come back
//! to the thread through its bounded queue.

mod commands;
mod epoll;
mod thread;
mod zmq;

use std::{
    io,
    net::SocketAddr,
    os::fd::OwnedFd,
    pin::Pin,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use self::epoll::Waker;
use super::services::Services;
use crate::{
    replicate::{Daemon, PeerAnswer, PeerError, PeerLink},
    rpc::Subscriber,
    swarm::NodeInfo,
    types::X25519PublicKey,
};

/// Commands that may wait for the I/O thread.
const QUEUE: usize = 16_384;
/// How long the network's daemon may take.
const DAEMON_TIMEOUT: Duration = Duration::from_secs(15);

type Answer = Result<Vec<Bytes>, PeerError>;

/// What the I/O thread is asked to do.
enum Command {
    /// Ask `peer`.
    Request { peer: Arc<NodeInfo>, command: &'static str, parts: Vec<Bytes>, answer: oneshot::Sender<Answer> },
    /// Ask the network's daemon.
    Daemon { command: &'static str, params: Bytes, answer: oneshot::Sender<Answer> },
    /// Answer the connection `to`.
    Reply { to: Bytes, tag: Bytes, parts: Vec<Bytes> },
    /// Tell the subscriber `to` of a message.
    Notify { to: Bytes, dict: Bytes },
    /// Let others in.
    Listen,
    /// Send those that ask away, soon; go on answering.
    Leave,
    /// Answer what has been asked, close every socket, end.
    Close,
}

/// A request that came in.
struct Incoming {
    endpoint: commands::Endpoint,
    parts: Vec<Bytes>,
    /// Who asks.
    key: X25519PublicKey,
    /// The connection it came from, as something to send notifications to.
    from: Arc<OmqSubscriber>,
}

/// A connection that may subscribe.
struct OmqSubscriber {
    to: Bytes,
    sender: Sender,
}

impl Subscriber for OmqSubscriber {
    fn connection(&self) -> &[u8] {
        &self.to
    }

    fn notify(&self, dict: Bytes) {
        // A full queue loses the notification, as a lost connection would.
        let _ = self.sender.send(Command::Notify { to: self.to.clone(), dict });
    }
}

/// The way to the I/O thread, from any other.
#[derive(Clone)]
struct Sender {
    queue: SyncSender<Command>,
    waker: Waker,
}

impl Sender {
    /// Queues `command`; gives it back when the queue is full or the thread has ended.
    fn send(&self, command: Command) -> Result<(), Command> {
        match self.queue.try_send(command) {
            Ok(()) => {
                self.waker.wake();
                Ok(())
            }
            Err(TrySendError::Full(command) | TrySendError::Disconnected(command)) => Err(command),
        }
    }
}

/// Requests to other nodes by OMQ. Made before the sockets, because what serves the sockets needs it.
pub struct OmqPeers {
    sender: Sender,
    receiver: Mutex<Option<Receiver<Command>>>,
}

impl OmqPeers {
    /// Not connected to anything yet: requests queue until [`Omq::start`].
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

/// The running I/O thread.
pub struct Omq {
    sender: Sender,
    thread: Option<JoinHandle<()>>,
    in_flight: commands::InFlight,
}

impl Omq {
    /// Serves `listener`, a socket that listens on `address`, with `services`; from here on `peers` reaches other nodes.
    ///
    /// # Errors
    /// When the socket cannot be used, or `peers` already belongs to a running thread.
    pub fn start(
        listener: OwnedFd,
        address: SocketAddr,
        peers: &OmqPeers,
        services: Arc<Services>,
        runtime: tokio::runtime::Handle,
    ) -> io::Result<Self> {
        let receiver = peers.receiver.lock().take().ok_or_else(|| io::Error::other("OMQ is already running"))?;
        let sender = peers.sender.clone();
        let in_flight = commands::InFlight::new();
        let readiness = Arc::clone(&services.readiness);
        let handle = runtime.clone();
        let mut io =
            thread::Io::new(listener, address, receiver, sender.clone(), services, runtime, in_flight.clone())?;
        if readiness.is_open() {
            io.listen()?;
        } else {
            let sender = sender.clone();
            handle.spawn(async move {
                readiness.opened().await;
                if sender.send(Command::Listen).is_err() {
                    tracing::error!("OMQ stays closed: its queue is full");
                }
            });
        }
        let thread = std::thread::Builder::new().name("allium-omq".to_owned()).spawn(move || io.run())?;
        Ok(Self { sender, thread: Some(thread), in_flight })
    }

    /// Calls under way by category: its name, how many there are, and may be.
    #[must_use]
    pub fn under_way(&self) -> [(&'static str, usize, usize); 6] {
        self.in_flight.read()
    }

    /// Answers what has been asked and closes every connection.
    pub fn close(mut self) {
        self.stop();
    }

    /// Sends those that ask to a successor, each when it has all its answers, and goes on answering until
    /// [`Self::close`], which then waits until nobody asks any more.
    pub fn leave(&self) {
        if let Some(thread) = &self.thread {
            self.tell(thread, Command::Leave);
        }
    }

    fn tell(&self, thread: &JoinHandle<()>, mut command: Command) {
        while let Err(unsent) = self.sender.send(command) {
            if thread.is_finished() {
                break;
            }
            // The queue is full: the thread is busy emptying it.
            std::thread::yield_now();
            command = unsent;
        }
    }

    fn stop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.tell(&thread, Command::Close);
        if thread.join().is_err() {
            tracing::error!("the OMQ thread has panicked");
        }
    }
}

impl Drop for Omq {
    fn drop(&mut self) {
        self.stop();
    }
}
