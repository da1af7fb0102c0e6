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
    canary::Canary,
    commands,
    dealers::{Dealers, MONITOR},
    doors::Doors,
    endpoints::{COPIES, Category, Endpoint, InFlight, LENT},
    epoll::{Epoll, Waker},
    leaving::{Leaving, ON_THE_WAY},
    message::OmqMessage,
    queue::{Answer, Caller, Command, OmqRequest, Route, Sender},
    sockets::common,
    zmq::{self, BytesOption, Context, IntOption, Kind, Socket},
};
use crate::{
    holder::Holder,
    replicate::PeerError,
    rpc::{Pipeline, Via},
    swarm::NodeInfo,
    types::X25519PublicKey,
    watchdog::Pulse,
};

const LINGER: i32 = 5_000;
/// How often idle connections and abandoned requests are looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// How long answers may take once the node shuts down.
const DRAIN: Duration = Duration::from_secs(20);
/// More frames than any command has; what is beyond is not kept.
const MAX_FRAMES: usize = 64;
/// Messages taken from one socket before others have their turn.
const TURN: usize = 256;
/// Commands taken before sockets have their turn.
const COMMANDS: usize = 1024;
const MAX_SOCKETS: i32 = 16_384;

// Numbers of what is waited for; connections that we open come after.
const WAKE: u64 = 0;
const ROUTER: u64 = 1;
const ZAP: u64 = 2;
/// Of what OMQ depends on.
#[derive(Clone)]
pub(super) struct Pulses {
    pub(super) own: Arc<Pulse>,
    pub(super) libzmq: Arc<Pulse>,
}

