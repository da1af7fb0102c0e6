//! OMQ (`spec/transports` §2): ZMTP with CURVE between nodes, and from clients that speak it.
//!
//! One thread owns every socket: a ROUTER that others connect to, and a DEALER per node that we have something to say
//! to, opened on demand and closed when idle. Two nodes may so have two connections, and each sends along either: requests
//! are served, and replies taken, on both alike (`spec/transports` §2.1a). Requests that arrive run as tasks of
//! the runtime; their answers come back to the thread through its bounded queue.

mod canary;
mod commands;
mod dealers;
mod doors;
mod epoll;
mod leaving;
mod message;
mod thread;
mod zmq;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use message::fuzz_message;

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

use self::{
    epoll::Waker,
    zmq::{BytesOption, IntOption, Socket},
};
use super::{memory::MemoryShare, services::Services};
use crate::{
    holder::Holder,
    replicate::{Daemon, PeerAnswer, PeerError, PeerLink},
    rpc::{Notice, Subscriber, Ticket},
    swarm::NodeInfo,
    types::X25519PublicKey,
    watchdog::{Probed, Pulse, Ward},
};

/// Commands that may wait for the I/O thread.
const QUEUE: usize = 16_384;
/// How long the network's daemon may take.
const DAEMON_TIMEOUT: Duration = Duration::from_secs(15);

/// `spec/transports` §2.1, milliseconds and bytes.
const HEARTBEAT: i32 = 15_000;
const HEARTBEAT_TIMEOUT: i32 = 30_000;
const HANDSHAKE: i32 = 10_000;
const MAX_MESSAGE: i64 = 10 * 1024 * 1024;
/// Messages that wait on one connection, in each direction.
const HIGH_WATER: i32 = 4_000;

type Answer = Result<Vec<Bytes>, PeerError>;

/// What the sockets of both directions have alike.
fn common(socket: &Socket) -> io::Result<()> {
    socket.set(IntOption::HeartbeatInterval, HEARTBEAT)?;
    socket.set(IntOption::HeartbeatTimeout, HEARTBEAT_TIMEOUT)?;
    socket.set(IntOption::HandshakeInterval, HANDSHAKE)?;
    socket.set(IntOption::SendHighWater, HIGH_WATER)?;
    socket.set(IntOption::ReceiveHighWater, HIGH_WATER)?;
    socket.set_bytes(BytesOption::MaxMessageSize, &MAX_MESSAGE.to_ne_bytes())
}

/// What the I/O thread is asked to do.
enum Command {
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
enum Route {
    /// The other side opened it: its routing id.
    Accepted(Bytes),
    /// We opened it: its number.
    Opened(u64),
}

impl Route {
    /// Tells it from all others.
    fn id(&self) -> Vec<u8> {
        match self {
            Self::Accepted(id) => [b"a", id.as_ref()].concat(),
            Self::Opened(number) => [b"o", number.to_be_bytes().as_slice()].concat(),
        }
    }
}

/// Who sends, proven by CURVE, and where an answer goes.
#[derive(Debug)]
struct Caller {
    key: X25519PublicKey,
    route: Route,
    /// For whom memory is held.
    holder: Holder,
}

impl Caller {
    /// Whether it is a node of the network: what such a one is owed is bounded by what it may ask at once.
    fn is_node(&self) -> bool {
        matches!(self.holder, Holder::Node(_))
    }
}

/// A request that came in.
struct OmqRequest {
    endpoint: commands::Endpoint,
    parts: Vec<Bytes>,
    /// What `parts` take of the memory for requests.
    share: MemoryShare,
    caller: Arc<Caller>,
    /// The way back.
    sender: Sender,
    /// Its place among the requests of its connection, where that counts.
    ticket: Option<Ticket>,
}

/// A connection that may subscribe.
struct OmqSubscriber {
    id: Vec<u8>,
    to: Arc<Caller>,
    sender: Sender,
}

impl OmqSubscriber {
    fn new(to: Arc<Caller>, sender: Sender) -> Self {
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

/// Of what OMQ depends on.
#[derive(Clone)]
struct Pulses {
    own: Arc<Pulse>,
    libzmq: Arc<Pulse>,
}

/// The running I/O thread.
pub struct Omq {
    sender: Sender,
    thread: Option<JoinHandle<()>>,
    in_flight: commands::InFlight,
    pulses: Pulses,
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
        let pulses = io.pulses();
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
        Ok(Self { sender, thread: Some(thread), in_flight, pulses })
    }

    /// From now on its thread and libzmq's are watched.
    pub fn put_in(&self, ward: &Ward) {
        let Pulses { own, libzmq } = &self.pulses;
        ward.watch(Arc::clone(own));
        ward.watch(Probed::new(Arc::clone(libzmq), Arc::clone(own), "ZMQbg/IO"));
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
