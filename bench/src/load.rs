//! Clients over HTTPS, on kept connections. The requests are made beforehand where they can be, and the answers are read
//! no further than needed: the load has to cost less than the node.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use allium_engine::{
    crypto::Ed25519Secret,
    transport::{
        any_certificate,
        quic::{QuicClient, client_endpoint},
    },
    types::Ed25519PublicKey,
};
use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use rustls::{client::Resumption, pki_types::ServerName};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Runtime,
    task::JoinSet,
    time::sleep_until,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::work::{Requests, http};

/// How long an answer over QUIC may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest latency that is told apart, in microseconds.
const LONGEST: u64 = 60_000_000;

/// What came of one round.
#[derive(Clone)]
pub(crate) struct Round {
    /// Microseconds.
    pub(crate) latencies: Histogram<u64>,
    pub(crate) elapsed: Duration,
    /// Of all the processes that were asked.
    pub(crate) server_cpu: Duration,
    /// Of the first node alone.
    pub(crate) entry_cpu: Duration,
}

impl Round {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    #[expect(clippy::cast_precision_loss, reason = "for people")]
    pub(crate) fn per_request(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e6 / self.latencies.len().max(1) as f64
    }

    #[expect(clippy::cast_precision_loss, reason = "for people")]
    pub(crate) fn milliseconds(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1e3
    }
}

pub(crate) fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, LONGEST, 3)?)
}

/// How requests begin.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    /// When the one before on its connection is answered.
    Closed,
    /// So many a second, over all connections.
    Open(f64),
}

/// What a request goes over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// The connection of the one before.
    KeepAlive,
    /// A new connection with a whole handshake.
    New,
    /// A new connection that goes on with the session of an earlier one.
    Resumed,
    /// A new connection over QUIC.
    Quic,
}

/// Where new connections over QUIC go, and from where.
#[derive(Clone)]
struct QuicNode {
    endpoint: quinn::Endpoint,
    address: SocketAddr,
    key: Ed25519PublicKey,
}

impl QuicNode {
    /// Must run inside a runtime.
    fn new(address: SocketAddr, key: Ed25519PublicKey) -> Result<Self> {
        Ok(Self { endpoint: client_endpoint((Ipv4Addr::LOCALHOST, 0).into())?, address, key })
    }

    async fn connect(&self) -> Result<QuicClient> {
        let own = Ed25519Secret::from_seed(&[9; 32]);
        Ok(QuicClient::connect(&self.endpoint, self.address, self.key, &own, PATIENCE).await?.0)
    }
}

/// How a client connects for each request.
#[derive(Clone)]
enum Anew {
    Tls(TlsConnector, SocketAddr),
    Quic(QuicNode),
}

/// The clients of one row.
pub(crate) struct Load {
    runtime: Runtime,
    tls: TlsConnector,
    address: SocketAddr,
    over: Over,
    quic: Option<QuicNode>,
    clients: Vec<Client>,
}

impl Load {
    /// Clients of the node at `address`, each with its own requests.
    pub(crate) fn new(address: SocketAddr, requests: Vec<Requests>, over: Over) -> Result<Self> {
        let mut tls = any_certificate()?;
        if over == Over::New {
            tls.resumption = Resumption::disabled();
        }
        Ok(Self {
            runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?,
            tls: Arc::new(tls).into(),
            address,
            over,
            quic: None,
            clients: requests.into_iter().map(|requests| Client { requests, connection: None }).collect(),
        })
    }

    /// Where the node is over QUIC.
    pub(crate) fn and_quic(mut self, address: SocketAddr, key: Ed25519PublicKey) -> Result<Self> {
        let _inside = self.runtime.enter();
        self.quic = Some(QuicNode::new(address, key)?);
        Ok(self)
    }

    fn anew(&self) -> Option<Anew> {
        match self.over {
            Over::KeepAlive => None,
            Over::New | Over::Resumed => Some(Anew::Tls(self.tls.clone(), self.address)),
            Over::Quic => self.quic.clone().map(Anew::Quic),
        }
    }