pub(super) struct Io {
    epoll: Epoll,
    waker: Waker,
    commands: Receiver<Command>,
    sender: Sender,
    services: Arc<Services>,
    runtime: tokio::runtime::Handle,
    in_flight: InFlight,
    pulses: Pulses,
    canary: Canary,
    zap: Socket,
    router: Socket,
    /// What the router is to accept from, and its name for it, until it does.
    listener: Option<(OwnedFd, String)>,
    doors: Option<Doors>,
    /// When to end at the latest, once that was asked for.
    closing: Option<Instant>,
    leaving: Option<Leaving>,
    dealers: Dealers,
    /// The order of requests on each connection that has some under way.
    pipelines: HashMap<Route, Pipeline>,
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
        let pulses = Pulses { own: Pulse::new("allium-omq"), libzmq: Pulse::new("libzmq") };
        let canary = Canary::new(&context, &pulses.libzmq)?;
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
            pulses,
            canary,
            zap,
            router,
            listener: Some((listener, format!("tcp://{address}"))),
            doors: None,
            closing: None,
            leaving: None,
            dealers: Dealers::new(ZAP + 1),
            pipelines: HashMap::new(),
            dirty: vec![ROUTER, ZAP],
            context,
        })
    }

    /// Of this thread and libzmq's.
    pub(super) fn pulses(&self) -> Pulses {
        self.pulses.clone()
    }

    /// Lets others in.
    pub(super) fn listen(&mut self) -> io::Result<()> {
        let Some((listener, address)) = self.listener.take() else { return Ok(()) };
        let listener = listener.into_raw_fd();
        self.doors = Some(Doors::open(listener, Arc::clone(&self.services)));
        self.router.set(IntOption::UseFd, listener)?;
        self.dirty.push(ROUTER);
        self.router.bind(&address)
    }

    pub(super) fn run(mut self) {
        let mut ready = Vec::new();
        let mut tidied = Instant::now();
        let heart = self.pulses.own.begin();
        loop {
            heart.beat();
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
                    dealer => self.serve_dealer(dealer),
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
                    // A peer that is gone, or does not read, is not ours to mend.
                    self.send_back(&to, &[b"REPLY", &tag], &parts);
                    if self.leaving.as_mut().is_some_and(|leaving| leaving.answered(&to.route)) {
                        self.part(&to);
                    }
                }
                Ok(Command::Notify { to, notice, dict }) => {
                    // A subscriber that does not read loses what does not fit.
                    let Some(dict) = self.services.memory.answers.hold_copies(to.holder, dict, COPIES) else {
                        continue;
                    };
                    if !self.send_along(&to.route, &[notice.omq().as_bytes()], &[dict]) {
                        self.services.rpc.monitors().forget(&to.route.id());
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
        match self.dealers.connect(&self.context, &self.epoll, node, &self.services.identity.x25519) {
            Ok(number) => self.ask(number, command, parts, answer),
            Err(error) => {
                tracing::warn!(%error, node = %node.ed25519, "cannot connect");
                let _ = answer.send(Err(PeerError::Timeout));
            }
        }
    }

    fn ask_daemon(&mut self, command: &'static str, params: &Bytes, answer: oneshot::Sender<Answer>) {
        let address = self.services.oxend_rpc.as_deref().ok_or_else(|| io::Error::other("none is configured"));
        match address.and_then(|address| self.dealers.connect_daemon(&self.context, &self.epoll, address)) {
            Ok(number) => self.ask(number, command, std::slice::from_ref(params), answer),
            Err(error) => {
                tracing::warn!(%error, "cannot connect to the network's daemon");
                let _ = answer.send(Err(PeerError::Timeout));
            }
        }
    }

    fn ask(&mut self, number: u64, command: &'static str, parts: &[Bytes], answer: oneshot::Sender<Answer>) {
        if self.dealers.ask(number, command, parts, answer) {
            // A pipe tells of what comes only once somebody has found it empty; and a call on a socket may have
            // swallowed its readiness.
            self.dirty.extend([number, number | MONITOR]);
        }
    }

    /// A connection that we opened is lost, or was never made.
    fn serve_monitor(&mut self, number: u64) -> io::Result<bool> {
        let Some(dealer) = self.dealers.get(number) else { return Ok(false) };
        if receive(dealer.socket.losses(), false)?.is_none() {
            return Ok(false);
        }
        // What came before the loss counts.
        while self.serve_dealer(number)? {}
        self.dealers.lose(&self.epoll, number);
        Ok(false)
    }

    /// Takes what comes along a connection that we opened; whether there may be more.
    fn serve_dealer(&mut self, number: u64) -> io::Result<bool> {
        for _ in 0..TURN {
            let Some(dealer) = self.dealers.get(number) else { return Ok(false) };
            let Some((frames, _)) = receive(&dealer.socket, false)? else { return Ok(false) };
            let (key, ip) = (dealer.key, dealer.ip);
            match (OmqMessage::read(frames), ip) {
                (OmqMessage::Bye, _) => self.dealers.ask_no_more(number),
                (OmqMessage::Reply { tag, answer }, _) => self.dealers.answered(&key, &tag, answer),
                (message, Some(ip)) => self.take(message, key, Route::Opened(number), ip),
                // The daemon asks nothing.
                (_, None) => {}
            }
        }
        Ok(true)
    }

    fn tidy(&mut self) {
        if let Err(error) = self.canary.look() {
            tracing::warn!(%error, "libzmq cannot be tried out");
        }
        self.dealers.tidy(&self.epoll);
        self.pipelines.retain(|_, pipeline| !pipeline.is_idle());
    }

    // ---- what we are asked ----

    /// Sends along one connection; whether that could be.
    fn send_along(&mut self, route: &Route, head: &[&[u8]], parts: &[Bytes]) -> bool {
        match route {
            Route::Accepted(id) => {
                self.dirty.push(ROUTER);
                let mut frames: Vec<&[u8]> = vec![id];
                frames.extend(head);
                self.router.send_parts(&frames, parts, LENT).is_ok()
            }
            Route::Opened(number) => {
                self.dirty.push(*number);
                let Some(dealer) = self.dealers.get(*number) else { return false };
                dealer.socket.send_parts(head, parts, LENT).is_ok()
            }
        }
    }

    /// Sends to the caller: along the connection that it used, or along another that it has proven its key on.
    fn send_back(&mut self, to: &Caller, head: &[&[u8]], parts: &[Bytes]) -> bool {
        if self.send_along(&to.route, head, parts) {
            return true;
        }
        match &to.route {
            Route::Accepted(_) => {
                let other = self.dealers.find(&to.key);
                other.is_some_and(|number| self.send_along(&Route::Opened(number), head, parts))
            }
            Route::Opened(_) => self.send_along(&Route::Accepted(node_routing_id(&to.key)), head, parts),
        }
    }

    /// Tells whoever connected to us to go.
    fn part(&mut self, caller: &Caller) {
        if matches!(caller.route, Route::Accepted(_)) {
            self.send_along(&caller.route, &[b"BYE"], &[]);
        }
    }

    fn serve_router(&mut self) -> io::Result<bool> {
        for _ in 0..TURN {
            let Some((mut frames, sender)) = receive(&self.router, true)? else { return Ok(false) };
            if frames.is_empty() {
                continue;
            }
            let id = frames.remove(0);
            let Some(sender) = sender else { continue };
            let Ok(key) = sender.user_id.parse::<X25519PublicKey>() else { continue };
            match OmqMessage::read(frames) {
                OmqMessage::Reply { tag, answer } => self.dealers.answered(&key, &tag, answer),
                message => {
                    let address = sender.address.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
                    self.take(message, key, Route::Accepted(id), address);
                }
            }
        }
        Ok(true)
    }

    /// Serves what came along either kind of connection.
    fn take(&mut self, message: OmqMessage, key: X25519PublicKey, route: Route, address: IpAddr) {
        let known = self.services.network.load().by_x25519(&key).is_some();
        let holder = if known { Holder::Node(key) } else { Holder::at(address) };
        let caller = Arc::new(Caller { key, route, holder });
        let (endpoint, tag, parts) = match message {
            OmqMessage::Call { endpoint, tag, parts } => (endpoint, tag, parts),
            OmqMessage::Greeting => {
                self.send_along(&caller.route, &[b"HELLO"], &[]);
                return;
            }
            OmqMessage::Refused(answer) => {
                if known {
                    self.services.traffic.add(Direction::In, "", Outcome::Refused);
                }
                self.send_along(&caller.route, &[], &answer);
                return;
            }
            OmqMessage::Reply { .. } | OmqMessage::Bye | OmqMessage::Nothing => return,
        };
        if let Route::Opened(number) = caller.route
            && let Some(dealer) = self.dealers.get(number)
        {
            dealer.touch();
        }
        let refused: Option<&[u8]> = match endpoint.category() {
            Category::Sn if !self.may_call(endpoint, &caller.key) => Some(b"FORBIDDEN_SN"),
            Category::Gossip if !known => Some(b"FORBIDDEN_SN"),
            Category::Service if !self.services.admins.contains(&caller.key) => Some(b"FORBIDDEN"),
            _ => None,
        };
        if let Some(error) = refused {
            self.services.refusals.add(Via::Omq, Refusal::Forbidden);
            self.count(endpoint, Outcome::Refused);
            self.send_along(&caller.route, &[error, b"REPLY", &tag], &[]);
            return;
        }
        if matches!(endpoint.category(), Category::Storage | Category::Monitor | Category::Control)
            && !self.services.limiter.allow(address)
        {
            self.services.refusals.add(Via::Omq, Refusal::TooFast);
            self.send_along(&caller.route, &[b"REPLY", &tag], &commands::too_many());
            return;
        }
        self.dispatch(caller, tag, endpoint, parts);
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

    fn dispatch(&mut self, caller: Arc<Caller>, tag: Bytes, endpoint: Endpoint, parts: Vec<Bytes>) {
        let bytes = parts.iter().map(Bytes::len).sum();
        let slot = self.in_flight.of(endpoint.category()).take();
        let room = slot.zip(self.services.memory.requests.take(caller.holder, bytes));
        let Some((slot, share)) = room else {
            self.services.refusals.add(Via::Omq, Refusal::Busy);
            self.count(endpoint, Outcome::Busy);
            self.send_along(&caller.route, &[b"REPLY", &tag], &commands::busy());
            return;
        };
        if let Some(leaving) = &mut self.leaving {
            leaving.take(&caller.route);
        }
        let ticket = endpoint.is_ordered().then(|| match self.pipelines.get(&caller.route) {
            Some(pipeline) => pipeline.ticket(),
            None => self.pipelines.entry(caller.route.clone()).or_default().ticket(),
        });
        let (services, sender) = (Arc::clone(&self.services), self.sender.clone());
        let request =
            OmqRequest { endpoint, parts, share, caller: Arc::clone(&caller), sender: sender.clone(), ticket };
        self.runtime.spawn(async move {
            let answer = commands::execute(&services, request, slot).await;
            if let Some(parts) = answer
                && sender.send(Command::Reply { to: caller, tag, parts }).is_err()
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

/// What our ROUTER calls a node's connection: the key that it has proven (`build/libzmq.rs`), and how nodes name themselves
/// (`spec/transports` §2.1).
fn node_routing_id(key: &X25519PublicKey) -> Bytes {
    [key.to_string().as_bytes(), b"L", &key.0].concat().into()
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
