//! Serves QUIC connections.

use std::{
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::{Bytes, BytesMut};
use quinn::{Connection, Endpoint, Incoming, RecvStream, SendStream, VarInt};
use rustls::pki_types::CertificateDer;
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::timeout,
};

use super::{
    super::{context::ServerContext, refusals::Refusal},
    answers::{between_nodes, error, onion_answer, outcome, wrapped},
    outgoing::{OUTGOING, Outgoing, StreamSubscriber, write},
};
use crate::{
    batch::Source,
    bencode::Bt,
    holder::Holder,
    rpc::{BUSY, Encoding, KEEPS_NOTHING, METHODS, Pipeline, Status, Subscriber, Ticket, Via},
    transport::{
        ANSWER_TOO_LARGE,
        peers::{Direction, PeerServer},
        quic::{
            config::{BAD_FRAMING, HANDSHAKE, MAX_FRAME, Protocol, REFERENCE_FRAME},
            frame::{self, Frames, QuicMessage},
            stores, tls,
        },
        relay::OnionAnswer,
        slots::{Slot, Slots},
    },
    types::Ed25519PublicKey,
};

/// Connections in all.
const MAX_CONNECTIONS: usize = 16_384;
/// Requests under way, of all connections.
const MAX_REQUESTS: usize = 1000;
/// Requests under way of one connection; beyond, its streams are not read.
const PER_CONNECTION: usize = 128;
/// Bytes that the requests of one connection may take together.
const BUDGET: usize = 16 << 20;
/// The same for another node.
const PER_NODE: usize = 4096;
const NODE_BUDGET: usize = 64 << 20;
/// Closes the connection of somebody who is no node.
const NO_NODE: VarInt = VarInt::from_u32(7);
/// Answers below this size count by their number: as many as a connection has requests under way.
const SMALL: usize = 1024;
/// Bytes of a frame besides the body of an answer, at most.
const FRAME_HEAD: usize = 64;

pub(super) struct Server {
    context: Arc<ServerContext>,
    requests: Slots,
    from_peers: Slots,
    next: AtomicU64,
    leaving: AtomicBool,
    parted: watch::Sender<bool>,
}

impl Server {
    pub(super) fn new(context: Arc<ServerContext>) -> Self {
        let (requests, from_peers) = (Slots::new(MAX_REQUESTS), Slots::new(MAX_REQUESTS));
        Self {
            context,
            requests,
            from_peers,
            next: AtomicU64::new(0),
            leaving: AtomicBool::new(false),
            parted: watch::Sender::new(false),
        }
    }

    /// From now on newcomers hear nothing.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// Closes the connections of clients.
    pub(super) fn part(&self) {
        let _ = self.parted.send_replace(true);
    }

