//! The connections that this node opens: one to each node that it has something to say to, and one to the network's daemon.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::{
    crypto::X25519Secret,
    replicate::PeerError,
    swarm::NodeInfo,
    transport::omq::{
        epoll::Epoll,
        queue::PeerResult,
        sockets::{HANDSHAKE, LENT_TO_NODES, common},
        zmq::{BytesOption, Context, IntOption, Kind, MonitoredSocket, Socket},
    },
    types::X25519PublicKey,
};

/// `spec/transports` §2.1, milliseconds.
const RECONNECT: i32 = 250;
const RECONNECT_MAX: i32 = 5_000;
/// A connection that nobody used for this long is closed.
const IDLE: Duration = Duration::from_secs(30);
/// Stands for the network's daemon among keys: no node has it.
pub(crate) const DAEMON: X25519PublicKey = X25519PublicKey([0; 32]);
/// Set in the number of a connection's monitor.
pub(crate) const MONITOR: u64 = 1 << 63;

/// A connection that we opened.
pub(crate) struct Dealer {
    pub(crate) socket: MonitoredSocket,
    fd: i32,
    monitor_fd: i32,
    address: String,
    /// Whose: the connection stands only with who has it.
    pub(crate) key: X25519PublicKey,
    /// Where they are; nothing for the daemon.
    pub(crate) ip: Option<IpAddr>,
    pending: HashMap<u64, oneshot::Sender<PeerResult>>,
    /// It said that it goes: it answers what it was asked, and the next request is for its successor.
    goes: bool,
    used: Instant,
}

impl Dealer {
    /// Somebody uses it, in either direction.
    pub(crate) fn touch(&mut self) {
        self.used = Instant::now();
    }
}

/// What tells one of our requests from all others: the connection that it was sent along, and its number there.
fn tag(number: u64, request: u64) -> [u8; 16] {
    let mut tag = [0; 16];
    tag[..8].copy_from_slice(&number.to_be_bytes());
    tag[8..].copy_from_slice(&request.to_be_bytes());
    tag
}

fn read_tag(tag: &[u8]) -> Option<(u64, u64)> {
    let (number, request) = tag.split_first_chunk()?;
    Some((u64::from_be_bytes(*number), u64::from_be_bytes(request.try_into().ok()?)))
}

/// All of them, by number.
pub(crate) struct Dealers {
    by_number: HashMap<u64, Dealer>,
    /// The one to ask next.
    by_key: HashMap<X25519PublicKey, u64>,
    next_number: u64,
    next_request: u64,
}

impl Dealers {
    /// None yet; the first will have the number `first`.
    pub(crate) fn new(first: u64) -> Self {
        Self { by_number: HashMap::new(), by_key: HashMap::new(), next_number: first, next_request: 0 }
    }

    pub(crate) fn get(&mut self, number: u64) -> Option<&mut Dealer> {
        self.by_number.get_mut(&number)
    }

    /// The number of a connection to `key` that stands or is being made.
    pub(crate) fn find(&self, key: &X25519PublicKey) -> Option<u64> {
        self.by_key.get(key).copied()
    }

    /// The number of the connection to `node`, opened if need be.
    pub(crate) fn connect(
        &mut self,
        context: &Context,
        epoll: &Epoll,
        node: &NodeInfo,
        own: &X25519Secret,
    ) -> io::Result<u64> {
        let address = format!("tcp://{}:{}", node.ip, node.omq_port);
        if let Some(number) = self.find(&node.x25519) {
            if self.by_number.get(&number).is_some_and(|dealer| dealer.address == address) {
                return Ok(number);
            }
            self.close(epoll, number);
        }
        let socket = dealer(context)?;
        let mut routing_id = [b'L'; 33];
        routing_id[1..].copy_from_slice(&own.public().0);
        socket.set_bytes(BytesOption::RoutingId, &routing_id)?;
        socket.set_bytes(BytesOption::CurveServerKey, &node.x25519.0)?;
        socket.set_bytes(BytesOption::CurvePublicKey, &own.public().0)?;
        socket.set_bytes(BytesOption::CurveSecretKey, own.expose())?;
        self.open(context, epoll, socket, (node.x25519, Some(node.ip.into())), address)
    }

    /// The number of the connection to the network's daemon, which greets and has no keys (`spec/transports` §6).
    pub(crate) fn connect_daemon(&mut self, context: &Context, epoll: &Epoll, address: &str) -> io::Result<u64> {
        if let Some(number) = self.find(&DAEMON) {
            return Ok(number);
        }
        let number = self.open(context, epoll, dealer(context)?, (DAEMON, None), address.to_owned())?;
        if let Some(dealer) = self.by_number.get(&number) {
            dealer.socket.send(&[b"HI"])?;
        }
        Ok(number)
    }

