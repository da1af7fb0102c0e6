//! Clients: connections that each send a request as soon as the one before is answered.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use allium_engine::{
    crypto::{Ed25519Secret, EncType},
    onion::build::{Destination, Hop, build},
    transport::quic::{QuicClient, client_endpoint},
};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use serde_json::json;
use tokio::{net::TcpStream, runtime::Runtime, task::JoinSet};
use tokio_rustls::TlsConnector;

use crate::server::identity;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two questions of [`Load::probe`].
const PAUSE: Duration = Duration::from_millis(2);

/// What is asked.
#[derive(Clone, Copy)]
pub(crate) enum Workload {
    /// A store of a new message: answered when it is on disk.
    Store,
    /// The cheapest request: what the transport alone costs.
    Info,
    /// The same over an onion path of three nodes.
    Onion,
}

impl Workload {
    const fn route(self) -> &'static str {
        match self {
            Self::Store | Self::Info => "/storage_rpc/v1",
            Self::Onion => "/onion_req/v2",
        }
    }

    fn body(self, bytes: usize) -> Result<Bytes> {
        let request = match self {
            Self::Info => json!({"method": "info", "params": {}}),
            Self::Onion => {
                let [first, second, third] = [0, 1, 2].map(|number| {
                    let identity = identity(number);
                    Hop { ed25519: identity.ed25519.public(), x25519: identity.x25519.public() }
                });
                let body = json!({"method": "info", "params": {}}).to_string();
                let (payload, _) =
                    build(&[first, second], &Destination::Node(third), body.as_bytes(), EncType::AesGcm)?;
                return Ok(payload.into());
            }
            Self::Store => {
                let mut random = vec![0; bytes + 32];
                getrandom::fill(&mut random)?;
                let (account, data) = random.split_at(32);
                let hex: String = account.iter().map(|byte| format!("{byte:02x}")).collect();
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis();
                json!({"method": "store", "params": {
                    "pubkey": format!("05{hex}"), "timestamp": u64::try_from(now)?, "ttl": 86_400_000,
                    "data": base64_simd::STANDARD.encode_to_string(data),
                }})
            }
        };
        Ok(request.to_string().into())
    }
}

/// What came of one round.
pub(crate) struct Round {
    latencies: Vec<Duration>,
    elapsed: Duration,
    pub(crate) server_cpu: Duration,
}

impl Round {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    pub(crate) fn cpu_per_request(&self) -> Duration {
        self.server_cpu / u32::try_from(self.latencies.len().max(1)).unwrap_or(u32::MAX)
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index below the length"
    )]
    pub(crate) fn quantile(&self, q: f64) -> Duration {
        let index = (self.latencies.len() as f64 * q) as usize;
        self.latencies.get(index.min(self.latencies.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

/// The clients.
pub(crate) struct Load {
    runtime: Runtime,
    tls: TlsConnector,
    address: SocketAddr,
    connections: usize,
    bytes: usize,
    stored: AtomicUsize,
}

impl Load {
    pub(crate) fn new(address: SocketAddr, connections: usize, bytes: usize) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth();
        Ok(Self {
            runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?,
            tls: Arc::new(config).into(),
            address,
            connections,
            bytes,
            stored: AtomicUsize::new(0),
        })
    }

    /// Messages stored in all rounds.
    pub(crate) fn stored(&self) -> usize {
        self.stored.load(Ordering::Relaxed)
    }

    pub(crate) fn run(&self, kind: Workload, length: Duration) -> Result<Round> {
        self.runtime.block_on(async {
            let mut clients = JoinSet::new();
            let mut connections = Vec::new();
            for _ in 0..self.connections {
                connections.push(self.connect().await?);
            }
            let began = Instant::now();
            for connection in connections {
                clients.spawn(client(connection, kind, self.bytes, began + length));
            }
            let mut latencies = Vec::new();
            while let Some(done) = clients.join_next().await {
                latencies.extend(done??);
            }
            let elapsed = began.elapsed();
            latencies.sort_unstable();
            if matches!(kind, Workload::Store) {
                self.stored.fetch_add(latencies.len(), Ordering::Relaxed);
            }
            Ok(Round { latencies, elapsed, server_cpu: Duration::ZERO })
        })
    }

    /// One client over QUIC, which asks now and then: how long it waits.
    pub(crate) fn probe(&self, quic: SocketAddr, length: Duration) -> Result<Round> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let endpoint = client_endpoint((Ipv4Addr::LOCALHOST, 0).into())?;
            let own = Ed25519Secret::from_seed(&[9; 32]);
            let node = identity(0).ed25519.public();
            let (client, _) = QuicClient::connect(&endpoint, quic, node, &own, PATIENCE).await?;
            let (mut latencies, began) = (Vec::new(), Instant::now());
            while began.elapsed() < length {
                let asked = Instant::now();
                client.request("info", b"{}", PATIENCE).await?;
                latencies.push(asked.elapsed());
                tokio::time::sleep(PAUSE).await;
            }
            latencies.sort_unstable();
            Ok(Round { latencies, elapsed: began.elapsed(), server_cpu: Duration::ZERO })
        })
    }

    async fn connect(&self) -> Result<http1::SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let stream = self.tls.connect(ServerName::IpAddress(self.address.ip().into()), stream).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }
}

async fn client(
    mut sender: http1::SendRequest<Full<Bytes>>,
    kind: Workload,
    bytes: usize,
    until: Instant,
) -> Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    while Instant::now() < until {
        let request = Request::post(kind.route())
            .header(header::HOST, "localhost")
            .body(Full::new(kind.body(bytes)?))
            .context("request")?;
        let began = Instant::now();
        sender.ready().await?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        ensure!(status.is_success(), "status {status}: {}", String::from_utf8_lossy(&body));
        latencies.push(began.elapsed());
    }
    Ok(latencies)
}

/// Nodes make their certificates themselves; clients do not check them.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
