//! One path for every request: decode, enter in turn, carry out, count (`spec/node-rpc`).

mod execution;
mod receive;

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value as Json};
use tokio::sync::Semaphore;

use super::{
    core::{CallContext, MAX_ASKING, MAX_WRITING, Origin, Rpc, RpcParts},
    counts::RequestCounts,
    custom_methods::CustomMethods,
    method::Request,
    methods::METHODS,
    metrics::{RequestMetrics, Via},
    monitor::{self, Refusal, Subscriber, Subscription},
    monitors::Monitors,
    params::{Invalid, Params},
    pipeline::Ticket,
    receiving::Receiving,
    reply::Reply,
    signer::Signer,
    status::Status,
    value::Encoding,
};
use crate::{
    batch::BatchSizes,
    bencode::Bt,
    json::{self, JsonError, JsonObject, JsonValue},
    metrics::Distribution,
    store::{AT, LATEST},
    swarm::Snapshot,
    types::{AccountId, Millis},
};

impl Rpc {
    /// With the node's parts.
    #[must_use]
    pub fn new(parts: RpcParts) -> Self {
        let (own, subscriptions) = (parts.identity.ed25519.public(), parts.subscriptions);
        let signer = Signer::new(Arc::clone(&parts.identity), parts.verifier.threads());
        Self {
            parts,
            own,
            signer,
            monitors: Monitors::new(subscriptions),
            counts: RequestCounts::default(),
            metrics: RequestMetrics::new(METHODS),
            receiving: Receiving::default(),
            writing: Arc::new(Semaphore::new(MAX_WRITING)),
            asking: Semaphore::new(MAX_ASKING),
        }
    }

    /// `{"method", "params"}`: HTTPS `storage_rpc` and the innermost onion layer. `held`, what is counted for the request, is
    /// dropped when it has been carried out, whether or not somebody waits for that.
    pub async fn call_json(self: &Arc<Self>, body: &[u8], via: Via, held: impl Send + 'static) -> Reply {
        let asked = CallContext::new(via);
        let decoded = self.decode_call(body).map_err(|(method, reply)| {
            self.metrics.named(via, &method, reply.status, asked.came.elapsed());
            reply
        });
        match decoded {
            Ok(Decoded::Request(request)) => self.finish(request, Origin::Client, asked, held).await,
            Ok(Decoded::Custom(own, method, params)) => {
                let reply = own.ask(method.clone(), params).await;
                self.metrics.named(via, &method, reply.status, asked.came.elapsed());
                reply
            }
            Err(reply) => reply,
        }
    }