    /// Requests under way, of clients and of nodes: how many there are, and may be.
    pub(super) fn under_way(&self) -> [(&'static str, usize, usize); 2] {
        [("quic", &self.requests), ("quic_nodes", &self.from_peers)]
            .map(|(name, slots)| (name, slots.taken(), slots.limit()))
    }

    /// Waits until no request is under way.
    pub(super) async fn idle(&self) {
        self.requests.empty().await;
        self.from_peers.empty().await;
    }

    pub(super) async fn accept(self: Arc<Self>, endpoint: Endpoint) {
        self.context.readiness.opened().await;
        while let Some(incoming) = endpoint.accept().await {
            if self.leaving.load(Ordering::Acquire) {
                incoming.ignore();
                continue;
            }
            let address = incoming.remote_address().ip();
            // Who may not be at the address that it names takes no place of those who are.
            if !self.context.connections.is_quiet(address) && incoming.may_retry() {
                let _ = incoming.retry();
                continue;
            }
            let exempt = self.context.limiter.is_exempt(address);
            let place = self.context.connections.take(address, exempt);
            let Some(place) = place.filter(|_| endpoint.open_connections() < MAX_CONNECTIONS) else {
                self.context.refusals.add(Via::Quic, Refusal::Connections);
                incoming.refuse();
                continue;
            };
            let server = Arc::clone(&self);
            tokio::spawn(async move {
                server.connection(incoming, address).await;
                drop(place);
            });
        }
    }

    async fn connection(self: Arc<Self>, incoming: Incoming, address: IpAddr) {
        let Ok(connecting) = incoming.accept() else { return };
        let Ok(Ok(connection)) = timeout(HANDSHAKE, connecting).await else { return };
        if Protocol::of(&connection) != Protocol::Clients {
            let Some(key) = self.known_node(&connection) else {
                connection.close(NO_NODE, b"");
                return;
            };
            self.context.quic_peers.add(key, connection.clone(), false).await;
            self.serve(&key, connection).await;
            return;
        }
        let client = self.client(address, Kind::Client, REFERENCE_FRAME, PER_CONNECTION, BUDGET);
        let mut parted = self.parted.subscribe();
        tokio::select! {
            () = client.serve(&connection) => {}
            _ = parted.wait_for(|parted| *parted) => connection.close(VarInt::from_u32(0), b""),
        }
        self.context.rpc.monitors().forget(&client.id);
    }

    fn client(
        self: &Arc<Self>,
        address: IpAddr,
        kind: Kind,
        largest: usize,
        places: usize,
        budget: usize,
    ) -> Arc<Client> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Arc::new(Client {
            server: Arc::clone(self),
            address,
            holder: Holder::at(address),
            kind,
            largest,
            id: [b"quic".as_slice(), &number.to_be_bytes()].concat(),
            budget: Arc::new(Semaphore::new(budget)),
            places: Arc::new(Semaphore::new(places)),
            source: Source::new(),
        })
    }

    /// The key of the other end, when it is another node's.
    fn known_node(&self, connection: &Connection) -> Option<Ed25519PublicKey> {
        let identity = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
        let key = Ed25519PublicKey(tls::key_of(identity.first()?)?);
        let known = self.context.network.load().by_ed25519(&key).is_some();
        (known && key != self.context.identity.ed25519.public()).then_some(key)
    }
}

impl PeerServer for Server {
    /// Serves another node on `connection`, whichever side opened it.
    fn serve<'a>(
        self: Arc<Self>,
        node: &'a Ed25519PublicKey,
        connection: Connection,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            let address = connection.remote_address().ip();
            let largest = if Protocol::of(&connection).is_allium() { MAX_FRAME } else { REFERENCE_FRAME };
            self.client(address, Kind::Node(*node), largest, PER_NODE, NODE_BUDGET).serve(&connection).await;
        })
    }
}

/// Who is at the other end, and so what may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Client,
    Node(Ed25519PublicKey),
}

/// One connection.
struct Client {
    kind: Kind,
    /// Bytes of the largest frame, either way.
    largest: usize,
    server: Arc<Server>,
    address: IpAddr,
    holder: Holder,
    id: Vec<u8>,
    budget: Arc<Semaphore>,
    places: Arc<Semaphore>,
    source: Source,
}

impl Client {
    async fn serve(self: &Arc<Self>, connection: &Connection) {
        // The transport bounds how many streams there are at once.
        while let Ok((send, receive)) = connection.accept_bi().await {
            tokio::spawn(Arc::clone(self).stream(send, receive));
        }
    }

    async fn stream(self: Arc<Self>, send: SendStream, receive: RecvStream) {
        let (outgoing, queue) = mpsc::channel(OUTGOING);
        let writer = tokio::spawn(write(send, queue));
        let memory = (self.server.context.memory.requests.clone(), self.holder);
        let mut frames = Frames::new(receive, Arc::clone(&self.budget), Some(memory), self.largest);
        let subscriber: Arc<dyn Subscriber> = Arc::new(StreamSubscriber::new(
            self.id.clone(),
            outgoing.clone(),
            self.server.context.memory.answers.clone(),
            self.holder,
        ));
        let pipeline = Pipeline::default();
        loop {
            let Ok(next) = frames.next().await else { break };
            let Some((frame, share)) = next else {
                drop((outgoing, subscriber));
                return;
            };
            let message = match QuicMessage::parse(frame) {
                Ok(QuicMessage::Command { rid, endpoint, body }) => (rid, endpoint, body),
                // Answers to notifications, which need none.
                Ok(QuicMessage::Reply { .. } | QuicMessage::Error { .. }) => continue,
                Err(_) => break,
            };
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
            if outgoing.is_closed() {
                break;
            }
            let (client, subscriber, outgoing) = (Arc::clone(&self), Arc::clone(&subscriber), outgoing.clone());
            let ticket = self.is_ordered(&message.1).then(|| pipeline.ticket());
            tokio::spawn(async move {
                let (rid, endpoint, body) = message;
                let answer = client.execute(&endpoint, body, &subscriber, ticket).await;
                drop(share);
                let chunks = frame::answer(rid, client.counted(answer.map(Bytes::from).map_err(Bytes::from)));
                let _ = outgoing.send(Outgoing::answer(chunks, place)).await;
            });
        }
        frames.stop(BAD_FRAMING);
        writer.abort();
    }

