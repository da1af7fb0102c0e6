//! POSTs to servers outside the network: community servers, the file server (`spec/onion` §4.2, `spec/transports` §5).

use std::{
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{HeaderMap, Request, StatusCode, Uri, header, http::uri::InvalidUri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{HttpConnector, dns::Name},
    },
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore};
use tower_service::Service;

use super::{AGENT, MAX_BODY};
use crate::onion::ServerTarget;

/// How long a server may take.
const TIMEOUT: Duration = Duration::from_secs(25);

/// Why there is no answer from the server.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The host is not one that a stranger may make this node call.
    #[error("private addresses are not called")]
    Private,
    /// The host does not make a URL.
    #[error(transparent)]
    Uri(#[from] InvalidUri),
    /// Nothing in time.
    #[error("Timeout was reached")]
    Timeout,
    /// No connection, or no sense in what came.
    #[error("{0}")]
    Http(String),
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

/// A pool of connections to servers.
pub struct Upstream {
    client: Client<HttpsConnector<HttpConnector<PublicAddresses>>, Full<Bytes>>,
    allow_private: bool,
}

impl Upstream {
    /// Trusts the well-known authorities; calls private addresses only when `allow_private` says so.
    ///
    /// # Errors
    /// When the cryptography library lacks what TLS needs.
    pub fn new(allow_private: bool) -> Result<Self, rustls::Error> {
        let roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut http = HttpConnector::new_with_resolver(PublicAddresses { allow_private });
        http.enforce_http(false);
        http.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(60))
            .pool_max_idle_per_host(32)
            .build(connector.wrap_connector(http));
        Ok(Self { client, allow_private })
    }

    /// POSTs `body`.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn post(&self, server: &ServerTarget, body: Bytes) -> Result<UpstreamAnswer, UpstreamError> {
        // Addresses in words go through `PublicAddresses`; those in digits do not.
        let literal = server.host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        if !self.allow_private && literal.is_ok_and(|ip| !is_public(ip)) {
            return Err(UpstreamError::Private);
        }
        let (scheme, default_port) = if server.https { ("https", 443) } else { ("http", 80) };
        let port = if server.port == default_port { String::new() } else { format!(":{}", server.port) };
        let uri: Uri = format!("{scheme}://{}{port}{}", server.host, server.target).parse()?;
        let request = Request::post(uri)
            .header(header::USER_AGENT, AGENT)
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .body(Full::new(body))
            .map_err(|error| UpstreamError::Http(error.to_string()))?;
        tokio::time::timeout(TIMEOUT, self.send(request)).await.unwrap_or(Err(UpstreamError::Timeout))
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<UpstreamAnswer, UpstreamError> {
        let answer = self.client.request(request).await.map_err(|error| UpstreamError::Http(chain(&error)))?;
        let (mut parts, body) = answer.into_parts();
        let body = Limited::new(body, MAX_BODY).collect().await.map_err(|error| {
            let text =
                if error.is::<LengthLimitError>() { "answer too large".to_owned() } else { chain(error.as_ref()) };
            UpstreamError::Http(text)
        })?;
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

/// Resolves names, keeping the addresses that may be called: the check is on what is connected to, so that a name that
/// changes its address between check and use gains nothing.
#[derive(Clone, Debug)]
struct PublicAddresses {
    allow_private: bool,
}

impl Service<Name> for PublicAddresses {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|address| allow_private || is_public(address.ip())).collect();
            if allowed.is_empty() {
                return Err(io::Error::other(UpstreamError::Private));
            }
            Ok(allowed.into_iter())
        })
    }
}

/// Whether an address belongs to the public internet (IANA special-purpose registries).
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_broadcast()
        || ip.is_documentation()
        || ip.is_multicast()
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19))
        || a >= 240;
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    // Addresses that stand for an IPv4 one: mapped, translated (64:ff9b::/96), 6to4 (2002::/16).
    if let Some(v4) = ip.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    let words = ip.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match words {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => return is_public_v4(v4(high, low)),
        _ => {}
    }
    // Only 2000::/3 is handed out; inside it 2001::/23 and 2001:db8::/32 are not hosts.
    words[0] & 0xe000 == 0x2000 && !(words[0] == 0x2001 && (words[1] < 0x200 || words[1] == 0xdb8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_told_from_public_ones() {
        for ip in [
            "127.0.0.1",
            "10.1.2.3",
            "192.168.0.1",
            "172.16.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001:db8::1",
        ] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8"] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[tokio::test]
    async fn private_hosts_are_refused_by_number_and_by_name() {
        let upstream = Upstream::new(false).unwrap();
        for (host, by_number) in [("127.0.0.1", true), ("[::1]", true), ("localhost", false), ("2130706433", false)] {
            let target = "/loki/v3/lsrpc".to_owned();
            let server = ServerTarget { host: host.to_owned(), target, port: 9, https: false };
            match upstream.post(&server, Bytes::new()).await {
                Err(UpstreamError::Private) => assert!(by_number, "{host}"),
                Err(UpstreamError::Http(text)) => {
                    assert!(!by_number, "{host}");
                    assert!(text.contains("private") || host == "2130706433", "{text}");
                }
                other => panic!("{host}: {:?}", other.map(|answer| answer.status)),
            }
        }
    }
}
