//! The way to other nodes: QUIC where there is a connection, OMQ otherwise.

use std::{collections::HashSet, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::RwLock;
use tokio::time::{Instant, sleep_until};

use super::{
    liveness::Liveness,
    omq::OmqPeers,
    quic::{PeerConnection, QuicPeers},
    together::forward,
    traffic::{Direction, Outcome, Traffic},
};
use crate::{
    replicate::{Forwarding, MemberAnswer, PeerAnswer, PeerError, PeerLink, RECONCILE, read},
    swarm::NodeInfo,
    types::Ed25519PublicKey,
};

/// A QUIC connection that has been silent for this long while somebody waits is asked about over OMQ: TCP tells at once
/// that a process is gone, which UDP does not.
const DOUBT: Duration = Duration::from_millis(500);
const PING: Duration = Duration::from_secs(3);
/// A node that was gone may be back so soon.
const AGAIN: Duration = Duration::from_secs(1);

/// A client's command, passed on, as OMQ names it.
const FORWARDED: &str = "sn.storage_cc";

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

    /// Whether `peer` has given an answer is told to whoever asks who is reached.
    fn note<T>(&self, peer: &NodeInfo, answer: &Result<T, PeerError>) {
        if matches!(answer, Err(PeerError::Timeout | PeerError::Congested)) {
            self.liveness.failed(peer.ed25519);
        }
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

    /// What `answer` brings over `connection`, as long as that is not in doubt, and within the limit.
    async fn watched<T>(
        &self,
        connection: &PeerConnection,
        peer: &Arc<NodeInfo>,
        limit: Duration,
        answer: impl Future<Output = Result<T, PeerError>>,
    ) -> Result<T, PeerError> {
        tokio::pin!(answer);
        let end = Instant::now() + limit;
        loop {
            tokio::select! {
                answer = &mut answer => return answer,
                () = sleep_until(end.min(Instant::now() + DOUBT)) => {}
            }
            if Instant::now() >= end {
                return Err(PeerError::Timeout);
            }
            if connection.silence() < DOUBT {
                continue;
            }
            // TCP knows that a process is gone; only the connection itself, that it has outlived one.
            let process = PeerLink::request(self.omq.as_ref(), peer, "sn.ping", Vec::new(), PING);
            let alive = async { process.await.is_ok() && connection.ping(PING).await };
            let alive = tokio::select! {
                answer = &mut answer => return answer,
                alive = alive => alive,
                () = sleep_until(end) => return Err(PeerError::Timeout),
            };
            if !alive {
                self.quic.lost(peer, connection, AGAIN);
                return Err(PeerError::Timeout);
            }
        }
    }

    /// What `answer` brings over `connection`; nothing when that ended and the other end had not taken a single packet
    /// since: it was one of a process that is no more. Such a request can be made anew, over OMQ.
    async fn over<T>(
        &self,
        connection: &PeerConnection,
        peer: &Arc<NodeInfo>,
        limit: Duration,
        answer: impl Future<Output = Result<T, PeerError>>,
    ) -> Option<Result<T, PeerError>> {
        let before = connection.acknowledgements();
        let answer = self.watched(connection, peer, limit, answer).await;
        let ended = matches!(answer, Err(PeerError::Timeout)) && !connection.is_open();
        (!ended || connection.acknowledgements() != before).then_some(answer)
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
            let end = Instant::now() + timeout;
            let connection = self.quic.get(&peer).filter(|_| peer.is_reachable());
            let answer = if self.is_cut_off(&peer.ed25519) {
                tokio::time::sleep(timeout).await;
                Some(Err(PeerError::Timeout))
            } else if let Some(connection) = connection {
                self.over(&connection, &peer, timeout, connection.request(command, &parts, timeout)).await
            } else {
                None
            };
            let answer = match answer {
                Some(answer) => answer,
                // The reference has no such command.
                None if command == RECONCILE => return Err(PeerError::Timeout),
                None => {
                    let left = end.saturating_duration_since(Instant::now());
                    PeerLink::request(self.omq.as_ref(), &peer, command, parts, left).await
                }
            };
            self.count(command, &answer);
            self.note(&peer, &answer);
            answer
        })
    }

    fn forward<'a>(
        &'a self,
        peer: &Arc<NodeInfo>,
        method: &'static str,
        params: Bytes,
        timeout: Duration,
    ) -> Forwarding<'a> {
        let peer = Arc::clone(peer);
        Box::pin(async move {
            let end = Instant::now() + timeout;
            let connection = self.quic.get(&peer).filter(|connection| peer.is_reachable() && connection.takes_stores);
            let told = if let Some(connection) = connection.filter(|_| !self.is_cut_off(&peer.ed25519)) {
                let told = forward(&connection.line, method, params.clone(), timeout);
                self.over(&connection, &peer, timeout, told).await
            } else {
                None
            };
            let Some(told) = told else {
                let parts = vec![Bytes::from_static(method.as_bytes()), params];
                let left = end.saturating_duration_since(Instant::now());
                return read(self.request(&peer, FORWARDED, parts, left).await);
            };
            self.traffic.add(Direction::Out, FORWARDED, Outcome::of_member(&told));
            self.note(&peer, &told);
            told.unwrap_or(MemberAnswer::TimedOut)
        })
    }

    fn acquaint<'a>(&'a self, peer: &'a Arc<NodeInfo>) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(self.quic.contacted(peer))
    }

    fn is_allium(&self, peer: &NodeInfo) -> bool {
        self.quic.is_allium(peer)
    }
}
