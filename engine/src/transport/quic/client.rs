//! A client's connection: for debugging and for tests of reachability.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use quinn::{Connection, Endpoint, RecvStream, SendStream, VarInt};
use tokio::{sync::mpsc, time::timeout};

use super::{
    config::{ALPN, client_config},
    error::QuicError,
    frame,
    stream::RequestStream,
};
use crate::{crypto::Ed25519Secret, types::Ed25519PublicKey};

/// Notifications that wait to be taken.
const PUSHES: usize = 1024;

/// Connects with one of the `offered` protocols, the first if it may be, to the node with the Ed25519 key `node`.
pub(crate) async fn connect(
    endpoint: &Endpoint,
    address: SocketAddr,
    node: Ed25519PublicKey,
    own: &Ed25519Secret,
    offered: &[&[u8]],
    limit: Duration,
) -> Result<Connection, QuicError> {
    let failed = |error: &dyn std::fmt::Display| QuicError::Connection(error.to_string());
    let config = client_config(own, node.0, offered).map_err(|error| failed(&error))?;
    let connecting = endpoint.connect_with(config, address, "localhost").map_err(|error| failed(&error))?;
    timeout(limit, connecting).await.map_err(|_| QuicError::Timeout)?.map_err(|error| failed(&error))
}

/// A connection to one node, with one request stream. Requests may overlap.
pub struct QuicClient {
    connection: Connection,
    stream: RequestStream,
}

impl QuicClient {
    /// Connects to the node with the Ed25519 key `node`; its notifications come out of the receiver.
    ///
    /// # Errors
    /// [`QuicError`].
    pub async fn connect(
        endpoint: &Endpoint,
        address: SocketAddr,
        node: Ed25519PublicKey,
        own: &Ed25519Secret,
        limit: Duration,
    ) -> Result<(Self, mpsc::Receiver<Vec<u8>>), QuicError> {
        let connection = connect(endpoint, address, node, own, &[ALPN], limit).await?;
        let (pushed, pushes) = mpsc::channel(PUSHES);
        let stream = RequestStream::open(&connection, Some(pushed)).await?;
        Ok((Self { connection, stream }, pushes))
    }

    /// Asks, and awaits the reply's body.
    ///
    /// # Errors
    /// [`QuicError`].
    pub async fn request(&self, endpoint: &str, body: &[u8], limit: Duration) -> Result<Vec<u8>, QuicError> {
        let body = Bytes::copy_from_slice(body);
        self.stream.request(endpoint, body, limit).await.map(Vec::from)
    }

    /// Writes bytes as they are: for tests of the other end's framing.
    ///
    /// # Errors
    /// [`QuicError`].
    pub async fn write_raw(&self, bytes: &[u8]) -> Result<(), QuicError> {
        self.stream.write_raw(bytes).await
    }

    /// Asks so often on a stream of its own, from which nothing is ever read: for tests of what the other end holds then. The
    /// stream lasts as long as what is returned.
    ///
    /// # Errors
    /// [`QuicError`].
    pub async fn ask_unread(
        &self,
        endpoint: &str,
        body: &Bytes,
        times: i64,
    ) -> Result<(SendStream, RecvStream), QuicError> {
        let failed = |error: &dyn std::fmt::Display| QuicError::Connection(error.to_string());
        let (mut send, receive) = self.connection.open_bi().await.map_err(|error| failed(&error))?;
        for rid in 0..times {
            let mut command = frame::command(rid, endpoint, body.clone());
            send.write_all_chunks(&mut command).await.map_err(|error| failed(&error))?;
        }
        Ok((send, receive))
    }

    /// Ends the connection.
    pub fn close(&self) {
        self.connection.close(VarInt::from_u32(0), b"");
    }
}

impl Drop for QuicClient {
    fn drop(&mut self) {
        self.close();
    }
}
