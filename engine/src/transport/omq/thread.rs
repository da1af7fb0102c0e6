//! The thread that owns the sockets.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::fd::{IntoRawFd, OwnedFd},
    sync::{
        Arc,
        mpsc::{Receiver, TryRecvError},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{
    super::{
        metrics::Refusal,
        services::Services,
        traffic::{Direction, Outcome},
    },
    Answer, Command, Incoming, OmqSubscriber, Sender,
    commands::{self, Asked, Category, Endpoint, InFlight},
    epoll::{Epoll, Waker},
    zmq::{self, BytesOption, Context, IntOption, Kind, Socket},
};
use crate::{replicate::PeerError, rpc::Via, swarm::NodeInfo, types::X25519PublicKey};

/// `spec/transports` §2.1, milliseconds and bytes.
const HEARTBEAT: i32 = 15_000;
const HEARTBEAT_TIMEOUT: i32 = 30_000;
const HANDSHAKE: i32 = 10_000;
const RECONNECT: i32 = 250;
const RECONNECT_MAX: i32 = 5_000;
const LINGER: i32 = 5_000;
const MAX_MESSAGE: i64 = 10 * 1024 * 1024;
/// A connection that nobody used for this long is closed.
const IDLE: Duration = Duration::from_secs(30);
/// How often idle connections and abandoned requests are looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// How long answers may take once the node shuts down.
const DRAIN: Duration = Duration::from_secs(20);
/// For so long nobody is sent away yet: what was asked before is answered by then.
const GRACE: Duration = Duration::from_secs(1);
/// A node that sent all away has heard the last of them when it hears nothing for so long,
const ON_THE_WAY: Duration = Duration::from_millis(100);
/// and of those that do not go when so much has passed.
const PATIENCE: Duration = Duration::from_secs(3);
/// More frames than any command has; what is beyond is not kept.
const MAX_FRAMES: usize = 64;
/// Messages taken from one socket before others have their turn.
const TURN: usize = 256;
/// Commands taken before sockets have their turn.
const COMMANDS: usize = 1024;
const MAX_SOCKETS: i32 = 16_384;

// Numbers of what is waited for; peers come after.
const WAKE: u64 = 0;
const ROUTER: u64 = 1;
const ZAP: u64 = 2;
/// Stands for the network's daemon among keys: no node has it.
const DAEMON: X25519PublicKey = X25519PublicKey([0; 32]);
/// Set in the number of a peer's monitor.
const MONITOR: u64 = 1 << 63;

/// A node that we have a connection to.
struct Peer {
    socket: Socket,
    fd: i32,
    monitor: Socket,
    monitor_fd: i32,
    address: String,
    key: X25519PublicKey,
    pending: HashMap<u64, oneshot::Sender<Answer>>,
    /// It said that it goes: it answers what it was asked, and the next request is for its successor.
    goes: bool,
    used: Instant,
}

/// What a node knows of those that it sends to its successor.
struct Leaving {
    since: Instant,
    /// When the last request came.
    asked: Instant,
    /// Requests under way, by who asked since.
    under_way: HashMap<Bytes, usize>,
}

impl Leaving {
    fn new() -> Self {
        Self { since: Instant::now(), asked: Instant::now(), under_way: HashMap::new() }
    }

    /// Whether all have gone, or will not.
    fn is_over(&self) -> bool {
        self.asked.elapsed() >= ON_THE_WAY || self.since.elapsed() >= GRACE + PATIENCE
    }

    fn take(&mut self, from: &Bytes) {
        self.asked = Instant::now();
        *self.under_way.entry(from.clone()).or_default() += 1;
    }

    /// Notes an answer; whether nothing else is under way for them, so that they can go.
    fn answered(&mut self, to: &Bytes) -> bool {
        let more = self.under_way.get_mut(to).map_or(0, |under_way| {
            *under_way -= 1;
            *under_way
        });
        if more == 0 {
            self.under_way.remove(to);
        }
        more == 0 && self.since.elapsed() >= GRACE
    }
}

pub(super) struct Io {
    epoll: Epoll,
    waker: Waker,
    commands: Receiver<Command>,
    sender: Sender,
    services: Arc<Services>,
    runtime: tokio::runtime::Handle,
    in_flight: InFlight,
    zap: Socket,
    router: Socket,
    /// What the router is to accept from, and its name for it, until it does.
    listener: Option<(OwnedFd, String)>,
    /// When to end at the latest, once that was asked for.
    closing: Option<Instant>,
    leaving: Option<Leaving>,
    peers: HashMap<u64, Peer>,
    numbers: HashMap<X25519PublicKey, u64>,
    next_number: u64,
    next_tag: u64,
    /// Sockets to look at again: a call on them may have swallowed their readiness.
    dirty: Vec<u64>,
    // After the sockets: dropping it waits for them.
    context: Context,
}

impl Io {
    pub(super) fn new(
        listener: OwnedFd,
        address: SocketAddr,
        commands: Receiver<Command>,
        sender: Sender,
        services: Arc<Services>,
        runtime: tokio::runtime::Handle,
        in_flight: InFlight,
    ) -> io::Result<Self> {
        let context = Context::new(MAX_SOCKETS)?;
        let epoll = Epoll::new()?;
        let zap = context.socket(Kind::Rep)?;
        zap.bind("inproc://zeromq.zap.01")?;
        let router = context.socket(Kind::Router)?;
        common(&router)?;
        router.set(IntOption::Linger, LINGER)?;
        router.set(IntOption::CurveServer, 1)?;
        router.set_bytes(BytesOption::CurveSecretKey, services.identity.x25519.expose())?;
        router.set(IntOption::RouterMandatory, 1)?;
        router.set(IntOption::RouterHandover, 1)?;
        router.set(IntOption::Ipv6, address.is_ipv6().into())?;
        let waker = sender.waker.clone();
        epoll.add(waker.fd(), WAKE)?;
        epoll.add(router.fd()?, ROUTER)?;
        epoll.add(zap.fd()?, ZAP)?;
        Ok(Self {
            epoll,
            waker,
            commands,
            sender,
            services,
            runtime,
            in_flight,
            zap,
            router,
            listener: Some((listener, format!("tcp://{address}"))),
            closing: None,
            leaving: None,
            peers: HashMap::new(),
            numbers: HashMap::new(),
            next_number: ZAP + 1,
            next_tag: 0,
            dirty: vec![ROUTER, ZAP],
            context,
        })
    }

    /// Lets others in.
    pub(super) fn listen(&mut self) -> io::Result<()> {
        let Some((listener, address)) = self.listener.take() else { return Ok(()) };
        self.router.set(IntOption::UseFd, listener.into_raw_fd())?;
        self.dirty.push(ROUTER);
        self.router.bind(&address)
    }

    pub(super) fn run(mut self) {
        let mut ready = Vec::new();
        let mut tidied = Instant::now();
        loop {
            ready.clear();
            let wait = match (self.dirty.is_empty(), self.closing) {
                (false, _) => Duration::ZERO,
                (true, None) => HOUSEKEEPING,
                (true, Some(_)) => ON_THE_WAY,
            };
            if let Err(error) = self.epoll.wait(&mut ready, wait) {
                tracing::error!(%error, "OMQ has to end: waiting for sockets failed");
                return;
            }
            ready.append(&mut self.dirty);
            if ready.contains(&WAKE) {
                self.waker.reset();
                if !self.take_commands() {
                    return;
                }
                ready.append(&mut self.dirty);
            }
            ready.sort_unstable();
            ready.dedup();
            for &number in &ready {
                let more = match number {
                    WAKE => Ok(false),
                    ROUTER => self.serve_router(),
                    ZAP => self.serve_zap(),
                    monitor if monitor & MONITOR != 0 => self.serve_monitor(monitor & !MONITOR),
                    peer => self.serve_peer(peer),
                };
                match more {
                    Ok(true) => self.dirty.push(number),
                    Ok(false) => {}
                    Err(error) => tracing::warn!(%error, "OMQ socket"),
                }
            }
            // All was taken from the sockets, and answered: what is queued for them is sent as they are closed.
            let idle = self.dirty.is_empty() && self.in_flight.is_empty();
            let left = self.leaving.as_ref().is_none_or(Leaving::is_over);
            let through = |end: Instant| (idle && left) || Instant::now() >= end;
            if self.closing.is_some_and(through) {
                return;
            }
            if tidied.elapsed() >= HOUSEKEEPING {
                self.tidy();
                tidied = Instant::now();
            }
        }
    }

    /// Whether to go on.
    fn take_commands(&mut self) -> bool {
        for _ in 0..COMMANDS {
            match self.commands.try_recv() {
                Ok(Command::Request { peer, command, parts, answer }) => self.request(&peer, command, &parts, answer),
                Ok(Command::Daemon { command, params, answer }) => self.ask_daemon(command, &params, answer),
                Ok(Command::Reply { to, tag, parts }) => {
                    self.dirty.push(ROUTER);
                    // As for `send_back`.
                    let _ = self.router.send_parts(&[&to, b"REPLY", &tag], &parts);
                    if self.leaving.as_mut().is_some_and(|leaving| leaving.answered(&to)) {
                        self.send_back(&[&to, b"BYE"]);
                    }
                }
                Ok(Command::Notify { to, dict }) => {
                    if !self.send_back(&[&to, b"notify.message", &dict]) {
                        self.services.rpc.monitors().forget(&to);
                    }
                }
                Ok(Command::Listen) => {
                    if let Err(error) = self.listen() {
                        tracing::error!(%error, "OMQ cannot listen");
                    }
                }
                Ok(Command::Leave) => self.leaving = Some(Leaving::new()),
                Ok(Command::Close) => self.closing = Some(Instant::now() + DRAIN),
                Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => return true,
            }
        }
        self.waker.wake();
        true
    }

    // ---- what we ask ----

    fn request(&mut self, node: &NodeInfo, command: &'static str, parts: &[Bytes], answer: oneshot::Sender<Answer>) {
        match self.connection(node) {
            Ok(number) => self.send(number, command, parts, answer),
            Err(error) => {
                tracing::warn!(%error, node = %node.ed25519, "cannot connect");
                let _ = answer.send(Err(PeerError::Timeout));
            }
        }
    }

    fn ask_daemon(&mut self, command: &'static str, params: &Bytes, answer: oneshot::Sender<Answer>) {
        match self.daemon_connection() {
            Ok(number) => self.send(number, command, std::slice::from_ref(params), answer),
            Err(error) => {
                tracing::warn!(%error, "cannot connect to the network's daemon");
                let _ = answer.send(Err(PeerError::Timeout));
            }
        }
    }

    fn send(&mut self, number: u64, command: &'static str, parts: &[Bytes], answer: oneshot::Sender<Answer>) {
        let Some(peer) = self.peers.get_mut(&number) else { return };
        self.next_tag += 1;
        let tag = self.next_tag.to_be_bytes();
        match peer.socket.send_parts(&[command.as_bytes(), &tag], parts) {
            Ok(()) => {
                peer.pending.insert(self.next_tag, answer);
                peer.used = Instant::now();
                self.dirty.push(number);
            }
            Err(_) => {
                let _ = answer.send(Err(PeerError::Congested));
            }
        }
    }

    /// The number of the connection to `node`, opened if need be.
    fn connection(&mut self, node: &NodeInfo) -> io::Result<u64> {
        let address = format!("tcp://{}:{}", node.ip, node.omq_port);
        if let Some(&number) = self.numbers.get(&node.x25519) {
            if self.peers.get(&number).is_some_and(|peer| peer.address == address) {
                return Ok(number);
            }
            self.close_peer(number);
        }
        let own = &self.services.identity.x25519;
        let socket = self.dealer()?;
        let mut routing_id = [b'L'; 33];
        routing_id[1..].copy_from_slice(&own.public().0);
        socket.set_bytes(BytesOption::RoutingId, &routing_id)?;
        socket.set_bytes(BytesOption::CurveServerKey, &node.x25519.0)?;
        socket.set_bytes(BytesOption::CurvePublicKey, &own.public().0)?;
        socket.set_bytes(BytesOption::CurveSecretKey, own.expose())?;
        self.open(socket, node.x25519, address)
    }

    /// The number of the connection to the network's daemon, which greets and has no keys (`spec/transports` §6).
    fn daemon_connection(&mut self) -> io::Result<u64> {
        if let Some(&number) = self.numbers.get(&DAEMON) {
            return Ok(number);
        }
        let address = self.services.oxend_rpc.clone().ok_or_else(|| io::Error::other("none is configured"))?;
        let socket = self.dealer()?;
        let number = self.open(socket, DAEMON, address)?;
        if let Some(peer) = self.peers.get(&number) {
            peer.socket.send(&[b"HI"])?;
        }
        Ok(number)
    }

    fn dealer(&self) -> io::Result<Socket> {
        let socket = self.context.socket(Kind::Dealer)?;
        common(&socket)?;
        // What could not be sent to a node that is gone is of no use to anybody later.
        socket.set(IntOption::Linger, 0)?;
        socket.set(IntOption::ReconnectInterval, RECONNECT)?;
        socket.set(IntOption::ReconnectIntervalMax, RECONNECT_MAX)?;
        socket.set(IntOption::ConnectTimeout, HANDSHAKE)?;
        Ok(socket)
    }

    /// Connects `socket`; its number.
    fn open(&mut self, socket: Socket, key: X25519PublicKey, address: String) -> io::Result<u64> {
        let number = self.next_number;
        self.next_number += 1;
        let losses = format!("inproc://losses-{number}");
        socket.monitor_losses(&losses)?;
        let monitor = self.context.socket(Kind::Pair)?;
        monitor.connect(&losses)?;
        socket.connect(&address)?;
        let (fd, monitor_fd) = (socket.fd()?, monitor.fd()?);
        self.epoll.add(fd, number)?;
        self.epoll.add(monitor_fd, number | MONITOR)?;
        let peer = Peer {
            socket,
            fd,
            monitor,
            monitor_fd,
            address,
            key,
            pending: HashMap::new(),
            goes: false,
            used: Instant::now(),
        };
        self.peers.insert(number, peer);
        self.numbers.insert(key, number);
        // A pipe tells of what comes only once somebody has found it empty.
        self.dirty.push(number | MONITOR);
        Ok(number)
    }

    fn close_peer(&mut self, number: u64) {
        if let Some(peer) = self.peers.remove(&number) {
            self.epoll.remove(peer.fd);
            self.epoll.remove(peer.monitor_fd);
            self.ask_no_more(number, &peer.key);
        }
    }

    /// The next request to a node goes over another connection than this one; there may be one already.
    fn ask_no_more(&mut self, number: u64, key: &X25519PublicKey) {
        if self.numbers.get(key) == Some(&number) {
            self.numbers.remove(key);
        }
    }

    /// A node that cannot be reached, or is gone, answers nothing that it was asked: whoever waits learns it now and not
    /// at a time limit. The next request connects anew.
    fn serve_monitor(&mut self, number: u64) -> io::Result<bool> {
        let Some(peer) = self.peers.get(&number) else { return Ok(false) };
        if receive(&peer.monitor, false)?.is_none() {
            return Ok(false);
        }
        // Answers that came before the loss count.
        while self.serve_peer(number)? {}
        if let Some(peer) = self.peers.get_mut(&number) {
            for (_, answer) in peer.pending.drain() {
                let _ = answer.send(Err(PeerError::Timeout));
            }
        }
        self.close_peer(number);
        Ok(false)
    }

    /// Takes the answers of a node; whether there may be more.
    fn serve_peer(&mut self, number: u64) -> io::Result<bool> {
        for _ in 0..TURN {
            let Some(peer) = self.peers.get_mut(&number) else { return Ok(false) };
            let Some((frames, _)) = receive(&peer.socket, false)? else { return Ok(false) };
            let tagged = |tag: &Bytes| tag.as_ref().try_into().ok().map(u64::from_be_bytes);
            match frames.as_slice() {
                [reply, tag, ..] if reply.as_ref() == b"REPLY" => {
                    if let Some(answer) = tagged(tag).and_then(|tag| peer.pending.remove(&tag)) {
                        peer.used = Instant::now();
                        let _ = answer.send(Ok(frames[2..].to_vec()));
                    }
                }
                [error, reply, tag] if reply.as_ref() == b"REPLY" => {
                    if let Some(answer) = tagged(tag).and_then(|tag| peer.pending.remove(&tag)) {
                        let error = String::from_utf8_lossy(error).into_owned();
                        let _ = answer.send(Err(PeerError::Refused(error)));
                    }
                }
                [bye] if bye.as_ref() == b"BYE" => {
                    peer.goes = true;
                    let key = peer.key;
                    self.ask_no_more(number, &key);
                }
                // HELLO, or a refusal that names no request: the request's time limit answers for it.
                _ => {}
            }
        }
        Ok(true)
    }

    fn tidy(&mut self) {
        let now = Instant::now();
        let mut idle = Vec::new();
        for (number, peer) in &mut self.peers {
            peer.pending.retain(|_, answer| !answer.is_closed());
            if peer.pending.is_empty() && (peer.goes || now.duration_since(peer.used) >= IDLE) {
                idle.push(*number);
            }
        }
        for number in idle {
            self.close_peer(number);
        }
    }

    // ---- what we are asked ----

    /// Whether it could be sent: else the asker is gone, or does not read, and neither is ours to mend.
    fn send_back(&mut self, frames: &[&[u8]]) -> bool {
        self.dirty.push(ROUTER);
        self.router.send(frames).is_ok()
    }

    fn serve_router(&mut self) -> io::Result<bool> {
        for _ in 0..TURN {
            let Some((mut frames, sender)) = receive(&self.router, true)? else { return Ok(false) };
            if frames.is_empty() {
                continue;
            }
            let to = frames.remove(0);
            let Some(sender) = sender else { continue };
            let Ok(key) = sender.user_id.parse::<X25519PublicKey>() else { continue };
            // A routing id that claims a node's key must be that node's.
            if to.first() == Some(&b'L') && to.len() == 33 && to[1..] != key.0 {
                continue;
            }
            let (endpoint, tag, parts) = match Asked::read(frames) {
                Some(Asked::Call { endpoint, tag, parts }) => (endpoint, tag, parts),
                Some(Asked::Greeting) => {
                    self.send_back(&[&to, b"HELLO"]);
                    continue;
                }
                Some(Asked::Refused(answer)) => {
                    if self.services.network.load().by_x25519(&key).is_some() {
                        self.services.traffic.add(Direction::In, "", Outcome::Refused);
                    }
                    let mut frames: Vec<&[u8]> = vec![&to];
                    frames.extend(answer.iter().map(Bytes::as_ref));
                    self.send_back(&frames);
                    continue;
                }
                None => continue,
            };
            let refused: Option<&[u8]> = match endpoint.category() {
                Category::Sn if !self.may_call(endpoint, &key) => Some(b"FORBIDDEN_SN"),
                Category::Gossip if self.services.network.load().by_x25519(&key).is_none() => Some(b"FORBIDDEN_SN"),
                Category::Service if !self.services.admins.contains(&key) => Some(b"FORBIDDEN"),
                _ => None,
            };
            if let Some(error) = refused {
                self.services.refusals.add(Via::Omq, Refusal::Forbidden);
                self.count(endpoint, Outcome::Refused);
                self.send_back(&[&to, error, b"REPLY", &tag]);
                continue;
            }
            if matches!(endpoint.category(), Category::Storage | Category::Monitor | Category::Control) {
                let address = sender.address.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
                if !self.services.limiter.allow(address) {
                    self.services.refusals.add(Via::Omq, Refusal::TooFast);
                    let [code, text] = commands::too_many();
                    self.send_back(&[&to, b"REPLY", &tag, &code, &text]);
                    continue;
                }
            }
            let from = Arc::new(OmqSubscriber { to: to.clone(), sender: self.sender.clone() });
            let incoming = Incoming { endpoint, parts, key, from };
            self.dispatch(to, tag, incoming);
        }
        Ok(true)
    }

    /// As over QUIC, a node without a swarm may relay; what concerns messages is for members of swarms.
    fn may_call(&self, endpoint: Endpoint, key: &X25519PublicKey) -> bool {
        let relaying = matches!(endpoint, Endpoint::Ping | Endpoint::Onion);
        self.services.network.load().by_x25519(key).is_some_and(|node| node.is_active() || relaying)
    }

    fn count(&self, endpoint: Endpoint, outcome: Outcome) {
        if let Some(command) = endpoint.between_nodes() {
            self.services.traffic.add(Direction::In, command, outcome);
        }
    }

    fn dispatch(&mut self, to: Bytes, tag: Bytes, incoming: Incoming) {
        let Some(slot) = self.in_flight.of(incoming.endpoint.category()).take() else {
            self.services.refusals.add(Via::Omq, Refusal::Busy);
            self.count(incoming.endpoint, Outcome::Busy);
            let [code, text] = commands::busy();
            self.send_back(&[&to, b"REPLY", &tag, &code, &text]);
            return;
        };
        if let Some(leaving) = &mut self.leaving {
            leaving.take(&to);
        }
        let (services, sender) = (Arc::clone(&self.services), self.sender.clone());
        self.runtime.spawn(async move {
            let answer = commands::execute(&services, incoming, slot).await;
            if let Some(parts) = answer
                && sender.send(Command::Reply { to, tag, parts }).is_err()
            {
                tracing::debug!("an answer was dropped: the OMQ queue is full");
            }
        });
    }

    /// Lets every key in, under its own name: what a key may do is decided per command.
    fn serve_zap(&mut self) -> io::Result<bool> {
        for _ in 0..TURN {
            let Some((frames, _)) = receive(&self.zap, false)? else { return Ok(false) };
            // version, sequence, domain, address, routing id, mechanism, key
            let sequence = frames.get(1).cloned().unwrap_or_default();
            let key = match frames.as_slice() {
                [_, _, _, _, _, mechanism, key] if mechanism.as_ref() == b"CURVE" && key.len() == 32 => Some(key),
                _ => None,
            };
            let user = key.map(hex::encode).unwrap_or_default();
            let (code, text): (&[u8], &[u8]) = if key.is_some() { (b"200", b"") } else { (b"400", b"CURVE only") };
            self.zap.send(&[b"1.0", &sequence, code, text, user.as_bytes(), b""])?;
        }
        Ok(true)
    }
}

fn common(socket: &Socket) -> io::Result<()> {
    socket.set(IntOption::HeartbeatInterval, HEARTBEAT)?;
    socket.set(IntOption::HeartbeatTimeout, HEARTBEAT_TIMEOUT)?;
    socket.set(IntOption::HandshakeInterval, HANDSHAKE)?;
    socket.set(IntOption::SendHighWater, 10_000)?;
    socket.set(IntOption::ReceiveHighWater, 10_000)?;
    socket.set_bytes(BytesOption::MaxMessageSize, &MAX_MESSAGE.to_ne_bytes())
}

type Received = (Vec<Bytes>, Option<zmq::Sender>);

/// The next whole message; its sender's key and address when asked for.
fn receive(socket: &Socket, with_sender: bool) -> io::Result<Option<Received>> {
    let mut sender = None;
    let Some(first) = socket.receive(None)? else { return Ok(None) };
    let mut more = first.more;
    let mut frames = vec![first.bytes];
    while more {
        // The rest of a message is there when its first frame is.
        let wanted = (with_sender && frames.len() == 1).then_some(&mut sender);
        let Some(frame) = socket.receive(wanted)? else { break };
        more = frame.more;
        if frames.len() < MAX_FRAMES {
            frames.push(frame.bytes);
        }
    }
    Ok(Some((frames, sender)))
}
