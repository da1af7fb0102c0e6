//! The thread that owns the sockets: its loop, and what we ask others.

mod serving;

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
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
    super::context::ServerContext,
    canary::Canary,
    doors::Doors,
    endpoints::InFlight,
    leaving::{Leaving, ON_THE_WAY},
    message::OmqMessage,
};
use crate::{
    replicate::PeerError,
    rpc::Pipeline,
    swarm::NodeInfo,
    transport::{
        omq::{
            epoll::{Epoll, Waker},
            queue::{Command, PeerResult, Route, Sender},
            sockets::{COPIES, common, receive},
            zmq::{BytesOption, Context, IntOption, Kind, Socket},
        },
        peers::dealers::{Dealers, MONITOR},
    },
    watchdog::Pulse,
};

const LINGER: i32 = 5_000;
/// How often idle connections and abandoned requests are looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// How long answers may take once the node shuts down.
const DRAIN: Duration = Duration::from_secs(20);
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
    context: Arc<ServerContext>,
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
    zmq_context: Context,
}

impl Io {
    pub(super) fn new(
        listener: OwnedFd,
        address: SocketAddr,
        commands: Receiver<Command>,
        sender: Sender,
        context: Arc<ServerContext>,
        runtime: tokio::runtime::Handle,
        in_flight: InFlight,
    ) -> io::Result<Self> {
        let zmq_context = Context::new(MAX_SOCKETS)?;
        let epoll = Epoll::new()?;
        let pulses = Pulses { own: Pulse::new("allium-omq"), libzmq: Pulse::new("libzmq") };
        let canary = Canary::new(&zmq_context, &pulses.libzmq)?;
        let zap = zmq_context.socket(Kind::Rep)?;
        zap.bind("inproc://zeromq.zap.01")?;
        let router = zmq_context.socket(Kind::Router)?;
        common(&router)?;
        router.set(IntOption::Linger, LINGER)?;
        router.set(IntOption::CurveServer, 1)?;
        router.set_bytes(BytesOption::CurveSecretKey, context.identity.x25519.expose())?;
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
            context,
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
            zmq_context,
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
        self.doors = Some(Doors::open(listener, Arc::clone(&self.context)));
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
                    let Some(dict) = self.context.memory.answers.hold_copies(to.holder, dict, COPIES) else {
                        continue;
                    };
                    if !self.send_along(&to.route, &[notice.omq().as_bytes()], &[dict]) {
                        self.context.rpc.monitors().forget(&to.route.id());
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

    fn request(
        &mut self,
        node: &NodeInfo,
        command: &'static str,
        parts: &[Bytes],
        answer: oneshot::Sender<PeerResult>,
    ) {
        match self.dealers.connect(&self.zmq_context, &self.epoll, node, &self.context.identity.x25519) {
            Ok(number) => self.ask(number, command, parts, answer),
            Err(error) => {
                tracing::warn!(%error, node = %node.ed25519, "cannot connect");
                let _ = answer.send(Err(PeerError::Timeout));
            }
        }
    }

    fn ask_daemon(&mut self, command: &'static str, params: &Bytes, answer: oneshot::Sender<PeerResult>) {
        let address = self.context.oxend_rpc.as_deref().ok_or_else(|| io::Error::other("none is configured"));
        match address.and_then(|address| self.dealers.connect_daemon(&self.zmq_context, &self.epoll, address)) {
            Ok(number) => self.ask(number, command, std::slice::from_ref(params), answer),
            Err(error) => {
                tracing::warn!(%error, "cannot connect to the network's daemon");
                let _ = answer.send(Err(PeerError::Timeout));
            }
        }
    }

    fn ask(&mut self, number: u64, command: &'static str, parts: &[Bytes], answer: oneshot::Sender<PeerResult>) {
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
}
