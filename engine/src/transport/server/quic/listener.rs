//! The listening endpoint, as the node has it.

use std::{io, net::UdpSocket, sync::Arc, time::Duration};

use quinn::{Endpoint, VarInt};

use super::{super::context::ServerContext, serve::Server};
use crate::transport::{
    peers::QuicPeers,
    quic::config::{ACCEPTED, endpoint},
};

/// How long requests under way may take once the node shuts down.
const DRAIN: Duration = Duration::from_secs(35);

/// How long those who have just connected may take to ask, once the node leaves.
const GRACE: Duration = Duration::from_secs(1);
/// How long the last answers are on their way.
const ON_THE_WAY: Duration = Duration::from_millis(100);
/// How long the ends of connections may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// A listening QUIC endpoint.
pub struct Quic {
    endpoint: Endpoint,
    server: Arc<Server>,
    peers: Arc<QuicPeers>,
}

impl Quic {
    /// Serves `socket`. Must run inside the runtime that is to serve.
    ///
    /// # Errors
    /// When the socket cannot be used.
    pub fn start(socket: UdpSocket, context: Arc<ServerContext>) -> io::Result<Self> {
        let peers = Arc::clone(&context.quic_peers);
        let endpoint = endpoint(socket, ACCEPTED, &context.identity.ed25519)?;
        let server = Arc::new(Server::new(context));
        peers.listen(endpoint.clone(), Arc::<Server>::clone(&server));
        tokio::spawn(Arc::clone(&server).accept(endpoint.clone()));
        Ok(Self { endpoint, server, peers })
    }

    /// Open connections, those that this node opened included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.endpoint.open_connections()
    }

    /// Requests under way, of clients and of nodes: its name, how many there are, and may be.
    #[must_use]
    pub fn under_way(&self) -> [(&'static str, usize, usize); 2] {
        self.server.under_way()
    }

    /// As [`Self::close`], but whoever connects from now on hears nothing and so tries again: a successor has the same socket.
    pub async fn leave(self) {
        self.server.leave();
        tokio::time::sleep(GRACE).await;
        self.drain().await;
        tokio::time::sleep(ON_THE_WAY).await;
        self.peers.close();
        // Closed as a whole, the endpoint would refuse newcomers.
        self.server.part();
        let _ = tokio::time::timeout(FAREWELL, self.endpoint.wait_idle()).await;
    }

    /// Accepts nothing more, waits for the requests under way, closes every connection.
    pub async fn close(self) {
        self.endpoint.set_server_config(None);
        self.drain().await;
        self.peers.close();
        self.endpoint.close(VarInt::from_u32(0), b"");
        let _ = tokio::time::timeout(FAREWELL, self.endpoint.wait_idle()).await;
    }

    async fn drain(&self) {
        if tokio::time::timeout(DRAIN, self.server.idle()).await.is_err() {
            tracing::warn!("QUIC connections were cut off: their requests took too long");
        }
    }
}