    /// Connects, stores what is to be retrieved, and signs what is to be asked; soon before [`Load::run`].
    pub(crate) fn prepare(&mut self) -> Result<()> {
        self.runtime.block_on(async {
            for client in &mut self.clients {
                client.prepare(&self.tls, self.address).await?;
            }
            Ok(())
        })
    }

    /// Asks for this long.
    pub(crate) fn run(&mut self, pace: Pace, length: Duration) -> Result<Round> {
        let clients = std::mem::take(&mut self.clients);
        let (count, anew) = (clients.len(), self.anew());
        self.runtime.block_on(async {
            let began = Instant::now();
            let mut running = JoinSet::new();
            for (number, client) in clients.into_iter().enumerate() {
                let schedule = Schedule::new(pace, began, number, count);
                running.spawn(client.run(schedule, began + length, anew.clone()));
            }
            let mut latencies = histogram()?;
            while let Some(done) = running.join_next().await {
                let (client, some) = done??;
                latencies.add(some)?;
                self.clients.push(client);
            }
            Ok(Round { latencies, elapsed: began.elapsed(), server_cpu: Duration::ZERO, entry_cpu: Duration::ZERO })
        })
    }
}

/// Connections that are kept and do nothing.
pub(crate) struct Crowd {
    runtime: Runtime,
    tls: TlsConnector,
    address: SocketAddr,
    connections: Vec<Connection>,
    over_quic: Vec<QuicClient>,
}

impl Crowd {
    pub(crate) fn new(address: SocketAddr) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, tls: tls()?, address, connections: Vec::new(), over_quic: Vec::new() })
    }

    /// So many more connections, each of which has asked once.
    pub(crate) fn join(&mut self, count: usize) -> Result<()> {
        let info = http("/storage_rpc/v1", br#"{"method":"info","params":{}}"#);
        self.runtime.block_on(async {
            for number in 0..count {
                let mut connection = Connection::open(&self.tls, self.address).await?;
                connection.ask(&info).await.with_context(|| format!("connection {number}"))?;
                connection.read = Vec::new();
                self.connections.push(connection);
            }
            Ok(())
        })
    }

    /// So many more over QUIC.
    pub(crate) fn join_quic(&mut self, count: usize, address: SocketAddr, key: Ed25519PublicKey) -> Result<()> {
        self.runtime.block_on(async {
            let node = QuicNode::new(address, key)?;
            for number in 0..count {
                let client = node.connect().await.with_context(|| format!("connection {number}"))?;
                client.request("info", b"{}", PATIENCE).await.with_context(|| format!("request {number}"))?;
                self.over_quic.push(client);
            }
            Ok(())
        })
    }

    /// Does nothing for a while but what keeps connections.
    pub(crate) fn wait(&self, length: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(length).await });
    }

    /// So many more that ask for all of an account's messages and do not read them.
    pub(crate) fn stall(&mut self, count: usize, mut requests: Requests) -> Result<()> {
        self.runtime.block_on(async {
            for number in 0..count {
                let mut connection = Connection::open(&self.tls, self.address).await?;
                if number == 0 {
                    for request in requests.preparation()? {
                        connection.ask(&request).await?;
                    }
                }
                requests.begin()?;
                connection.stream.write_all(requests.next()?).await?;
                // The answer has begun.
                connection.stream.read_u8().await.with_context(|| format!("slow connection {number}"))?;
                self.connections.push(connection);
            }
            Ok(())
        })
    }
}

/// One request to a node; the answer to it.
pub(crate) fn ask_once(address: SocketAddr, request: &Value) -> Result<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = Connection::open(&tls()?, address).await?;
        let request = http("/storage_rpc/v1", request.to_string().as_bytes());
        Ok(serde_json::from_slice(connection.ask(&request).await?)?)
    })
}

fn tls() -> Result<TlsConnector> {
    Ok(Arc::new(any_certificate()?).into())
}

