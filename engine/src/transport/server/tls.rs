//! TLS of the HTTPS server: the certificate that nobody checks, and tickets for those who come again.

use std::{io, path::Path, sync::Arc};

use rustls::{ServerConfig, sign::SingleCertAndKey};

use super::{certificate, session_tickets::SessionTickets};
use crate::transport::cipher_suites;

/// With what is in `directory`, which is made if it is not there.
///
/// # Errors
/// When the certificate cannot be used.
pub(super) fn config(directory: &Path) -> io::Result<ServerConfig> {
    let provider = cipher_suites::provider();
    let certified = certificate::load_or_make(directory, &provider)?;
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    // Without a list for ALPN, as the reference's: one of ours would refuse clients that offer nothing of it, such as only
    // `http/1.0`. To those that hear of no choice HTTP/1.1 is spoken.
    let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.ticketer = Arc::new(SessionTickets::of(directory));
    config.send_tls13_tickets = 1;
    config.ignore_client_order = true;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use rustls::HandshakeKind;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;
    use crate::transport::any_certificate;

    /// How a client shakes hands with a server that has just started.
    async fn handshake(client: &TlsConnector, directory: &Path) -> HandshakeKind {
        let (here, there) = tokio::io::duplex(16 << 10);
        let server = TlsAcceptor::from(Arc::new(config(directory).unwrap()));
        let served = tokio::spawn(async move {
            let mut stream = server.accept(there).await.unwrap();
            let asked = stream.read_u8().await.unwrap();
            stream.write_all(&[asked]).await.unwrap();
            stream.shutdown().await.unwrap();
        });
        let mut stream = client.connect("127.0.0.1".try_into().unwrap(), here).await.unwrap();
        // The ticket is read with the answer.
        stream.write_all(&[1]).await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        served.await.unwrap();
        stream.get_ref().1.handshake_kind().unwrap()
    }

    #[tokio::test]
    async fn a_session_goes_on_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let client = TlsConnector::from(Arc::new(any_certificate().unwrap()));
        assert_eq!(handshake(&client, directory.path()).await, HandshakeKind::Full);
        assert_eq!(handshake(&client, directory.path()).await, HandshakeKind::Resumed);
        let elsewhere = tempfile::tempdir().unwrap();
        assert_eq!(handshake(&client, elsewhere.path()).await, HandshakeKind::Full);
    }
}