    /// What `body` asks for, or its method and what is wrong with it. What was decoded ends here.
    fn decode_call(&self, body: &[u8]) -> Result<Decoded<'_>, (String, Reply)> {
        let bad = |method: &str, text: Cow<'static, str>| (method.to_owned(), Reply::text(Status::BAD_REQUEST, text));
        let body: JsonValue<'_> = json::parse(body).map_err(|error| match error {
            JsonError::Syntax(_) => bad("", "invalid json".into()),
            JsonError::Depth | JsonError::Size => bad("", format!("invalid json: {error}").into()),
        })?;
        let field = |name| body.as_object().and_then(|body| body.get(name));
        let Some(method) = field("method").and_then(JsonValue::as_str) else {
            return Err(bad("", "invalid json: no `method` field".into()));
        };
        let Some(params) = field("params").and_then(JsonValue::as_object) else {
            return Err(bad(method, "invalid json: no `params` field".into()));
        };
        if let Some(own) = self.parts.own.as_ref().filter(|own| own.has(method)) {
            return Ok(Decoded::Custom(own, method.to_owned(), params.to_map()));
        }
        match Request::parse(method, &Params::Json(params)) {
            Ok(Some(request)) => Ok(Decoded::Request(request)),
            Ok(None) => Err(bad(method, format!("no method {method}").into())),
            Err(invalid) => Err((method.to_owned(), refused(&invalid))),
        }
    }

    /// `method` with JSON or bencoded `params`: OMQ and QUIC. `None` when there is no such method. With a `ticket`, after
    /// what came before it.
    pub async fn call(
        self: &Arc<Self>,
        method: &str,
        params: &[u8],
        via: Via,
        ticket: Option<Ticket>,
    ) -> Option<(Encoding, Reply)> {
        let mut asked = CallContext::new(via);
        if !METHODS.contains(&method) {
            return None;
        }
        let Some((encoding, request)) = decode(method, params) else {
            let reply = Reply::text(Status::BAD_REQUEST, "invalid body: expected json or bt_dict");
            self.metrics.named(via, method, reply.status, asked.came.elapsed());
            return Some((Encoding::Json, reply));
        };
        let reply = match request {
            Ok(Some(request)) => {
                enter(&mut asked, ticket, &request).await;
                self.finish(request, Origin::Client, asked, ()).await
            }
            Ok(None) => return None,
            Err(invalid) => self.refused(method, &invalid, &asked),
        };
        Some((encoding, reply))
    }

    /// `sn.storage_cc`: a client's command, passed on by another member. The answer is bencoded. With a `ticket`, after what
    /// came before it. The params are let go of once they are decoded.
    pub async fn call_forwarded(
        self: &Arc<Self>,
        method: &str,
        params: impl AsRef<[u8]> + Send,
        ticket: Option<Ticket>,
    ) -> Reply {
        let mut asked = CallContext::new(Via::Swarm);
        let request = self.forwarded(method, params.as_ref(), &asked);
        drop(params);
        match request {
            Ok((request, origin)) => {
                enter(&mut asked, ticket, &request).await;
                self.finish(request, origin, asked, ()).await
            }
            Err(refusal) => refusal,
        }
    }

    /// The request that another member passes on, and when the swarm took it; or the refusal, counted.
    pub(super) fn forwarded(
        &self,
        method: &str,
        params: &[u8],
        asked: &CallContext,
    ) -> Result<(Request, Origin), Reply> {
        let (params, origin) = self.forwarded_params(method, params, asked)?;
        match Request::parse(method, &Params::Bencode(&params)) {
            Ok(Some(request)) if request.method.is_forwarded() => Ok((request, origin)),
            Ok(_) => {
                let text = "invalid request: received invalid forwarded non-forwardable request";
                let reply = Reply::text(Status::BAD_REQUEST, text);
                self.metrics.named(Via::Swarm, method, reply.status, asked.came.elapsed());
                Err(reply)
            }
            Err(invalid) => Err(self.refused(method, &invalid, asked)),
        }
    }

    /// The params of a request that another member passes on, without what that adds to them: when the swarm took it.
    pub(super) fn forwarded_params(
        &self,
        method: &str,
        params: &[u8],
        asked: &CallContext,
    ) -> Result<(BTreeMap<Vec<u8>, Bt>, Origin), Reply> {
        let Ok(Bt::Dict(mut params)) = Bt::parse(params) else {
            let reply = Reply::text(Status::BAD_REQUEST, "invalid request: expected a bencoded dict");
            self.metrics.named(Via::Swarm, method, reply.status, asked.came.elapsed());
            return Err(reply);
        };
        let mut time = |key: &[u8]| match params.remove(key) {
            Some(Bt::Int(time)) => u64::try_from(time).ok().map(Millis),
            _ => None,
        };
        let (at, latest) = (time(AT).map(|at| self.believable(at)), time(LATEST));
        Ok((params, Origin::Peer { at, latest }))
    }

    pub(super) fn refused(&self, method: &str, invalid: &Invalid, asked: &CallContext) -> Reply {
        let reply = refused(invalid);
        self.metrics.named(asked.via, method, reply.status, asked.came.elapsed());
        reply
    }

    /// `monitor`: subscribes, and answers each subscription in the request. Bencode both ways.
    pub fn monitor(&self, body: &[u8], subscriber: &Arc<dyn Subscriber>) -> Vec<u8> {
        let (requests, in_list) = match monitor::requests(body) {
            Ok(requests) => requests,
            Err(refusal) => return refusal.to_bt().encode(),
        };
        let mut answers: Vec<Bt> = requests
            .iter()
            .map(|fields| match Subscription::parse(fields) {
                Ok(subscription) => self.subscribe(&subscription, subscriber),
                Err(refusal) => refusal.to_bt(),
            })
            .collect();
        if in_list { Bt::List(answers).encode() } else { answers.remove(0).encode() }
    }

    fn subscribe(&self, subscription: &Subscription, subscriber: &Arc<dyn Subscriber>) -> Bt {
        let Ok(view) = self.swarm_view(&subscription.account) else {
            // Where to go instead, as in a 421.
            let mut refusal = Refusal::wrong_swarm().fields();
            refusal.extend(self.elsewhere(&self.parts.network.load(), &subscription.account));
            return Bt::Dict(refusal);
        };
        let verified = subscription.verify(view.store, self.parts.clock.now()).unwrap_or_else(|error| {
            tracing::error!(%error, "revocations could not be read");
            Err(Refusal::unavailable())
        });
        match verified.and_then(|()| self.monitors.add(subscription, subscriber)) {
            Ok(()) => Bt::dict([("success", Bt::Int(1))]),
            Err(refusal) => refusal.to_bt(),
        }
    }

    /// The `snodes` and `swarm` of an account.
    fn elsewhere(&self, network: &Snapshot, account: &AccountId) -> BTreeMap<Vec<u8>, Bt> {
        let answer = self.swarm_answer(network, account).into_iter();
        let wanted = answer.filter(|(key, _)| key == "snodes" || key == "swarm");
        wanted.map(|(key, value)| (key.as_bytes().to_vec(), value.to_bt())).collect()
    }

    /// Signatures verified together, by number.
    #[must_use]
    pub fn batch_sizes(&self) -> BatchSizes {
        self.parts.verifier.batch_sizes()
    }

    /// What became of requests.
    pub const fn metrics(&self) -> &RequestMetrics {
        &self.metrics
    }

    /// Signatures that wait to be verified, and how many may.
    #[must_use]
    pub fn verifying(&self) -> (usize, usize) {
        self.parts.verifier.queued()
    }

    /// Signatures verified together.
    #[must_use]
    pub fn verify_batches(&self) -> Distribution {
        self.parts.verifier.batches()
    }

    /// Answers that wait to be signed, and how many may.
    #[must_use]
    pub fn signing(&self) -> (usize, usize) {
        self.signer.queued()
    }

    /// Answers signed together.
    #[must_use]
    pub fn sign_batches(&self) -> Distribution {
        self.signer.batches()
    }

    /// Requests by kind.
    pub const fn counts(&self) -> &RequestCounts {
        &self.counts
    }

    /// There is a new picture of the network.
    pub fn network_changed(&self) {
        if let Some(storage) = &self.parts.storage {
            storage.redelivery.network_changed();
        }
        let network = self.parts.network.load();
        if self.parts.version.ends_subscriptions() && !network.swarms().is_empty() {
            let own = network.by_ed25519(&self.own).map(|node| node.swarm);
            let is_ours = |account: &AccountId| network.swarm_of(account) == own;
            self.monitors.end(is_ours, |account| self.elsewhere(&network, account));
        }
    }

    /// Members of the swarm that have missed something.
    pub fn members_behind(&self) -> usize {
        self.parts.storage.as_ref().map_or(0, |storage| storage.redelivery.members_behind())
    }

    /// The subscriptions in force.
    pub const fn monitors(&self) -> &Monitors {
        &self.monitors
    }

    /// Carries a request out, and counts it.
    pub(super) async fn run(&self, request: Request, origin: Origin, asked: CallContext) -> Reply {
        let (via, came, place) = (asked.via, asked.came, request.place);
        // Whoever writes gives its turn back itself, once what it did can be seen.
        let _until_read = asked.turn.clone().filter(|_| !request.method.writes());
        let reply = request.method.execute(self, origin, asked).await;
        self.metrics.done(via, place, reply.status, came.elapsed());
        reply
    }
}