    /// The answer, counted until it is sent and acknowledged; or that there is no room for it, or that no frame has.
    fn counted(&self, answer: Result<Bytes, Bytes>) -> Result<Bytes, Bytes> {
        let (Ok(body) | Err(body)) = &answer;
        let length = body.len();
        if length < SMALL {
            return answer;
        }
        let failed = |status, text: &str| Err(error(status, text.as_bytes()).into());
        if length + FRAME_HEAD > self.largest {
            // It would end the stream, and with it what others wait for.
            return failed(Status::INTERNAL_SERVER_ERROR, ANSWER_TOO_LARGE);
        }
        let hold = |body| self.server.context.memory.answers.hold(self.holder, body);
        let held = match answer {
            Ok(body) => hold(body).map(Ok),
            Err(body) => hold(body).map(Err),
        };
        held.unwrap_or_else(|| {
            self.server.context.refusals.add(Via::Quic, Refusal::Busy);
            failed(Status::SERVICE_UNAVAILABLE, BUSY)
        })
    }

    /// Whether it takes effect after what came before it on the same stream.
    fn is_ordered(&self, endpoint: &[u8]) -> bool {
        match self.kind {
            Kind::Client => METHODS.iter().any(|name| name.as_bytes() == endpoint),
            Kind::Node(_) => matches!(endpoint, b"storage_cc" | b"stores"),
        }
    }

    /// The body of the reply, or of the error.
    async fn execute(
        &self,
        endpoint: &[u8],
        body: BytesMut,
        subscriber: &Arc<dyn Subscriber>,
        ticket: Option<Ticket>,
    ) -> Result<Vec<u8>, Vec<u8>> {
        let context = &self.server.context;
        if self.kind != Kind::Client {
            let answer = self.execute_for_node(endpoint, body, ticket).await;
            // Of `stores` each was counted by itself, if it came to that.
            if endpoint != b"stores" || answer.is_err() {
                context.traffic.add(Direction::In, between_nodes(endpoint), outcome(endpoint, &answer));
            }
            return answer;
        }
        match endpoint {
            b"snode_ping" => {
                context.pinged.quic.now();
                return Ok(b"pong".to_vec());
            }
            b"monitor" => {
                self.allowed()?;
                return Ok(context.rpc.monitor(&body, subscriber));
            }
            _ => {}
        }
        let method = METHODS.iter().find(|name| name.as_bytes() == endpoint);
        if method.is_none() && endpoint != b"onion_req" {
            return Err([b"Invalid endpoint '", endpoint, b"'"].concat());
        }
        let slot = self.slot()?;
        self.allowed()?;
        match method {
            None => onion(context, body, self.source, slot).await,
            Some(method) => match context.rpc.call(method, &body, Via::Quic, ticket).await {
                Some((encoding, reply)) => wrapped(&reply, encoding),
                None => Err(b"An error occurred while processing the request".to_vec()),
            },
        }
    }

