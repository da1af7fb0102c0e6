//! What happens to an onion request, from the layer that came to the answer that goes back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hyper::{HeaderMap, StatusCode};
use serde_json::json;

use super::{
    metrics::{Inside, OnionMetrics},
    peeler::Peeler,
    upstream::{Upstream, UpstreamError},
};
use crate::{
    batch::{BatchSizes, Full, Source},
    crypto::{Identity, LayerKey},
    onion::{self, Layer, OnionError, Opened, PeelError, Peeled, Piece, ServerTarget},
    replicate::{PeerError, PeerLink},
    rpc::{BUSY, Counted, Rpc, Status, Via},
    swarm::Network,
    transport::{
        readiness::Readiness,
        slots::{Slot, Slots},
    },
    types::Ed25519PublicKey,
};

/// How long the next node may take.
const HOP_TIMEOUT: Duration = Duration::from_secs(30);
/// Requests that may be waiting for another node or a server at once.
const MAX_WAITING: usize = 16_384;

/// What goes back to whoever sent the layer.
#[derive(Debug)]
pub struct OnionAnswer {
    /// Outer status: a success inside an encrypted answer, too.
    pub status: StatusCode,
    /// Encrypted to the sender, or a plain error.
    pub body: Bytes,
    /// Of a server's answer.
    pub headers: Option<HeaderMap>,
}

impl OnionAnswer {
    fn plain(status: Status, text: impl Into<Bytes>) -> Self {
        let status = StatusCode::from_u16(status.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, body: text.into(), headers: None }
    }
}

/// Peels and passes on.
pub struct OnionRelay {
    identity: Arc<Identity>,
    network: Arc<Network>,
    rpc: Arc<Rpc>,
    peers: Arc<dyn PeerLink>,
    upstream: Upstream,
    readiness: Arc<Readiness>,
    peeler: Peeler,
    waiting: Slots,
    metrics: OnionMetrics,
}

impl OnionRelay {
    /// With the node's parts.
    #[must_use]
    pub fn new(
        identity: Arc<Identity>,
        network: Arc<Network>,
        rpc: Arc<Rpc>,
        peers: Arc<dyn PeerLink>,
        upstream: Upstream,
        readiness: Arc<Readiness>,
        peeler: Peeler,
    ) -> Self {
        let waiting = Slots::new(MAX_WAITING);
        Self { identity, network, rpc, peers, upstream, readiness, peeler, waiting, metrics: OnionMetrics::default() }
    }

    /// Requests that wait for another node or a server.
    #[must_use]
    pub const fn waiting(&self) -> &Slots {
        &self.waiting
    }

    /// What became of onion requests.
    #[must_use]
    pub const fn metrics(&self) -> &OnionMetrics {
        &self.metrics
    }

    /// Opens layers.
    #[must_use]
    pub const fn peeler(&self) -> &Peeler {
        &self.peeler
    }

    /// How many layers were opened together.
    #[must_use]
    pub fn batch_sizes(&self) -> BatchSizes {
        self.peeler.batch_sizes()
    }

    /// A payload from a client. `slot` is given back as soon as the request waits for somebody else.
    pub async fn entry(&self, payload: impl Into<Piece>, from: Source, slot: Slot) -> OnionAnswer {
        self.process(onion::parse_entry(payload), from, slot).await
    }

    /// A layer from another node: the dict of `sn.onion_request`.
    pub async fn hop(&self, dict: impl Into<Piece>, from: Source, slot: Slot) -> OnionAnswer {
        self.process(onion::decode_hop(dict), from, slot).await
    }

    async fn process(&self, layer: Result<Layer, OnionError>, from: Source, slot: Slot) -> OnionAnswer {
        let came = Instant::now();
        let mut inside = Inside::Nothing;
        let answer = self.open(layer, from, slot, &mut inside).await;
        self.metrics.done(inside, answer.status, came.elapsed());
        answer
    }

