//! POSTs to servers outside the network: community servers, the file server (`spec/onion` §4.2, `spec/transports` §5).

mod pool;

use std::{
    future::Future,
    io,
    net::Ipv6Addr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Request, Response, StatusCode, Uri,
    body::Incoming,
    client::conn::http1,
    header,
    http::uri::{InvalidUri, Scheme},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::rt::TokioIo;
use pool::{Pool, Sender};
use rustls::{ClientConfig, RootCertStore};
use tokio::{net::TcpStream, time::timeout};
use tower_service::Service;

use super::public::may_be_called;
use crate::{
    onion::ServerTarget,
    transport::{AGENT, MAX_BODY, cipher_suites},
};

/// How long a server may take.
const TIMEOUT: Duration = Duration::from_secs(25);
/// How long one of a server's addresses may take to answer, before the next is tried.
const ONE_ADDRESS: Duration = Duration::from_secs(5);
/// Characters of a host's name.
const MAX_NAME: usize = 253;

/// Why there is no answer from the server.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The host is not one that a stranger may make this node call.
    #[error("private addresses are not called")]
    Private,
    /// The host is more than a name or an address.
    #[error("not the name of a host")]
    Host,
    /// The host does not make a URL.
    #[error(transparent)]
    Uri(#[from] InvalidUri),
    /// Nothing in time.
    #[error("Timeout was reached")]
    Timeout,
    /// No connection.
    #[error("Could not connect to server")]
    Connect,
    /// No sense in what came.
    #[error("Failure when receiving data from the server")]
    Answer,
    /// More than is passed on.
    #[error("answer too large")]
    TooLarge,
}

/// A server's answer.
pub struct UpstreamAnswer {
    /// As the server gave it.
    pub status: StatusCode,
    /// Without those that concern the connection only.
    pub headers: HeaderMap,
    /// At most [`MAX_BODY`] bytes.
    pub body: Bytes,
}

/// Servers, and the connections to them.
pub struct Upstream {
    connector: HttpsConnector<Dialler>,
    pool: Pool,
}

impl Upstream {
    /// Trusts the well-known authorities; calls private addresses only when `allow_private` says so.
    ///
    /// # Errors
    /// When the cryptography library lacks what TLS needs.
    pub fn new(allow_private: bool) -> Result<Self, rustls::Error> {
        let roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let provider = cipher_suites::provider();
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        Ok(Self { connector: connector.wrap_connector(Dialler { allow_private }), pool: Pool::default() })
    }

    /// POSTs `body`.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn post(&self, server: &ServerTarget, body: Bytes) -> Result<UpstreamAnswer, UpstreamError> {
        if !is_bare(&server.host) {
            return Err(UpstreamError::Host);
        }
        let (scheme, default_port) = if server.https { ("https", 443) } else { ("http", 80) };
        let port = if server.port == default_port { String::new() } else { format!(":{}", server.port) };
        let uri: Uri = format!("{scheme}://{}{port}{}", server.host, server.target).parse()?;
        let request = Request::post(uri.path_and_query().map_or("/", |target| target.as_str()))
            .header(header::HOST, format!("{}{port}", server.host))
            .header(header::USER_AGENT, AGENT)
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .body(Full::new(body))
            .map_err(|_| UpstreamError::Answer)?;
        timeout(TIMEOUT, self.ask(uri, request)).await.unwrap_or(Err(UpstreamError::Timeout))
    }

    async fn ask(&self, uri: Uri, request: Request<Full<Bytes>>) -> Result<UpstreamAnswer, UpstreamError> {
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let server = format!("{}://{authority}", uri.scheme_str().unwrap_or_default());
        let (sender, answer) = self.send(&server, &uri, request).await?;
        let (mut parts, body) = answer.into_parts();
        let body = Limited::new(body, MAX_BODY).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                return UpstreamError::TooLarge;
            }
            tracing::debug!(error = chain(error.as_ref()), "an answer of a server broke off");
            UpstreamError::Answer
        })?;
        self.pool.put(server, sender);
        for name in [
            header::CONNECTION,
            header::CONTENT_LENGTH,
            header::TRANSFER_ENCODING,
            header::UPGRADE,
            header::TE,
            header::TRAILER,
        ] {
            parts.headers.remove(name);
        }
        parts.headers.remove("keep-alive");
        Ok(UpstreamAnswer { status: parts.status, headers: parts.headers, body: body.to_bytes() })
    }

    /// Sends on a connection that waits, or else on a new one. A server may have closed one that waits: what it has not
    /// taken goes on another.
    async fn send(
        &self,
        server: &str,
        uri: &Uri,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(Sender, Response<Incoming>), UpstreamError> {
        while let Some(mut sender) = self.pool.take(server) {
            if sender.ready().await.is_err() {
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(answer) => return Ok((sender, answer)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(unanswered(error.error())),
                },
            }
        }
        let mut sender = self.dial(uri.clone()).await?;
        let answer = sender.send_request(request).await.map_err(|error| unanswered(&error))?;
        Ok((sender, answer))
    }

    async fn dial(&self, uri: Uri) -> Result<Sender, UpstreamError> {
        let stream = self.connector.clone().call(uri).await.map_err(|error| {
            tracing::debug!(error = chain(error.as_ref()), "no connection to a server");
            if is_private(error.as_ref()) { UpstreamError::Private } else { UpstreamError::Connect }
        })?;
        let (sender, connection) = http1::handshake(stream).await.map_err(|error| unanswered(&error))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = chain(&error), "a connection to a server broke off");
            }
        });
        Ok(sender)
    }
}

