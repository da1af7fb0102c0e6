//! Whether nodes can be reached: others by us (`spec/swarms` §5.1), and we by others.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use super::{link::Peers, liveness::Reachable};
use crate::{
    rpc::base32z,
    swarm::NodeInfo,
    transport::{AGENT, cipher_suites, quic::QuicClient},
};

/// How long each test may take.
const LIMIT: Duration = Duration::from_secs(5);
/// From this hardfork and revision on, nodes have QUIC.
const QUIC: [u16; 2] = [19, 4];
/// From this version on nodes speak QUIC to each other, and OMQ is not tested.
const WITHOUT_OMQ: [u16; 3] = [2, 12, 0];

/// Tests a node over all its transports at once, in a network at `hardfork` and revision.
pub(crate) async fn test(hardfork: [u16; 2], links: Arc<Peers>, node: Arc<NodeInfo>) -> Reachable {
    let https = async { timeout(LIMIT, https(&node)).await.ok().flatten().is_some() };
    let omq = async {
        if node.version >= WITHOUT_OMQ {
            return None;
        }
        Some(links.ping_omq(&node, LIMIT).await)
    };
    let quic = async {
        if hardfork < QUIC {
            return None;
        }
        Some(timeout(LIMIT, quic(&links, &node)).await.ok().flatten().is_some())
    };
    let (https, omq, quic) = futures_util::join!(https, omq, quic);
    let https = https && !links.is_cut_off(&node.ed25519);
    Reachable { https, omq, quic }
}

/// Its answer must name its legacy key.
async fn https(node: &NodeInfo) -> Option<()> {
    let stream = TcpStream::connect((node.ip, node.https_port)).await.ok()?;
    let tls = TlsConnector::from(Arc::new(any_certificate().ok()?));
    let stream = tls.connect(ServerName::IpAddress(std::net::IpAddr::V4(node.ip).into()), stream).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    let named = if node.version >= WITHOUT_OMQ { &node.legacy.0 } else { &node.ed25519.0 };
    let request = Request::post("/ping_test/v1")
        .header(header::HOST, format!("{}.snode", base32z(named)))
        .header(header::USER_AGENT, AGENT)
        .header(header::CONTENT_LENGTH, 0)
        .body(Empty::<Bytes>::new())
        .ok()?;
    let answer = sender.send_request(request).await.ok()?;
    let key = answer.headers().get("x-oxen-snode-pubkey")?.as_bytes();
    (answer.status() == StatusCode::OK && names(key, &node.legacy.0)).then_some(())
}

/// Whether `text` is the key: as base64, hex, z-base-32 or raw.
fn names(text: &[u8], key: &[u8; 32]) -> bool {
    let base64 =
        || base64_simd::STANDARD.decode_to_vec(text).or_else(|_| base64_simd::STANDARD_NO_PAD.decode_to_vec(text));
    text == key
        || text.eq_ignore_ascii_case(hex::encode(key).as_bytes())
        || text == base32z(key).as_bytes()
        || base64().is_ok_and(|decoded| decoded == key)
}

async fn quic(links: &Peers, node: &NodeInfo) -> Option<()> {
    if links.is_cut_off(&node.ed25519) {
        return None;
    }
    let endpoint = links.quic().endpoint()?;
    let own = &links.quic().identity().ed25519;
    let address = std::net::SocketAddr::new(node.ip.into(), node.omq_port);
    let began = Instant::now();
    let (client, _) = QuicClient::connect(&endpoint, address, node.ed25519, own, LIMIT).await.ok()?;
    let answer = client.request("snode_ping", b"", LIMIT.saturating_sub(began.elapsed())).await;
    client.close();
    (answer.ok()? == b"pong").then_some(())
}

/// TLS as one who asks a node over HTTPS: certificates of nodes say nothing, the key in the answer does.
///
/// # Errors
/// When the library has no version of TLS in common with its own ciphers.
pub fn any_certificate() -> Result<ClientConfig, rustls::Error> {
    let provider = cipher_suites::provider();
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)));
    Ok(config.with_no_client_auth())
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_in_four_ways() {
        let key = [7; 32];
        let texts = [base64_simd::STANDARD.encode_to_string(key), hex::encode(key).to_uppercase(), base32z(&key)];
        assert!(texts.iter().all(|text| names(text.as_bytes(), &key)) && names(&key, &key));
        assert!(!names(&[8; 32], &key) && !names(b"", &key) && !names(hex::encode([8; 32]).as_bytes(), &key));
    }
}