    async fn open(
        &self,
        layer: Result<Layer, OnionError>,
        from: Source,
        slot: Slot,
        inside: &mut Inside,
    ) -> OnionAnswer {
        let layer = match layer {
            Ok(layer) => layer,
            Err(error) => return OnionAnswer::plain(Status::BAD_REQUEST, error.to_string()),
        };
        self.rpc.counts().add(Counted::Onion);
        let Opened { key, peeled } = match self.peeler.peel(from, layer).await {
            Ok(opened) => opened,
            Err(Full) => return OnionAnswer::plain(Status::SERVICE_UNAVAILABLE, BUSY),
        };
        // Without a key there is nothing inside.
        let Some(key) = key else {
            return OnionAnswer::plain(Status::BAD_REQUEST, PeelError::Ciphertext.to_string());
        };
        *inside = match &peeled {
            Ok(Peeled::Final { .. }) => Inside::Request,
            Ok(Peeled::Relay { .. }) => Inside::Layer,
            Ok(Peeled::Server { .. }) => Inside::Server,
            Err(_) => Inside::Nothing,
        };
        let ready = self.readiness.reason().is_none();
        match peeled {
            Ok(Peeled::Final { base64, .. }) if !ready => {
                let plaintext = json!({"status": Status::SERVICE_UNAVAILABLE.code(), "body": "Snode not ready"});
                sealed(&key, plaintext.to_string().as_bytes(), base64)
            }
            Ok(Peeled::Relay { .. } | Peeled::Server { .. }) if !ready => {
                let text = format!("Snode not ready: {}", self.identity.ed25519.public());
                OnionAnswer::plain(Status::SERVICE_UNAVAILABLE, text)
            }
            Ok(Peeled::Final { body, json, base64 }) => {
                let reply = self.rpc.call_json(&body, Via::Onion, slot).await;
                let length = reply.size_in_onion();
                answered(onion::wrap_written(&key, base64, length, |out| reply.write_in_onion(json, out)))
            }
            Ok(Peeled::Relay { destination, next }) => self.relay(&destination, next, slot).await,
            Ok(Peeled::Server { server, payload }) => self.post(&key, &server, payload.into(), slot).await,
            Err(error @ PeelError::Ciphertext) => OnionAnswer::plain(Status::BAD_REQUEST, error.to_string()),
            Err(error @ (PeelError::Json | PeelError::Url)) => refusal(&key, error),
        }
    }

    async fn relay(&self, destination: &Ed25519PublicKey, next: Layer, slot: Slot) -> OnionAnswer {
        let Some(node) = self.network.load().by_ed25519(destination).map(Arc::clone) else {
            return OnionAnswer::plain(Status::BAD_GATEWAY, format!("Next node not found: {destination}"));
        };
        if !node.is_reachable() {
            let text = format!("Next node is currently unreachable: {destination}");
            return OnionAnswer::plain(Status::BAD_GATEWAY, text);
        }
        drop(slot);
        let Some(_waiting) = self.waiting.take() else { return congested() };
        let dict = onion::encode_hop(next);
        match self.peers.request(&node, "sn.onion_request", vec![dict], HOP_TIMEOUT).await {
            Ok(parts) => match parts.as_slice() {
                [status, body, ..] => {
                    let code = std::str::from_utf8(status).ok().and_then(|code| code.parse().ok()).unwrap_or(0);
                    OnionAnswer::plain(Status::from_code(code), body.clone())
                }
                _ => OnionAnswer::plain(Status::INTERNAL_SERVER_ERROR, "Invalid response from snode"),
            },
            Err(PeerError::Congested) => congested(),
            Err(PeerError::Timeout | PeerError::Refused(_)) => {
                OnionAnswer::plain(Status::GATEWAY_TIMEOUT, "Request time out")
            }
        }
    }

    async fn post(&self, key: &LayerKey, server: &ServerTarget, payload: Bytes, slot: Slot) -> OnionAnswer {
        drop(slot);
        let Some(_waiting) = self.waiting.take() else { return congested() };
        self.rpc.counts().add(Counted::Proxy);
        match self.upstream.post(server, payload).await {
            Ok(answer) => OnionAnswer { status: answer.status, body: answer.body, headers: Some(answer.headers) },
            Err(UpstreamError::Private | UpstreamError::Host | UpstreamError::Uri(_)) => refusal(key, PeelError::Url),
            Err(error @ UpstreamError::Timeout) => OnionAnswer::plain(Status::GATEWAY_TIMEOUT, error.to_string()),
            Err(error @ (UpstreamError::Connect | UpstreamError::Answer | UpstreamError::TooLarge)) => {
                OnionAnswer::plain(Status::BAD_GATEWAY, error.to_string())
            }
        }
    }
}

/// What is wrong with the layer's inside, told to whoever can open it.
fn refusal(key: &LayerKey, error: PeelError) -> OnionAnswer {
    let plaintext = json!({"status": Status::BAD_REQUEST.code(), "body": error.to_string()}).to_string();
    sealed(key, plaintext.as_bytes(), true)
}

fn sealed(key: &LayerKey, plaintext: &[u8], base64: bool) -> OnionAnswer {
    answered(onion::wrap_reply(key, plaintext, base64))
}

fn answered(sealed: Option<Vec<u8>>) -> OnionAnswer {
    match sealed {
        Some(body) => OnionAnswer::plain(Status::OK, body),
        // The system has no randomness.
        None => OnionAnswer::plain(Status::INTERNAL_SERVER_ERROR, "Internal Server Error"),
    }
}

fn congested() -> OnionAnswer {
    OnionAnswer::plain(Status::SERVICE_UNAVAILABLE, "Next hop congested")
}