    /// Connects `socket`; its number.
    fn open(
        &mut self,
        context: &Context,
        epoll: &Epoll,
        socket: Socket,
        (key, ip): (X25519PublicKey, Option<IpAddr>),
        address: String,
    ) -> io::Result<u64> {
        let number = self.next_number;
        self.next_number += 1;
        let socket = MonitoredSocket::new(context, socket, &format!("inproc://losses-{number}"))?;
        socket.connect(&address)?;
        let (fd, monitor_fd) = (socket.fd()?, socket.losses().fd()?);
        epoll.add(fd, number)?;
        epoll.add(monitor_fd, number | MONITOR)?;
        let (pending, used) = (HashMap::new(), Instant::now());
        let dealer = Dealer { socket, fd, monitor_fd, address, key, ip, pending, goes: false, used };
        self.by_number.insert(number, dealer);
        self.by_key.insert(key, number);
        Ok(number)
    }

    /// Sends a request along the connection `number`; whether it could be.
    pub(crate) fn ask(
        &mut self,
        number: u64,
        command: &'static str,
        parts: &[Bytes],
        answer: oneshot::Sender<PeerResult>,
    ) -> bool {
        let Some(dealer) = self.by_number.get_mut(&number) else { return false };
        self.next_request += 1;
        let sent = dealer
            .socket
            .send_parts(&[command.as_bytes(), &tag(number, self.next_request)], parts, LENT_TO_NODES)
            .is_ok();
        if sent {
            dealer.pending.insert(self.next_request, answer);
            dealer.touch();
        } else {
            let _ = answer.send(Err(PeerError::Congested));
        }
        sent
    }

    /// Hands an answer of `from` to who asked. It may come along any connection of theirs (`spec/transports` §2.1a).
    pub(crate) fn answered(&mut self, from: &X25519PublicKey, tag: &[u8], answer: Result<Vec<Bytes>, String>) {
        let Some((number, request)) = read_tag(tag) else { return };
        let dealer = self.by_number.get_mut(&number).filter(|dealer| dealer.key == *from);
        if let Some(dealer) = dealer
            && let Some(asker) = dealer.pending.remove(&request)
        {
            dealer.touch();
            let _ = asker.send(answer.map_err(PeerError::Refused));
        }
    }

    /// The next request to that node goes over another connection than this one; there may be one already.
    pub(crate) fn ask_no_more(&mut self, number: u64) {
        let Some(dealer) = self.by_number.get_mut(&number) else { return };
        dealer.goes = true;
        if self.by_key.get(&dealer.key) == Some(&number) {
            self.by_key.remove(&dealer.key);
        }
    }

    /// A node that cannot be reached, or is gone, answers nothing that it was asked: whoever waits learns it now and not
    /// at a time limit. The next request connects anew.
    pub(crate) fn lose(&mut self, epoll: &Epoll, number: u64) {
        if let Some(dealer) = self.by_number.get_mut(&number) {
            for (_, answer) in dealer.pending.drain() {
                let _ = answer.send(Err(PeerError::Timeout));
            }
        }
        self.close(epoll, number);
    }

    fn close(&mut self, epoll: &Epoll, number: u64) {
        self.ask_no_more(number);
        if let Some(dealer) = self.by_number.remove(&number) {
            epoll.remove(dealer.fd);
            epoll.remove(dealer.monitor_fd);
        }
    }

    /// Closes what nobody uses; forgets requests that nobody waits for any more.
    pub(crate) fn tidy(&mut self, epoll: &Epoll) {
        let now = Instant::now();
        let mut idle = Vec::new();
        for (number, dealer) in &mut self.by_number {
            dealer.pending.retain(|_, answer| !answer.is_closed());
            if dealer.pending.is_empty() && (dealer.goes || now.duration_since(dealer.used) >= IDLE) {
                idle.push(*number);
            }
        }
        for number in idle {
            self.close(epoll, number);
        }
    }
}

fn dealer(context: &Context) -> io::Result<Socket> {
    let socket = context.socket(Kind::Dealer)?;
    common(&socket)?;
    // What could not be sent to a node that is gone is of no use to anybody later.
    socket.set(IntOption::Linger, 0)?;
    socket.set(IntOption::ReconnectInterval, RECONNECT)?;
    socket.set(IntOption::ReconnectIntervalMax, RECONNECT_MAX)?;
    socket.set(IntOption::ConnectTimeout, HANDSHAKE)?;
    Ok(socket)
}