/// Whoever asked is told what it is, and nothing of this machine.
fn unanswered(error: &hyper::Error) -> UpstreamError {
    tracing::debug!(error = chain(error), "no answer of a server");
    UpstreamError::Answer
}

/// Whether the [`Dialler`] has refused.
fn is_private(error: &(dyn std::error::Error + 'static)) -> bool {
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<UpstreamError>()
        || inner.is_some_and(|inner| is_private(inner))
        || error.source().is_some_and(is_private)
}

/// An error and what lies under it, in a line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut under = error.source();
    while let Some(source) = under {
        text.push_str(": ");
        text.push_str(&source.to_string());
        under = source.source();
    }
    text
}

/// Connects to servers. Every address is looked at when it is about to be dialled, however it came about: written in
/// digits of any kind, or as what a name stands for just now.
#[derive(Clone, Debug)]
struct Dialler {
    allow_private: bool,
}

impl Dialler {
    async fn connect(self, uri: Uri) -> io::Result<TokioIo<TcpStream>> {
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16().unwrap_or(if uri.scheme() == Some(&Scheme::HTTP) { 80 } else { 443 });
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let mut outcome = Err(io::Error::other(UpstreamError::Private));
        for address in tokio::net::lookup_host((bare, port)).await? {
            if !self.allow_private && !may_be_called(address.ip()) {
                continue;
            }
            outcome = match timeout(ONE_ADDRESS, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return Ok(TokioIo::new(stream));
                }
                Ok(Err(error)) => Err(error),
                Err(elapsed) => Err(io::Error::new(io::ErrorKind::TimedOut, elapsed)),
            };
        }
        outcome
    }
}

impl Service<Uri> for Dialler {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

/// Whether `host` is a name or an address and nothing more: no port, no path, no user's name.
fn is_bare(host: &str) -> bool {
    let name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => (1..=MAX_NAME).contains(&host.len()) && host.bytes().all(name),
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::watch,
    };

    use super::*;

    /// Answers whatever comes, one read after the other, until the other end closes.
    async fn serve(mut stream: TcpStream, open: watch::Sender<usize>) {
        let mut request = [0; 4096];
        while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        }
        open.send_modify(|open| *open -= 1);
    }

    #[tokio::test]
    async fn connections_that_wait_are_bounded_over_all_servers() {
        let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (open, mut watched) = watch::channel(0);
        let server = tokio::spawn(async move {
            for came in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                open.send_modify(|open| *open += 1);
                tokio::spawn(serve(stream, open.clone()));
                assert!(came < pool::MOST + 41);
            }
        });
        let upstream = Upstream::new(true).unwrap();
        let post = async |number: usize| {
            let host = format!("127.0.{}.{}", number / 200, number % 200 + 1);
            let server = ServerTarget { host, target: "/".to_owned(), port, https: false };
            assert_eq!(upstream.post(&server, Bytes::new()).await.unwrap().status, StatusCode::OK);
        };
        for number in 0..pool::MOST + 40 {
            post(number).await;
        }
        drop(timeout(TIMEOUT, watched.wait_for(|open| *open == pool::MOST)).await.unwrap().unwrap());
        // The newest wait still: each is used again, and none comes beside them.
        for number in 40..pool::MOST + 40 {
            post(number).await;
        }
        // The oldest has gone.
        post(0).await;
        drop(timeout(TIMEOUT, watched.wait_for(|open| *open == pool::MOST)).await.unwrap().unwrap());
        assert!(!server.is_finished());
    }

    #[test]
    fn a_host_is_a_name_or_an_address() {
        for host in ["example.org", "xn--bcher-kva.example", "1.1.1.1", "[2606:4700::1111]", "a_b.example"] {
            assert!(is_bare(host), "{host}");
        }
        let long = "a".repeat(254);
        for host in [
            "127.0.0.1:80",
            "127.0.0.1:80/any/path?q",
            "user@127.0.0.1",
            "[::1]:80",
            "[::ffff:127.0.0.1]:9",
            "::1",
            "[example.org]",
            "a/b",
            "a#b",
            "a b",
            "a%62",
            "bücher.example",
            "",
            &long,
        ] {
            assert!(!is_bare(host), "{host}");
        }
    }

    #[tokio::test]
    async fn this_machine_is_not_called_however_it_is_written() {
        let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let post = async |host: &str| {
            let server =
                ServerTarget { host: host.to_owned(), target: "/loki/v3/lsrpc".to_owned(), port, https: false };
            Upstream::new(false).unwrap().post(&server, Bytes::new()).await
        };
        for host in [
            "127.0.0.1",
            "localhost",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "127.1",
            "0",
            "0.0.0.0",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
        ] {
            let refused = post(host).await.map(drop);
            assert!(matches!(refused, Err(UpstreamError::Private)), "{host}: {refused:?}");
            let heard = listener.accept().map(drop).map_err(|error| error.kind());
            assert_eq!(heard, Err(io::ErrorKind::WouldBlock), "{host}");
        }
        // What it would have looked like.
        let call = tokio::spawn(async move {
            let server = ServerTarget { host: "127.1".to_owned(), target: "/".to_owned(), port, https: false };
            Upstream::new(true).unwrap().post(&server, Bytes::new()).await.map(drop)
        });
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        drop(listener.accept().await.unwrap());
        assert!(call.await.unwrap().is_err());
    }
}