/// When a client's requests should begin.
struct Schedule {
    next: Instant,
    every: Option<Duration>,
}

impl Schedule {
    #[expect(clippy::cast_precision_loss, reason = "a pace")]
    fn new(pace: Pace, began: Instant, number: usize, count: usize) -> Self {
        match pace {
            Pace::Closed => Self { next: began, every: None },
            Pace::Open(rate) => {
                let every = Duration::from_secs_f64(count as f64 / rate);
                let offset = every.mul_f64(number as f64 / count as f64);
                Self { next: began + offset, every: Some(every) }
            }
        }
    }

    /// The moment from which the next request is timed. Whoever is late has been late since then.
    async fn wait(&mut self) -> Instant {
        let Some(every) = self.every else { return Instant::now() };
        let due = self.next;
        self.next += every;
        sleep_until(due.into()).await;
        due
    }
}

struct Client {
    requests: Requests,
    connection: Option<Connection>,
}

impl Client {
    async fn prepare(&mut self, tls: &TlsConnector, address: SocketAddr) -> Result<()> {
        // Anew: the node may have closed one that said nothing while other rows had their turn.
        let connection = self.connection.insert(Connection::open(tls, address).await?);
        for request in self.requests.preparation()? {
            let body = connection.ask(&request).await?.to_vec();
            let stored: Value = serde_json::from_slice(&body)?;
            self.requests.last_hash = stored["hash"].as_str().map(ToOwned::to_owned);
        }
        self.requests.begin()
    }

    /// Connects `anew` for each request, where that is asked for.
    async fn run(
        mut self,
        mut schedule: Schedule,
        until: Instant,
        anew: Option<Anew>,
    ) -> Result<(Self, Histogram<u64>)> {
        let mut latencies = histogram()?;
        loop {
            let began = schedule.wait().await;
            if began >= until {
                return Ok((self, latencies));
            }
            match &anew {
                Some(Anew::Quic(node)) => {
                    let (endpoint, body) = self.requests.quic()?;
                    node.connect().await?.request(endpoint, body, PATIENCE).await?;
                }
                Some(Anew::Tls(tls, address)) => {
                    self.connection.insert(Connection::open(tls, *address).await?).ask(self.requests.next()?).await?;
                }
                None => {
                    let connection = self.connection.as_mut().context("not connected")?;
                    connection.ask(self.requests.next()?).await?;
                }
            }
            latencies.saturating_record(u64::try_from(began.elapsed().as_micros())?.max(1));
        }
    }
}

/// A kept HTTP/1.1 connection.
struct Connection {
    stream: TlsStream<TcpStream>,
    read: Vec<u8>,
}

impl Connection {
    async fn open(tls: &TlsConnector, address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let stream = tls.connect(ServerName::IpAddress(address.ip().into()), stream).await?;
        Ok(Self { stream, read: Vec::new() })
    }

    /// The body of the answer, which has to be a success.
    async fn ask(&mut self, request: &[u8]) -> Result<&[u8]> {
        self.stream.write_all(request).await?;
        self.read.clear();
        loop {
            ensure!(self.stream.read_buf(&mut self.read).await? > 0, "the node has closed the connection");
            let mut headers = [httparse::EMPTY_HEADER; 16];
            let mut head = httparse::Response::new(&mut headers);
            let httparse::Status::Complete(length) = head.parse(&self.read)? else { continue };
            let status = head.code.unwrap_or_default();
            let named = |header: &&httparse::Header<'_>| header.name.eq_ignore_ascii_case("content-length");
            let body = head.headers.iter().find(named).context("an answer without a length")?;
            let whole = length + std::str::from_utf8(body.value)?.parse::<usize>()?;
            while self.read.len() < whole {
                ensure!(self.stream.read_buf(&mut self.read).await? > 0, "the node has closed the connection");
            }
            let body = &self.read[length..whole];
            if status != 200 {
                bail!("status {status}: {}", String::from_utf8_lossy(body));
            }
            return Ok(&self.read[length..whole]);
        }
    }
}