/// What a client asks for.
enum Decoded<'a> {
    /// One of the protocol's methods.
    Request(Request),
    /// One of the embedder's, with its params.
    Custom(&'a CustomMethods, String, Map<String, Json>),
}

/// Waits for what came before on the same connection.
async fn enter(context: &mut CallContext, ticket: Option<Ticket>, request: &Request) {
    if let Some(ticket) = ticket {
        context.turn = Some(Arc::new(ticket.enter(|name| request.method.each_account(name)).await));
    }
}

/// `method` with JSON or bencoded params; `None` when they are neither. What was decoded ends here.
fn decode(method: &str, params: &[u8]) -> Option<(Encoding, Result<Option<Request>, Invalid>)> {
    match params.first() {
        Some(b'd') => match Bt::parse(params) {
            Ok(Bt::Dict(dict)) => Some((Encoding::Bencode, Request::parse(method, &Params::Bencode(&dict)))),
            _ => None,
        },
        first => {
            let object = if first.is_none() { Some(JsonObject::default()) } else { json::parse(params).ok() };
            object.map(|object| (Encoding::Json, Request::parse(method, &Params::Json(&object))))
        }
    }
}

fn refused(invalid: &Invalid) -> Reply {
    Reply::text(Status::BAD_REQUEST, format!("invalid request: {invalid}"))
}

#[cfg(test)]
mod tests;