    /// What another node may ask; the answers of `storage_cc` are always bencoded.
    async fn execute_for_node(
        &self,
        endpoint: &[u8],
        body: BytesMut,
        ticket: Option<Ticket>,
    ) -> Result<Vec<u8>, Vec<u8>> {
        let context = &self.server.context;
        let busy = || {
            context.refusals.add(Via::Quic, Refusal::Busy);
            error(Status::SERVICE_UNAVAILABLE, BUSY.as_bytes())
        };
        match endpoint {
            b"snode_ping" => {
                context.pinged.quic.now();
                Ok(b"pong".to_vec())
            }
            b"data_ready" => {
                let Kind::Node(key) = self.kind else { return Err(Vec::new()) };
                let Some(storage) = &context.storage else { return Err(KEEPS_NOTHING.into()) };
                storage.handshake.answer(&key, &body).await.map(|()| b"OK".to_vec()).map_err(String::into_bytes)
            }
            b"onion_request" => {
                let slot = self.server.from_peers.take().ok_or_else(busy)?;
                let OnionAnswer { status, body, .. } = context.onion.hop(body, self.source, slot).await;
                Ok(onion_answer(status.as_u16(), &body))
            }
            b"data" => {
                let _slot = self.server.from_peers.take().ok_or_else(busy)?;
                let Kind::Node(key) = self.kind else { return Err(Vec::new()) };
                context.rpc.receive(&key, &body).await.map(|()| b"OK".to_vec()).map_err(|text| text.as_bytes().to_vec())
            }
            b"reconcile" => {
                let _slot = self.server.from_peers.take().ok_or_else(busy)?;
                let Kind::Node(key) = self.kind else { return Err(Vec::new()) };
                let Some(storage) = &context.storage else { return Err(KEEPS_NOTHING.into()) };
                storage.reconciler.answer(&key, &body).await.map_err(String::into_bytes)
            }
            b"storage_cc" => {
                let _slot = self.server.from_peers.take().ok_or_else(busy)?;
                let invalid = |what: &str| format!("Invalid forwarded request: {what}").into_bytes();
                let Ok(Bt::List(items)) = Bt::parse(&body) else { return Err(invalid("not a bencoded list")) };
                drop(body);
                let Ok([Bt::Bytes(method), Bt::Bytes(params)]) = <[Bt; 2]>::try_from(items) else {
                    return Err(invalid("expected a method and its params"));
                };
                let method = String::from_utf8_lossy(&method);
                if !METHODS.contains(&method.as_ref()) {
                    return Err(format!("Unknown forwarded command {method}").into_bytes());
                }
                wrapped(&context.rpc.call_forwarded(&method, params, ticket).await, Encoding::Bencode)
            }
            b"stores" => {
                let _slot = self.server.from_peers.take().ok_or_else(busy)?;
                let each = stores::each(body).map_err(|_| b"Invalid forwarded stores".to_vec())?;
                let replies = context.rpc.call_forwarded_stores(each, ticket).await;
                let answers: Vec<_> = replies.iter().map(|reply| wrapped(reply, Encoding::Bencode)).collect();
                let outcomes = answers.iter().map(|answer| outcome(endpoint, answer));
                outcomes.for_each(|outcome| context.traffic.add(Direction::In, between_nodes(endpoint), outcome));
                Ok(stores::answer(answers))
            }
            _ => Err([b"Invalid endpoint '", endpoint, b"'"].concat()),
        }
    }

    fn allowed(&self) -> Result<(), Vec<u8>> {
        if self.server.context.limiter.allow(self.address) {
            return Ok(());
        }
        self.server.context.refusals.add(Via::Quic, Refusal::TooFast);
        Err(error(Status::TOO_MANY_REQUESTS, b"Too many requests, try again later"))
    }

    fn slot(&self) -> Result<Slot, Vec<u8>> {
        let unavailable = |refusal, text: &str| {
            self.server.context.refusals.add(Via::Quic, refusal);
            error(Status::SERVICE_UNAVAILABLE, text.as_bytes())
        };
        if let Some(reason) = self.server.context.readiness.reason() {
            return Err(unavailable(Refusal::NotReady, &format!("Service node is not ready: {reason}\n")));
        }
        self.server.requests.take().ok_or_else(|| unavailable(Refusal::Busy, BUSY))
    }
}

async fn onion(context: &ServerContext, payload: BytesMut, source: Source, slot: Slot) -> Result<Vec<u8>, Vec<u8>> {
    let OnionAnswer { status, body, .. } = context.onion.entry(payload, source, slot).await;
    match Status::from_code(status.as_u16()) {
        Status::OK => Ok(body.into()),
        status => Err(error(status, &body)),
    }
}
