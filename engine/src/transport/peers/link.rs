//! The way to other nodes: QUIC where there is a connection, OMQ otherwise.

use std::{collections::HashSet, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::RwLock;

use super::{
    liveness::Liveness,
    omq::OmqPeers,
    quic::{PeerConnection, QuicPeers},
    traffic::{Direction, Outcome, Traffic},
};
use crate::{
    replicate::{PeerAnswer, PeerError, PeerLink, RECONCILE},
    swarm::NodeInfo,
    types::Ed25519PublicKey,
};

/// A QUIC connection that has been silent for this long while somebody waits is asked about over OMQ: TCP tells at once
/// that a process is gone, which UDP does not.
const DOUBT: Duration = Duration::from_millis(500);
const PING: Duration = Duration::from_secs(3);
/// A node that was gone may be back so soon.
const AGAIN: Duration = Duration::from_secs(1);

/// Both ways to other nodes.
pub struct Peers {
    omq: Arc<OmqPeers>,
    quic: Arc<QuicPeers>,
    /// A lever of test networks: nodes that are not reached, as if the network between were cut.
    cut_off: RwLock<HashSet<Ed25519PublicKey>>,
    liveness: Arc<Liveness>,
    traffic: Arc<Traffic>,
}

impl Peers {
    /// Over these; requests without an answer are counted in `liveness`, all of them in `traffic`.
    #[must_use]
    pub fn new(omq: Arc<OmqPeers>, quic: Arc<QuicPeers>, liveness: Arc<Liveness>, traffic: Arc<Traffic>) -> Self {
        Self { omq, quic, cut_off: RwLock::default(), liveness, traffic }
    }

    fn count(&self, command: &str, answer: &Result<Vec<Bytes>, PeerError>) {
        self.traffic.add(Direction::Out, command, Outcome::of_answer(command, answer));
    }

    /// From now on exactly these are not reached.
    pub fn cut_off(&self, nodes: HashSet<Ed25519PublicKey>) {
        *self.cut_off.write() = nodes;
    }

    /// Whether a lever says that this node is not reached.
    pub(super) fn is_cut_off(&self, node: &Ed25519PublicKey) -> bool {
        self.cut_off.read().contains(node)
    }

    /// Its connections over QUIC.
    pub(super) const fn quic(&self) -> &Arc<QuicPeers> {
        &self.quic
    }

    /// Whether a node answers on its OMQ port.
    pub(super) async fn ping_omq(&self, node: &Arc<NodeInfo>, limit: Duration) -> bool {
        self.request_omq(node, "sn.ping", Vec::new(), limit).await.is_ok()
    }

    /// Asks over OMQ, which has commands that QUIC has not.
    pub(crate) async fn request_omq(
        &self,
        node: &Arc<NodeInfo>,
        command: &'static str,
        parts: Vec<Bytes>,
        limit: Duration,
    ) -> Result<Vec<Bytes>, PeerError> {
        if self.is_cut_off(&node.ed25519) {
            return Err(PeerError::Timeout);
        }
        let answer = PeerLink::request(self.omq.as_ref(), node, command, parts, limit).await;
        self.count(command, &answer);
        answer
    }

    async fn over_quic(
        &self,
        connection: Arc<PeerConnection>,
        peer: Arc<NodeInfo>,
        command: &'static str,
        parts: Vec<Bytes>,
        limit: Duration,
    ) -> Result<Vec<Bytes>, PeerError> {
        let answer = connection.request(command, &parts, limit);
        tokio::pin!(answer);
        loop {
            tokio::select! {
                answer = &mut answer => return answer,
                () = tokio::time::sleep(DOUBT) => {}
            }
            if connection.silence() < DOUBT {
                continue;
            }
            // TCP knows that a process is gone; only the connection itself, that it has outlived one.
            let process = PeerLink::request(self.omq.as_ref(), &peer, "sn.ping", Vec::new(), PING);
            let alive = async { process.await.is_ok() && connection.ping(PING).await };
            let alive = tokio::select! {
                answer = &mut answer => return answer,
                alive = alive => alive,
            };
            if !alive {
                self.quic.lost(&peer, &connection, AGAIN);
                return Err(PeerError::Timeout);
            }
        }
    }
}

impl PeerLink for Peers {
    fn request<'a>(
        &'a self,
        peer: &Arc<NodeInfo>,
        command: &'static str,
        parts: Vec<Bytes>,
        timeout: Duration,
    ) -> PeerAnswer<'a> {
        let peer = Arc::clone(peer);
        Box::pin(async move {
            let connection = self.quic.get(&peer).filter(|_| peer.is_reachable());
            let answer = if self.is_cut_off(&peer.ed25519) {
                tokio::time::sleep(timeout).await;
                Err(PeerError::Timeout)
            } else if let Some(connection) = connection {
                self.over_quic(connection, Arc::clone(&peer), command, parts, timeout).await
            } else if command == RECONCILE {
                // The reference has no such command.
                return Err(PeerError::Timeout);
            } else {
                PeerLink::request(self.omq.as_ref(), &peer, command, parts, timeout).await
            };
            self.count(command, &answer);
            if matches!(answer, Err(PeerError::Timeout | PeerError::Congested)) {
                self.liveness.failed(peer.ed25519);
            }
            answer
        })
    }

    fn acquaint<'a>(&'a self, peer: &'a Arc<NodeInfo>) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(self.quic.contacted(peer))
    }

    fn is_allium(&self, peer: &NodeInfo) -> bool {
        self.quic.is_allium(peer)
    }
}
