//! One path for every request: decode, find the swarm, check time and proof, act, answer (`spec/node-rpc`).

mod execution;
mod receive;

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet},
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::join_all;
use serde::de::IgnoredAny;
use serde_json::Value as Json;
use tokio::sync::Semaphore;

use super::{
    auth::{Auth, flag},
    counts::{Counted, RequestCounts},
    custom_methods::CustomMethods,
    limit,
    metrics::{RequestMetrics, Via},
    monitor::{self, Refusal, Subscriber, Subscription},
    monitors::Monitors,
    params::{Invalid, NamespaceOrAll, Params},
    pipeline::{Ticket, Turn},
    receiving::Receiving,
    reply::{Body, Reply},
    request::{
        Condition, Delete, Direction, Expire, GetExpiries, IfElse, METHODS, Quantity, Request, Retrieve, Revocation,
        Store as StoreRequest, Timed,
    },
    room::AnswerRoom,
    status::{BUSY, Status},
    value::{Encoding, Value},
    verifier::Verifier,
    version::Version,
};
use crate::{
    batch::{BatchSizes, Full, Source},
    bencode::Bt,
    clock::Clock,
    crypto::Identity,
    json::{self, JsonError},
    metrics::Distribution,
    replicate::{Daemon, MemberAnswer, PeerLink, Redelivery, fan_out},
    store::{
        AT, Change, Command, ExpireMode, Hint, LATEST, Limits, NewMessage, Outcome, Page, Promised, ReplicationGuard,
        Scope, Store, StoreError, latest_expiry,
    },
    swarm::{Network, NodeInfo, Snapshot, SwarmId, service_nodes},
    types::{AccountId, Ed25519PublicKey, MessageHash, Millis, Namespace},
};

/// What is answered to whoever wants messages kept, by a node that keeps none.
pub const KEEPS_NOTHING: &str = "This node keeps no messages";

/// Requests that write, under way at once, whether or not somebody waits for them.
const MAX_WRITING: usize = 4096;
/// Questions to the network's daemon that wait for their answers at once.
const MAX_ASKING: usize = 4;

/// First hardfork and revision at which one `expire` may carry several expiries.
const MULTI_EXPIRY: [u16; 2] = [19, 4];

/// What a node has that keeps messages.
pub struct Storage {
    /// Its messages.
    pub store: Store,
    /// Keeps what other members have missed.
    pub redelivery: Arc<Redelivery>,
}

/// What a request is executed with.
pub struct RpcParts {
    /// What keeps this node's messages, if it keeps any.
    pub storage: Option<Storage>,
    /// The picture of the network.
    pub network: Arc<Network>,
    /// How many subscriptions there may be.
    pub subscriptions: usize,
    /// This node's keys.
    pub identity: Arc<Identity>,
    /// Its clock.
    pub clock: Clock,
    /// Its way to other nodes.
    pub peers: Arc<dyn PeerLink>,
    /// Verifies signatures.
    pub verifier: Verifier,
    /// The network's daemon, where there is one.
    pub daemon: Option<Arc<dyn Daemon>>,
    /// What is handed over to whoever embeds the engine.
    pub own: Option<CustomMethods>,
    /// What it advertises.
    pub version: Version,
}

/// Who sent a request: a client's is passed on to the swarm, a peer's is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Client,
    /// Another Allium node says when the swarm took it from the client, which may be long ago.
    Peer {
        at: Option<Millis>,
        /// The latest expiry that it allowed the client.
        latest: Option<Millis>,
    },
}

/// How and when a request came, its turn among those of its connection, given back once its effect can be seen, and the room
/// that the whole answer has.
struct CallContext {
    via: Via,
    came: Instant,
    turn: Option<Arc<Turn>>,
    room: AnswerRoom,
}

impl CallContext {
    fn new(via: Via) -> Self {
        Self { via, came: Instant::now(), turn: None, room: AnswerRoom::new() }
    }

    /// Of a part of a request whose turn this is.
    fn within(turn: Option<&Arc<Turn>>, room: &AnswerRoom) -> Self {
        Self { via: Via::Batch, came: Instant::now(), turn: turn.map(Arc::clone), room: room.clone() }
    }

    /// Waits for what came before on the same connection.
    async fn enter(&mut self, ticket: Option<Ticket>, request: &Request) {
        if let Some(ticket) = ticket {
            self.turn = Some(Arc::new(ticket.enter(request).await));
        }
    }
}

/// The swarm that this node is in, and what it has as a member.
struct SwarmView<'a> {
    store: &'a Store,
    redelivery: &'a Redelivery,
    account: AccountId,
    /// As the request found it.
    network: Arc<Snapshot>,
    /// The other members.
    replicas: Vec<Arc<NodeInfo>>,
}

type Entries = BTreeMap<Cow<'static, str>, Value>;
type Answering<'a> = Pin<Box<dyn Future<Output = Reply> + Send + 'a>>;

impl SwarmView<'_> {
    /// The time of a change: it does nothing to what is later.
    fn time_of_change(&self, account: &AccountId, origin: Origin) -> Millis {
        match origin {
            Origin::Peer { at: Some(at), .. } => at,
            Origin::Peer { at: None, .. } | Origin::Client => self.store.stamp_change(account),
        }
    }
}

/// Executes requests. One for a node, shared by its transports.
pub struct Rpc {
    parts: RpcParts,
    own: Ed25519PublicKey,
    monitors: Monitors,
    counts: RequestCounts,
    metrics: RequestMetrics,
    receiving: Receiving,
    /// Requests under way that write.
    writing: Arc<Semaphore>,
    /// Questions under way to the network's daemon.
    asking: Semaphore,
}

impl Rpc {
    /// With the node's parts.
    #[must_use]
    pub fn new(parts: RpcParts) -> Self {
        let (own, subscriptions) = (parts.identity.ed25519.public(), parts.subscriptions);
        Self {
            parts,
            own,
            monitors: Monitors::new(subscriptions),
            counts: RequestCounts::default(),
            metrics: RequestMetrics::default(),
            receiving: Receiving::default(),
            writing: Arc::new(Semaphore::new(MAX_WRITING)),
            asking: Semaphore::new(MAX_ASKING),
        }
    }

    /// `{"method", "params"}`: HTTPS `storage_rpc` and the innermost onion layer. `held`, what is counted for the request, is
    /// dropped when it has been carried out, whether or not somebody waits for that.
    pub async fn call_json(self: &Arc<Self>, body: &[u8], via: Via, held: impl Send + 'static) -> Reply {
        let asked = CallContext::new(via);
        let bad = |method: &str, text: Cow<'static, str>| {
            let reply = Reply::text(Status::BAD_REQUEST, text);
            self.metrics.named(via, method, reply.status, asked.came.elapsed());
            reply
        };
        let mut body: Json = match json::parse(body) {
            Ok(body) => body,
            Err(JsonError::Syntax(_)) => return bad("", "invalid json".into()),
            Err(error @ (JsonError::Depth | JsonError::Size)) => {
                return bad("", format!("invalid json: {error}").into());
            }
        };
        let Some(Json::String(method)) = body.get_mut("method").map(Json::take) else {
            return bad("", "invalid json: no `method` field".into());
        };
        let Some(Json::Object(params)) = body.get_mut("params").map(Json::take) else {
            return bad(&method, "invalid json: no `params` field".into());
        };
        if let Some(own) = self.parts.own.as_ref().filter(|own| own.has(&method)) {
            let reply = own.ask(method.clone(), params).await;
            self.metrics.named(via, &method, reply.status, asked.came.elapsed());
            return reply;
        }
        let request = Request::parse(&method, &Params::Json(&params));
        drop(params);
        match request {
            Ok(Some(request)) => self.finish(request, Origin::Client, asked, held).await,
            Ok(None) => bad(&method, format!("no method {method}").into()),
            Err(invalid) => self.refused(&method, &invalid, &asked),
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
                asked.enter(ticket, &request).await;
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
                asked.enter(ticket, &request).await;
                self.finish(request, origin, asked, ()).await
            }
            Err(refusal) => refusal,
        }
    }

    /// The request that another member passes on, and when the swarm took it; or the refusal, counted.
    fn forwarded(&self, method: &str, params: &[u8], asked: &CallContext) -> Result<(Request, Origin), Reply> {
        let bad = |text| {
            let reply = Reply::text(Status::BAD_REQUEST, text);
            self.metrics.named(Via::Swarm, method, reply.status, asked.came.elapsed());
            reply
        };
        let Ok(Bt::Dict(mut params)) = Bt::parse(params) else {
            return Err(bad("invalid request: expected a bencoded dict"));
        };
        let mut time = |key: &[u8]| match params.remove(key) {
            Some(Bt::Int(time)) => u64::try_from(time).ok().map(Millis),
            _ => None,
        };
        let (at, latest) = (time(AT).map(|at| self.believable(at)), time(LATEST));
        match Request::parse(method, &Params::Bencode(&params)) {
            Ok(Some(request)) if request.is_recursive() => Ok((request, Origin::Peer { at, latest })),
            Ok(_) => Err(bad("invalid request: received invalid forwarded non-forwardable request")),
            Err(invalid) => Err(self.refused(method, &invalid, asked)),
        }
    }

    fn refused(&self, method: &str, invalid: &Invalid, asked: &CallContext) -> Reply {
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
    fn run(&self, request: Request, origin: Origin, mut asked: CallContext) -> Answering<'_> {
        Box::pin(async move {
            let place = request.place();
            let reply = self.carry_out(request, origin, asked.turn.take(), &asked.room).await;
            self.metrics.done(asked.via, place, reply.status, asked.came.elapsed());
            reply
        })
    }

    async fn carry_out(&self, request: Request, origin: Origin, turn: Option<Arc<Turn>>, room: &AnswerRoom) -> Reply {
        match request {
            Request::Store(request) => {
                if origin == Origin::Client {
                    self.counts.add(Counted::Store);
                }
                self.store(request, origin, turn).await
            }
            Request::Retrieve(request) => {
                self.counts.add(Counted::Retrieve);
                self.retrieve(&request, room).await
            }
            Request::Delete(request) => self.delete(request, origin, turn).await,
            Request::DeleteAll(request) => self.delete_all(request, origin, turn).await,
            Request::DeleteBefore(request) => self.delete_before(request, origin, turn).await,
            Request::ExpireAll(request) => self.expire_all(request, origin, turn).await,
            Request::Expire(request) => self.expire(request, origin, turn).await,
            Request::GetExpiries(request) => self.get_expiries(&request).await.unwrap_or_else(|refusal| refusal),
            Request::Revoke(request) => self.revoke(request, origin, turn, false).await,
            Request::Unrevoke(request) => self.revoke(request, origin, turn, true).await,
            Request::RevokedSubaccounts { account, timestamp, auth } => {
                self.revoked_subaccounts(&account, timestamp, &auth).await.unwrap_or_else(|refusal| refusal)
            }
            Request::GetSwarm(account) => {
                let network = self.parts.network.load();
                Reply::value(Status::OK, Value::Dict(self.swarm_answer(&network, &account)))
            }
            Request::Oxend { endpoint, params } => self.oxend(&endpoint, &params).await,
            Request::Info => self.info(),
            Request::ActiveNodes => self.active_nodes(),
            Request::IfElse(request) => self.if_else(*request, origin, turn, room).await,
            Request::Batch(requests) => {
                let parts = requests.into_iter().map(|request| {
                    let part = self.run(request, origin, CallContext::within(turn.as_ref(), room));
                    async { room.fit(part.await) }
                });
                let parts = join_all(parts);
                drop(turn);
                results(parts.await)
            }
            Request::Sequence(requests) => {
                let mut replies = Vec::new();
                for request in requests {
                    let reply = room.fit(self.run(request, origin, CallContext::within(turn.as_ref(), room)).await);
                    let go_on = reply.status.is_success();
                    replies.push(reply);
                    if !go_on {
                        break;
                    }
                }
                results(replies)
            }
        }
    }

    // ---- what comes before acting ----

    /// `account`'s swarm, or the 421 that names the members of the right one.
    fn swarm_view(&self, account: &AccountId) -> Result<SwarmView<'_>, Reply> {
        let network = self.parts.network.load();
        let swarm = network.swarm_of(account);
        let own = network.by_ed25519(&self.own).map(|node| node.swarm);
        match swarm {
            Some(swarm) if own == Some(swarm) => {
                let Some(Storage { store, redelivery }) = &self.parts.storage else {
                    return Err(Reply::text(Status::SERVICE_UNAVAILABLE, KEEPS_NOTHING));
                };
                let replicas = network.members(swarm).iter().filter(|node| node.ed25519 != self.own).map(Arc::clone);
                let replicas = replicas.collect();
                Ok(SwarmView { store, redelivery, account: *account, network, replicas })
            }
            None if self.parts.version.says_no_swarms() => {
                Err(Reply::text(Status::INTERNAL_SERVER_ERROR, "No swarms known!"))
            }
            _ => {
                let body = Value::Dict(self.swarm_answer(&network, account));
                Err(Reply::value(Status::MISDIRECTED_REQUEST, body))
            }
        }
    }

    fn near_now(&self, time: Millis, tolerance: u64, text: &'static str) -> Result<(), Reply> {
        self.near(time, tolerance, Origin::Client, text)
    }

    /// Whether `time` is about now, or about when the swarm took the request.
    fn near(&self, time: Millis, tolerance: u64, origin: Origin, text: &'static str) -> Result<(), Reply> {
        let is_near = |now: Millis| time >= now.minus(tolerance) && time <= now.plus(tolerance);
        if is_near(self.parts.clock.now()) || is_near(self.taken(origin)) {
            return Ok(());
        }
        Err(Reply::text(Status::NOT_ACCEPTABLE, text))
    }

    /// The earlier of now and when the swarm took the request.
    fn taken(&self, origin: Origin) -> Millis {
        let now = self.parts.clock.now();
        match origin {
            Origin::Peer { at: Some(at), .. } if at > now.minus(limit::MAX_TTL) => at.min(now),
            _ => now,
        }
    }

    /// A time that another member names, as far as its clock may be ahead.
    fn believable(&self, time: Millis) -> Millis {
        time.min(self.parts.clock.now().plus(limit::SIGNATURE))
    }

    async fn proven(
        &self,
        view: &SwarmView<'_>,
        (auth, account): (&Auth, &AccountId),
        text: impl AsRef<[u8]> + Send,
        flags: u8,
        revocable: bool,
        refusal: &'static str,
    ) -> Result<(), Reply> {
        let proofs = auth.proofs(view.store, account, text.as_ref(), flags, revocable).map_err(|error| {
            tracing::error!(%error, "revocations could not be read");
            Reply::text(Status::INTERNAL_SERVER_ERROR, "request failed")
        })?;
        let holds = match proofs {
            Some(proofs) => self.parts.verifier.all(Source::of(&account.key()), proofs).await,
            None => Ok(false),
        };
        match holds {
            Ok(true) => Ok(()),
            Ok(false) => Err(Reply::text(Status::UNAUTHORIZED, refusal)),
            Err(Full) => Err(busy()),
        }
    }

    // ---- methods ----

    async fn store(&self, request: StoreRequest, origin: Origin, turn: Option<Arc<Turn>>) -> Reply {
        let view = match self.check_store(&request).await {
            Ok(view) => view,
            Err(refusal) => return refusal,
        };
        let StoreRequest { account, namespace, timestamp, expiry, data, auth, sig_timestamp } = request;
        let hash = MessageHash::of(&account, namespace, &data);
        let unset = Millis(0);
        let mut message =
            NewMessage { account, namespace, hash, timestamp, expiry, stored: unset, changed: unset, data };
        let stored = match origin {
            Origin::Peer { at: Some(at), .. } => Ok(at),
            // Every member takes the same, unless it has carried out a deletion that came before.
            Origin::Peer { at: None, .. } => view.store.after_deletion(&message, self.believable(timestamp)),
            Origin::Client => view.store.stamp_message(&message),
        };
        let stored = match stored {
            Ok(stored) => stored,
            Err(error) => {
                tracing::error!(%error, "deletions could not be read");
                return Reply::text(Status::INTERNAL_SERVER_ERROR, "request failed");
            }
        };
        (message.stored, message.changed) = (stored, stored);
        let forward = |message: &NewMessage| {
            let mut fields = forwarded(&account, auth.as_ref());
            fields.push(("data", message.data.as_slice().into()));
            fields.push(("expiry", expiry.0.into()));
            fields.push(("timestamp", timestamp.0.into()));
            if auth.is_some() {
                fields.push(("sig_timestamp", sig_timestamp.0.into()));
            }
            if namespace.0 != 0 {
                fields.push(("namespace", Bt::Int(namespace.0.into())));
            }
            fields
        };
        let forward = (origin == Origin::Client).then(|| match view.replicas.as_slice() {
            // A swarm of this node alone.
            [] => Forward::to_nobody(stored),
            _ => Forward::new("store", forward(&message), stored),
        });
        let local = async {
            let watched = self.monitors.any(&account).then(|| message.clone());
            let store = view.store;
            let (stored, unreplicated) = match origin {
                Origin::Client => {
                    let (stored, unreplicated) =
                        store.put_as_coordinator(message).await.map_err(|error| failure(&error))?;
                    (stored, Some(unreplicated))
                }
                Origin::Peer { .. } => (store.put(message).await.map_err(|error| failure(&error))?, None),
            };
            self.receiving.seen.note(namespace);
            if let (Some(message), Outcome::New) = (watched, stored.outcome) {
                self.monitors.notify(&message, store);
            }
            let text = hash.to_string();
            let mut entries = Entries::new();
            entries.insert("signature".into(), self.signature(text.as_bytes()));
            entries.insert("hash".into(), Value::text(text));
            entries.insert("expiry".into(), Value::Uint(stored.expiry.0));
            if stored.outcome != Outcome::New {
                entries.insert("already".into(), Value::Bool(true));
            }
            Ok((entries, unreplicated))
        };
        let Some(forward) = forward else { return peer_reply(local.await.map(|(entries, _)| entries)) };
        let taken_until = match namespace {
            // Nothing is lost of it in a transfer.
            Namespace(0) => Millis(0),
            inbox if inbox.is_public_inbox() => expiry,
            _ => sig_timestamp.plus(limit::SIGNATURE),
        };
        let (mut swarm, ok) = self.store_everywhere(&view, forward, local, hash, taken_until, turn).await;
        // A legacy of the reference that clients may read: the entry node's own entry tells the time too.
        if let Some(Value::Dict(own)) = swarm.get_mut(self.own.to_string().as_str()) {
            own.insert("t".into(), self.time());
        }
        self.swarm_reply(swarm, ok, Some(hash))
    }

    async fn check_store(&self, request: &StoreRequest) -> Result<SwarmView<'_>, Reply> {
        let StoreRequest { account, namespace, timestamp, expiry, auth, sig_timestamp, .. } = request;
        let view = self.swarm_view(account)?;
        let longest = if namespace.is_public_inbox() { limit::MAX_TTL_INBOX } else { limit::MAX_TTL };
        let ttl = expiry.0.checked_sub(timestamp.0);
        if !ttl.is_some_and(|ttl| (limit::MIN_TTL..=longest).contains(&ttl)) {
            return Err(Reply::text(Status::FORBIDDEN, "Provided expiry/TTL is not valid."));
        }
        let now = self.parts.clock.now();
        if *timestamp > now.plus(limit::CLOCK) || *expiry < now.minus(limit::CLOCK) {
            return Err(Reply::text(Status::NOT_ACCEPTABLE, "Timestamp error: check your clock"));
        }
        if !namespace.is_public_inbox() {
            let Some(auth) = auth else {
                let text = format!("store: signature required to store to namespace {}", namespace.0);
                return Err(Reply::text(Status::UNAUTHORIZED, text));
            };
            self.near_now(*sig_timestamp, limit::SIGNATURE, "store signature timestamp too far from current time")?;
            let flags = if namespace.is_public_outbox() { flag::WRITE | flag::DELETE } else { flag::WRITE };
            let text = format!("store{}{sig_timestamp}", namespace.signed_text());
            self.proven(&view, (auth, account), &text, flags, true, "store signature verification failed").await?;
        }
        Ok(view)
    }

    async fn retrieve(&self, request: &Retrieve, room: &AnswerRoom) -> Reply {
        self.try_retrieve(request, room).await.unwrap_or_else(|refusal| refusal)
    }

    async fn try_retrieve(&self, request: &Retrieve, room: &AnswerRoom) -> Result<Reply, Reply> {
        let Retrieve { account, namespace, last_hash, max_count, max_size, auth } = request;
        let view = self.swarm_view(account)?;
        if let Some((auth, timestamp)) = auth {
            self.near_now(*timestamp, limit::SIGNATURE, "retrieve timestamp too far from current time")?;
            let text = format!("retrieve{}{timestamp}", namespace.signed_text());
            let refusal = "retrieve signature verification failed";
            self.proven(&view, (auth, account), &text, flag::READ, !namespace.is_unrevocable(), refusal).await?;
        } else if !namespace.is_open_to_read() {
            return Err(Reply::text(Status::UNAUTHORIZED, "retrieve: request signature required"));
        }
        let mut limits = limits(*max_count, *max_size);
        let page = match room.for_messages() {
            // Other parts of the same request have taken it.
            None => Ok(Page { messages: Vec::new(), more: true }),
            Some(left) => {
                limits.max_size = limits.max_size.min(left);
                view.store.retrieve(account, *namespace, last_hash.as_ref(), limits)
            }
        };
        let page = page.map_err(|error| {
            tracing::error!(%error, "messages could not be read");
            let text = format!("Internal Server Error. Could not retrieve messages for {account:?}");
            Reply::text(Status::INTERNAL_SERVER_ERROR, text)
        })?;
        let messages = page.messages.into_iter().map(|message| {
            Value::dict([
                ("hash", Value::text(message.hash.to_string())),
                ("timestamp", Value::Uint(message.timestamp.0)),
                ("expiration", Value::Uint(message.expiry.0)),
                ("data", Value::Bytes(message.data)),
            ])
        });
        let mut entries = Entries::new();
        entries.insert("messages".into(), Value::List(messages.collect()));
        entries.insert("more".into(), Value::Bool(page.more));
        self.stamp(&mut entries);
        Ok(Reply::value(Status::OK, Value::Dict(entries)))
    }

    async fn delete(&self, request: Delete, origin: Origin, turn: Option<Arc<Turn>>) -> Reply {
        let Delete { account, messages, required, auth } = request;
        let check = async {
            let view = self.swarm_view(&account)?;
            let text = format!("delete{}", messages.concat());
            self.proven(
                &view,
                (&auth, &account),
                &text,
                flag::DELETE,
                true,
                "delete_msgs signature verification failed",
            )
            .await?;
            Ok::<_, Reply>(view)
        };
        let view = match check.await {
            Ok(view) => view,
            Err(refusal) => return refusal,
        };
        let mut forward = forwarded(&account, Some(&auth));
        let list = messages.iter().map(|hash| hash.as_bytes().into()).collect();
        forward.push(("messages", Bt::List(list)));
        let at = match origin {
            Origin::Client => view.store.stamp_deletion(&account, limit::CLOCK),
            Origin::Peer { .. } => view.time_of_change(&account, origin),
        };
        let forward = Forward::new("delete", forward, at);
        let local = async {
            let mut seen = HashSet::with_capacity(messages.len());
            let hashes = messages.iter().filter_map(|text| MessageHash::from_text(text));
            let hashes = hashes.filter(|hash| seen.insert(*hash)).collect();
            let done = view
                .store
                .delete(account, hashes, forward.change(&view, origin))
                .await
                .map_err(|error| failure(&error))?;
            let deleted = sorted(done.done);
            let signed = format!("{}{}{}", account.hex(), messages.concat(), deleted.concat());
            Ok((self.signed_entries("deleted", texts(deleted), signed.as_bytes()), done.numbers))
        };
        if origin != Origin::Client {
            return peer_reply(local.await.map(|(entries, _)| entries));
        }
        let (swarm, ok) = self.everywhere(&forward, &view, local, turn).await;
        let any = swarm.values().any(|entry| matches!(deleted_in(entry), Some(n) if n > 0));
        let mut reply = self.swarm_reply(swarm, ok, None);
        if required && !any && ok {
            reply.status = Status::NOT_FOUND;
        }
        reply
    }

    async fn delete_all(&self, request: Timed, origin: Origin, turn: Option<Arc<Turn>>) -> Reply {
        let plan = TimedPlan {
            method: "delete_all",
            field: "timestamp",
            refusal: "delete_all signature verification failed",
            result: "deleted",
        };
        let tolerance = tolerance(origin);
        let text = "delete_all timestamp too far from current time";
        let time = self.near(request.time, tolerance, origin, text);
        self.timed(plan, request, (origin, turn), time, |store, account, scope, _, change| async move {
            store.delete_all(account, scope, None, change).await
        })
        .await
    }

    async fn delete_before(&self, request: Timed, origin: Origin, turn: Option<Arc<Turn>>) -> Reply {
        let plan = TimedPlan {
            method: "delete_before",
            field: "before",
            refusal: "delete_before signature verification failed",
            result: "deleted",
        };
        let future = request.time > self.parts.clock.now().plus(limit::SIGNATURE);
        let text = "delete_before timestamp too far in the future";
        let time = if future { Err(Reply::text(Status::UNAUTHORIZED, text)) } else { Ok(()) };
        self.timed(plan, request, (origin, turn), time, |store, account, scope, before, change| async move {
            store.delete_all(account, scope, Some(before), change).await
        })
        .await
    }

    async fn expire_all(&self, request: Timed, origin: Origin, turn: Option<Arc<Turn>>) -> Reply {
        let plan = TimedPlan {
            method: "expire_all",
            field: "expiry",
            refusal: "expire_all signature verification failed",
            result: "updated",
        };
        let past = request.time < self.taken(origin).minus(tolerance(origin));
        let text = "expire_all timestamp should be >= current time";
        let time = if past { Err(Reply::text(Status::NOT_ACCEPTABLE, text)) } else { Ok(()) };
        self.timed(plan, request, (origin, turn), time, |store, account, scope, expiry, change| async move {
            store.expire_all(account, scope, expiry, change).await
        })
        .await
    }

    /// The way of `delete_all`, `delete_before` and `expire_all`, which differ in names, the time check and the action.
    async fn timed<F>(
        &self,
        plan: TimedPlan,
        request: Timed,
        (origin, turn): (Origin, Option<Arc<Turn>>),
        time_check: Result<(), Reply>,
        act: impl FnOnce(Store, AccountId, Scope, Millis, Change) -> F + Send,
    ) -> Reply
    where
        F: Future<Output = Result<Promised<Vec<(Namespace, MessageHash)>>, StoreError>> + Send,
    {
        let Timed { account, namespace, time, auth } = request;
        let (scope, signed_namespace, namespace_field) = match namespace {
            NamespaceOrAll::One(one) => (Scope::One(one), one.signed_text(), Bt::Int(one.0.into())),
            NamespaceOrAll::All => (Scope::All, "all".to_owned(), Bt::Bytes(b"all".to_vec())),
        };
        let check = async {
            let view = self.swarm_view(&account)?;
            time_check?;
            let text = format!("{}{signed_namespace}{time}", plan.method);
            self.proven(&view, (&auth, &account), &text, flag::DELETE, true, plan.refusal).await?;
            Ok::<_, Reply>(view)
        };
        let view = match check.await {
            Ok(view) => view,
            Err(refusal) => return refusal,
        };
        let mut forward = forwarded(&account, Some(&auth));
        forward.push(("namespace", namespace_field));
        forward.push((plan.field, time.0.into()));
        let forward = Forward::new(plan.method, forward, view.time_of_change(&account, origin));
        let local = async {
            let store = view.store.clone();
            let done = act(store, account, scope, time, forward.change(&view, origin))
                .await
                .map_err(|error| failure(&error))?;
            let changed = done.done;
            let all = sorted(changed.iter().map(|(_, hash)| *hash).collect());
            let signed = format!("{}{time}{}", account.hex(), all.concat());
            let result = if scope == Scope::All { by_namespace(changed) } else { texts(all) };
            Ok((self.signed_entries(plan.result, result, signed.as_bytes()), done.numbers))
        };
        if origin != Origin::Client {
            return peer_reply(local.await.map(|(entries, _)| entries));
        }
        let (swarm, ok) = self.everywhere(&forward, &view, local, turn).await;
        self.swarm_reply(swarm, ok, None)
    }

    async fn expire(&self, request: Expire, origin: Origin, turn: Option<Arc<Turn>>) -> Reply {
        let view = match self.check_expire(&request, origin).await {
            Ok(view) => view,
            Err(refusal) => return refusal,
        };
        let Expire { account, messages, expiry, only, auth } = request;
        let mut forward = forwarded(&account, Some(&auth));
        forward.push(("messages", Bt::List(messages.iter().map(|hash| hash.as_bytes().into()).collect())));
        forward.push((
            "expiry",
            match expiry.as_slice() {
                [one] => one.0.into(),
                several => Bt::List(several.iter().map(|expiry| expiry.0.into()).collect()),
            },
        ));
        if let Some(direction) = only {
            forward.push((direction.name(), Bt::Int(1)));
        }
        let at = view.time_of_change(&account, origin);
        let latest = match origin {
            Origin::Peer { at: Some(_), latest } => latest,
            // Not counted from `at`, which may run ahead of the clock.
            Origin::Peer { at: None, .. } | Origin::Client => Some(self.parts.clock.now().plus(limit::MAX_TTL)),
        };
        let latest = latest_expiry(at, latest);
        let forward = Forward::expiring("expire", forward, at, latest);
        let local = async {
            let applied: Vec<Millis> = expiry.iter().map(|expiry| (*expiry).min(latest)).collect();
            // The first time that is given for a message counts.
            let mut changes: HashMap<MessageHash, Millis> = HashMap::with_capacity(messages.len());
            for (text, expiry) in messages.iter().zip(applied.iter().cycle()) {
                if let Some(hash) = MessageHash::from_text(text) {
                    changes.entry(hash).or_insert(*expiry);
                }
            }
            let changes = changes.into_iter().collect();
            let may_shorten = auth.subaccount.as_ref().is_none_or(|token| token.permits(flag::DELETE));
            let mode = match only {
                Some(Direction::Extend) => ExpireMode::Extend,
                Some(Direction::Shorten) => ExpireMode::Shorten,
                None if may_shorten => ExpireMode::Set,
                None => ExpireMode::Extend,
            };
            let change = forward.change(&view, origin);
            let done = view.store.expire(account, changes, mode, change).await;
            let Promised { done, numbers } = done.map_err(|error| failure(&error))?;
            let by_text = |list: Vec<(MessageHash, Millis)>| -> BTreeMap<String, Millis> {
                list.into_iter().map(|(hash, expiry)| (hash.to_string(), expiry)).collect()
            };
            let (updated, unchanged) = (by_text(done.updated), by_text(done.unchanged));
            let told: Vec<Millis> = if expiry.len() == 1 { applied } else { updated.values().copied().collect() };
            let mut signed = account.hex();
            signed.extend(told.iter().map(Millis::to_string));
            signed.extend(messages.iter().map(String::as_str));
            signed.extend(updated.keys().map(String::as_str));
            if only.is_some() {
                signed.extend(unchanged.iter().map(|(hash, expiry)| format!("{hash}{expiry}")));
            }
            let mut entries = self.signed_entries("updated", texts(updated.into_keys().collect()), signed.as_bytes());
            let told = match (expiry.len(), told.as_slice()) {
                (1, [one]) => Value::Uint(one.0),
                (_, several) => Value::List(several.iter().map(|expiry| Value::Uint(expiry.0)).collect()),
            };
            entries.insert("expiry".into(), told);
            if only.is_some() {
                let unchanged = unchanged.into_iter().map(|(hash, expiry)| (hash, Value::Uint(expiry.0)));
                entries.insert("unchanged".into(), Value::dict(unchanged));
            }
            Ok((entries, numbers))
        };
        if origin != Origin::Client {
            return peer_reply(local.await.map(|(entries, _)| entries));
        }
        let (swarm, ok) = self.everywhere(&forward, &view, local, turn).await;
        self.swarm_reply(swarm, ok, None)
    }

    async fn check_expire(&self, request: &Expire, origin: Origin) -> Result<SwarmView<'_>, Reply> {
        let Expire { account, messages, expiry, only, auth } = request;
        let view = self.swarm_view(account)?;
        let earliest = self.taken(origin).minus(limit::SIGNATURE);
        if expiry.iter().any(|expiry| *expiry < earliest) {
            return Err(Reply::text(Status::UNAUTHORIZED, "expire: timestamp should be >= current time"));
        }
        let severally = self.parts.version.expires_severally() || self.parts.network.load().hardfork >= MULTI_EXPIRY;
        if expiry.len() > 1 && !severally {
            let text = "expire: multi-expiry requests are not yet active on the network";
            return Err(Reply::text(Status::FORBIDDEN, text));
        }
        let times: String = expiry.iter().map(Millis::to_string).collect();
        let text = format!("expire{}{times}{}", only.map_or("", Direction::name), messages.concat());
        self.proven(&view, (auth, account), &text, flag::WRITE, true, "expire: signature verification failed").await?;
        let may_shorten = auth.subaccount.as_ref().is_none_or(|token| token.permits(flag::DELETE));
        if *only == Some(Direction::Shorten) && !may_shorten {
            let text = "expire: shorten parameter cannot be used with this subaccount token (missing delete access)";
            return Err(Reply::text(Status::BAD_REQUEST, text));
        }
        Ok(view)
    }

    async fn get_expiries(&self, request: &GetExpiries) -> Result<Reply, Reply> {
        let GetExpiries { account, messages, timestamp, auth } = request;
        let view = self.swarm_view(account)?;
        self.near_now(*timestamp, limit::SIGNATURE, "get_expiries timestamp too far from current time")?;
        let text = format!("get_expiries{timestamp}{}", messages.concat());
        self.proven(&view, (auth, account), &text, flag::READ, true, "get_expiries signature verification failed")
            .await?;
        let hashes: Vec<MessageHash> = messages.iter().filter_map(|text| MessageHash::from_text(text)).collect();
        let found = view.store.expiries(account, &hashes).map_err(|error| {
            tracing::error!(%error, "expiries could not be read");
            Reply::text(Status::INTERNAL_SERVER_ERROR, "request failed")
        })?;
        let expiries = found.into_iter().map(|(hash, expiry)| (hash.to_string(), Value::Uint(expiry.0)));
        Ok(Reply::value(Status::OK, Value::dict([("expiries", Value::dict(expiries))])))
    }

    async fn revoke(&self, request: Revocation, origin: Origin, turn: Option<Arc<Turn>>, back: bool) -> Reply {
        let plan = if back { &UNREVOKE } else { &REVOKE };
        let Revocation { account, tokens, timestamp, auth } = request;
        let signed = [timestamp.to_string().as_bytes(), tokens.as_flattened()].concat();
        let check = async {
            let view = self.swarm_view(&account)?;
            self.near(timestamp, limit::SIGNATURE, origin, plan.too_far)?;
            let text = [plan.method.as_bytes(), &signed].concat();
            self.proven(&view, (&auth, &account), text, 0, false, plan.refusal).await?;
            Ok::<_, Reply>(view)
        };
        let view = match check.await {
            Ok(view) => view,
            Err(refusal) => return refusal,
        };
        let mut forward = forwarded(&account, Some(&auth));
        forward.push(("timestamp", timestamp.0.into()));
        forward.push((plan.field, Bt::List(tokens.iter().map(|token| token.as_slice().into()).collect())));
        let forward = Forward::new(plan.method, forward, view.time_of_change(&account, origin));
        let local = async {
            let mut entries = Entries::new();
            let done = view.store.set_revoked(account, tokens, !back, forward.change(&view, origin)).await;
            let Promised { done: count, numbers } = done.map_err(|error| failure(&error))?;
            if back {
                entries.insert("count".into(), Value::Uint(count));
            }
            let text = [account.hex().as_bytes(), &signed].concat();
            entries.insert("signature".into(), self.signature(&text));
            Ok((entries, numbers))
        };
        if origin != Origin::Client {
            return peer_reply(local.await.map(|(entries, _)| entries));
        }
        let (swarm, ok) = self.everywhere(&forward, &view, local, turn).await;
        self.swarm_reply(swarm, ok, None)
    }

    async fn revoked_subaccounts(&self, account: &AccountId, timestamp: Millis, auth: &Auth) -> Result<Reply, Reply> {
        let view = self.swarm_view(account)?;
        self.near_now(timestamp, limit::SIGNATURE, "revoked_subaccounts timestamp too far from current time")?;
        let text = format!("revoked_subaccounts{timestamp}");
        let refusal = "revoked_subaccounts signature verification failed";
        self.proven(&view, (auth, account), &text, 0, false, refusal).await?;
        let tokens = view.store.revoked(account).map_err(|error| {
            tracing::error!(%error, "revocations could not be read");
            let text = format!("Internal Server Error. Could not retrieve revoked_subaccounts for {account:?}");
            Reply::text(Status::INTERNAL_SERVER_ERROR, text)
        })?;
        let tokens = tokens.into_iter().map(|token| Value::Bytes(token.to_vec())).collect();
        let mut entries = Entries::from([("revoked_subaccounts".into(), Value::List(tokens))]);
        self.stamp(&mut entries);
        Ok(Reply::value(Status::OK, Value::Dict(entries)))
    }

    fn active_nodes(&self) -> Reply {
        Reply { status: Status::OK, body: Body::Binary(self.parts.network.load().active_nodes()) }
    }

    async fn if_else(&self, request: IfElse, origin: Origin, turn: Option<Arc<Turn>>, room: &AnswerRoom) -> Reply {
        let network = self.parts.network.load();
        let (hardfork, height) = (network.hardfork, network.height);
        let holds = |condition: &Condition| {
            let current = match condition.of {
                Quantity::Hardfork => [hardfork[0].into(), hardfork[1].into(), 0],
                Quantity::Version => self.parts.version.0.map(u64::from),
                Quantity::Height => [height, 0, 0],
            };
            (current >= condition.bound) == condition.at_least
        };
        let condition = request.conditions.iter().all(holds);
        let numbers = |parts: &[u16]| Value::List(parts.iter().map(|part| Value::Int((*part).into())).collect());
        let mut entries = Entries::from([
            ("hf".into(), numbers(&hardfork)),
            ("v".into(), numbers(&self.parts.version.0)),
            ("height".into(), Value::Uint(height)),
            ("condition".into(), Value::Bool(condition)),
        ]);
        if let Some(chosen) = if condition { request.then } else { request.otherwise } {
            let asked = CallContext { turn, ..CallContext::within(None, room) };
            entries.insert("result".into(), result(self.run(chosen, origin, asked).await));
        }
        Reply::value(Status::OK, Value::Dict(entries))
    }

    async fn oxend(&self, endpoint: &str, params: &Json) -> Reply {
        let (network, asked) = (self.parts.network.load(), params.to_string());
        let is_list = endpoint == "get_service_nodes";
        if is_list && let Some(list) = network.listings().get(&asked) {
            return self.oxend_reply(list);
        }
        let result: Arc<str> = match &self.parts.daemon {
            Some(daemon) => match self.ask_daemon(daemon.as_ref(), is_list, &asked).await {
                Ok(result) => result,
                Err(refusal) => return refusal,
            },
            None if is_list => service_nodes(&network, params).to_string().into(),
            // A network without a chain has no names: an answer without a value is "not registered".
            None => r#"{"status":"OK"}"#.into(),
        };
        if is_list {
            network.listings().put(asked, Arc::clone(&result));
        }
        self.oxend_reply(result)
    }

    async fn ask_daemon(&self, daemon: &dyn Daemon, is_list: bool, params: &str) -> Result<Arc<str>, Reply> {
        let command = if is_list { "rpc.get_service_nodes" } else { "rpc.ons_resolve" };
        let Ok(_place) = self.asking.acquire().await else { return Err(busy()) };
        match daemon.request(command, params.to_owned().into()).await.as_deref() {
            Ok([ok, result]) if ok.as_ref() == b"200" => {
                let is_json = serde_json::from_slice::<IgnoredAny>(result).is_ok();
                let text = std::str::from_utf8(result).ok().filter(|_| is_json);
                text.map(Into::into).ok_or_else(|| Reply::text(Status::BAD_GATEWAY, "oxend returned unparsable data"))
            }
            Ok([_, text]) => Err(Reply::text(Status::BAD_REQUEST, String::from_utf8_lossy(text).into_owned())),
            Ok(_) | Err(_) => Err(Reply::text(Status::BAD_REQUEST, "Unknown oxend error")),
        }
    }

    fn oxend_reply(&self, result: Arc<str>) -> Reply {
        let mut entries = Entries::new();
        entries.insert("result".into(), Value::Raw(result));
        self.stamp(&mut entries);
        Reply::value(Status::OK, Value::Dict(entries))
    }

    fn info(&self) -> Reply {
        let mut entries = Entries::new();
        let version = self.parts.version.0.map(|part| Value::Int(part.into()));
        entries.insert("version".into(), Value::List(version.into()));
        entries.insert("timestamp".into(), self.time());
        self.stamp(&mut entries);
        Reply::value(Status::OK, Value::Dict(entries))
    }

    // ---- the swarm's answers ----

    /// Sends a new message to the other members while it is stored here; every member's entry by its key, and whether anybody
    /// succeeded. Members take it in this form until `taken_until`.
    async fn store_everywhere(
        &self,
        view: &SwarmView<'_>,
        forward: Forward,
        local: impl Future<Output = Result<(Entries, Option<ReplicationGuard>), Entries>> + Send,
        hash: MessageHash,
        taken_until: Millis,
        turn: Option<Arc<Turn>>,
    ) -> (Entries, bool) {
        let local = async {
            let own = local.await;
            // What comes next may begin: this is stored, and was sent while the disk was waited for.
            drop(turn);
            own
        };
        let (own, others) = futures_util::join!(local, self.ask(view, &forward));
        let mut missed_by = missed_by(&others);
        missed_by.extend(self.joined(view));
        let own = match own {
            Ok((entries, unreplicated)) => {
                let noted = match missed_by.as_slice() {
                    [] => Ok(()),
                    members => {
                        let left = taken_until.0.saturating_sub(self.parts.clock.now().0);
                        let until = Instant::now() + Duration::from_millis(left);
                        // There is none where nobody was to be told.
                        if !forward.plain.is_empty() {
                            view.redelivery.keep_original(members, hash, forward.plain, until);
                        }
                        view.redelivery.add(missed_by, Hint::Message(view.account, hash)).await
                    }
                };
                match noted {
                    Ok(()) => {
                        unreplicated.into_iter().for_each(ReplicationGuard::told);
                    }
                    // The guard has everybody told again.
                    Err(error) => tracing::error!(%error, "what members of the swarm have missed could not be kept"),
                }
                Ok(entries)
            }
            Err(failed) => Err(failed),
        };
        self.entries(own, others)
    }

    /// Carries a command out here, with the promise to tell the other members, and then tells them; every member's entry by its
    /// key, and whether anybody succeeded.
    async fn everywhere(
        &self,
        forward: &Forward,
        view: &SwarmView<'_>,
        local: impl Future<Output = Result<(Entries, Vec<u64>), Entries>> + Send,
        turn: Option<Arc<Turn>>,
    ) -> (Entries, bool) {
        let own = local.await;
        // What comes next may begin when this has been sent.
        let (others, ()) = futures_util::join!(self.ask(view, forward), async { drop(turn) });
        if let Ok((_, numbers)) = &own {
            let missed_by = missed_by(&others);
            let promised = view.replicas.iter().map(|node| node.ed25519).zip(numbers.iter().copied());
            let told = promised.filter(|(member, _)| !missed_by.contains(member)).collect();
            let noted = async {
                view.redelivery.keep(told, &missed_by).await?;
                match self.joined(view) {
                    joined if joined.is_empty() => Ok(()),
                    joined => view.redelivery.add(joined, Hint::Command(forward.command())).await,
                }
            };
            if let Err(error) = noted.await {
                tracing::error!(%error, "what members of the swarm were told could not be noted");
            }
        }
        self.entries(own.map(|(entries, _)| entries), others)
    }

    /// Members that have come since the request found who is there. No transfer to them has what was stored since they came.
    fn joined(&self, view: &SwarmView<'_>) -> Vec<Ed25519PublicKey> {
        if Arc::ptr_eq(&view.network, &self.parts.network.load()) {
            return Vec::new();
        }
        let now = self.swarm_view(&view.account).map_or_else(|_| Vec::new(), |now| now.replicas);
        let new = now.iter().map(|node| node.ed25519);
        new.filter(|key| view.replicas.iter().all(|replica| replica.ed25519 != *key)).collect()
    }

    /// The answers of the other members. One that has missed something gets the rest in its turn, and is not asked.
    async fn ask(&self, view: &SwarmView<'_>, forward: &Forward) -> Vec<(Ed25519PublicKey, MemberAnswer)> {
        let (late, prompt): (Vec<_>, Vec<_>) = view
            .replicas
            .iter()
            .map(Arc::clone)
            .partition(|node| view.redelivery.is_behind(&node.ed25519) || !node.is_reachable());
        let peers = self.parts.peers.as_ref();
        let params = |node: &NodeInfo| if peers.is_allium(node) { &forward.timed } else { &forward.plain }.clone();
        let mut answers = fan_out(peers, &prompt, forward.method, params).await;
        answers.extend(late.iter().map(|node| (node.ed25519, MemberAnswer::TimedOut)));
        answers
    }

    fn entries(&self, own: Result<Entries, Entries>, others: Vec<(Ed25519PublicKey, MemberAnswer)>) -> (Entries, bool) {
        let mut ok = own.is_ok();
        let mut swarm = Entries::new();
        swarm.insert(self.own.to_string().into(), Value::Dict(own.unwrap_or_else(|failed| failed)));
        let network = self.parts.network.load();
        let is_reachable =
            |member: &Ed25519PublicKey| network.by_ed25519(member).is_some_and(|node| node.is_reachable());
        for (member, answer) in others {
            if self.parts.version.leaves_out_unreachable() && !is_reachable(&member) {
                continue;
            }
            let entry = member_entry(answer);
            ok |= !entry.contains_key("failed");
            swarm.insert(member.to_string().into(), Value::Dict(entry));
        }
        (swarm, ok)
    }

    fn swarm_reply(&self, swarm: Entries, ok: bool, hash: Option<MessageHash>) -> Reply {
        let mut entries = Entries::new();
        entries.insert("swarm".into(), Value::Dict(swarm));
        if let Some(hash) = hash {
            entries.insert("hash".into(), Value::text(hash.to_string()));
        }
        self.stamp(&mut entries);
        let status = if ok { Status::OK } else { Status::INTERNAL_SERVER_ERROR };
        Reply::value(status, Value::Dict(entries))
    }

    fn time(&self) -> Value {
        Value::Uint(self.parts.clock.now().0)
    }

    /// Adds `t` and `hf`.
    fn stamp(&self, entries: &mut Entries) {
        let hardfork = self.parts.network.load().hardfork.map(|part| Value::Int(part.into()));
        entries.insert("t".into(), self.time());
        entries.insert("hf".into(), Value::List(hardfork.into()));
    }

    fn signature(&self, text: &[u8]) -> Value {
        Value::Bytes(self.parts.identity.ed25519.sign(text).to_vec())
    }

    fn signed_entries(&self, name: &'static str, result: Value, signed: &[u8]) -> Entries {
        Entries::from([(name.into(), result), ("signature".into(), self.signature(signed))])
    }

    /// `get_swarm`'s answer, which is also the body of a 421.
    fn swarm_answer(&self, network: &Snapshot, account: &AccountId) -> Entries {
        let swarm = network.swarm(account);
        let (id, members) = swarm.map_or((SwarmId::UNASSIGNED, &[][..]), |swarm| (swarm.id, swarm.members));
        let mut entries = Entries::new();
        let all = !self.parts.version.leaves_out_unreachable();
        let told = members.iter().filter(|node| all || node.is_reachable());
        entries.insert("snodes".into(), Value::List(told.map(|node| snode(node)).collect()));
        entries.insert("swarm".into(), Value::text(id.to_string()));
        self.stamp(&mut entries);
        entries
    }
}

/// What tells `revoke_subaccount` and `unrevoke_subaccount` apart.
struct RevocationPlan {
    method: &'static str,
    /// Name of the tokens' field.
    field: &'static str,
    too_far: &'static str,
    refusal: &'static str,
}

const REVOKE: RevocationPlan = RevocationPlan {
    method: "revoke_subaccount",
    field: "revoke",
    too_far: "revoke_subaccount timestamp too far from current time",
    refusal: "revoke_subaccount signature verification failed",
};

const UNREVOKE: RevocationPlan = RevocationPlan {
    method: "unrevoke_subaccount",
    field: "unrevoke",
    too_far: "unrevoke_subaccount timestamp too far from current time",
    refusal: "unrevoke_subaccount signature verification failed",
};

/// What tells `delete_all`, `delete_before` and `expire_all` apart.
struct TimedPlan {
    method: &'static str,
    /// Name of the time field.
    field: &'static str,
    refusal: &'static str,
    /// Name of the result field.
    result: &'static str,
}

impl Request {
    /// Whether it changes what is stored, or has a part that does.
    fn writes(&self) -> bool {
        match self {
            Self::IfElse(request) => [&request.then, &request.otherwise].into_iter().flatten().any(Self::writes),
            Self::Batch(requests) | Self::Sequence(requests) => requests.iter().any(Self::writes),
            other => other.is_recursive(),
        }
    }

    /// Whether the swarm's members pass it on to each other.
    const fn is_recursive(&self) -> bool {
        matches!(
            self,
            Self::Store(_)
                | Self::Delete(_)
                | Self::DeleteAll(_)
                | Self::DeleteBefore(_)
                | Self::ExpireAll(_)
                | Self::Expire(_)
                | Self::Revoke(_)
                | Self::Unrevoke(_)
        )
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
            let map = if first.is_none() { Some(serde_json::Map::new()) } else { json::parse(params).ok() };
            map.map(|map| (Encoding::Json, Request::parse(method, &Params::Json(&map))))
        }
    }
}

fn busy() -> Reply {
    Reply::text(Status::SERVICE_UNAVAILABLE, BUSY)
}

fn refused(invalid: &Invalid) -> Reply {
    Reply::text(Status::BAD_REQUEST, format!("invalid request: {invalid}"))
}

const fn tolerance(origin: Origin) -> u64 {
    match origin {
        Origin::Client => limit::SIGNATURE,
        Origin::Peer { .. } => limit::SIGNATURE_FORWARDED,
    }
}

/// `spec/node-rpc` §4.2: 0 is no wish, a negative size is a share.
fn limits(max_count: i64, max_size: i64) -> Limits {
    let max_count = u64::try_from(max_count).ok().filter(|count| *count > 0);
    let max_size = match max_size {
        0 if max_count.is_none() => limit::RETRIEVE / limit::DEFAULT_SHARE,
        0 => limit::RETRIEVE,
        share if share < 0 => limit::RETRIEVE / share.unsigned_abs(),
        size => size.unsigned_abs().min(limit::RETRIEVE),
    };
    Limits { max_count, max_size }
}

/// The fields that every forwarded command has.
fn forwarded(account: &AccountId, auth: Option<&Auth>) -> Vec<(&'static str, Bt)> {
    let mut fields = vec![("pubkey", account.0.as_slice().into())];
    if let Some(auth) = auth {
        fields.push(("signature", auth.signature.as_slice().into()));
        if let Some(key) = &auth.pubkey_ed25519 {
            fields.push(("pubkey_ed25519", key.as_slice().into()));
        }
        if let Some(subaccount) = &auth.subaccount {
            fields.push(("subaccount", subaccount.token.as_slice().into()));
            fields.push(("subaccount_sig", subaccount.signature.as_slice().into()));
        }
    }
    fields
}

/// A member's own failure, as its entry in the answer.
fn failure(error: &StoreError) -> Entries {
    tracing::warn!(%error, "a write failed");
    Entries::from([
        ("failed".into(), Value::Bool(true)),
        ("query_failure".into(), Value::Bool(true)),
        ("reason".into(), Value::text(error.public())),
    ])
}

/// The answer to another member: its entry alone. **Post-2.8** nodes say 500 when it failed.
fn peer_reply(entries: Result<Entries, Entries>) -> Reply {
    match entries {
        Ok(entries) => Reply::value(Status::OK, Value::Dict(entries)),
        Err(failed) => Reply::value(Status::INTERNAL_SERVER_ERROR, Value::Dict(failed)),
    }
}

/// A command as it is passed on.
struct Forward {
    method: &'static str,
    /// When the swarm took it.
    at: Millis,
    /// Params for any node.
    plain: Bytes,
    /// Params for nodes that ask when.
    timed: Bytes,
}

impl Forward {
    fn new(method: &'static str, fields: Vec<(&'static str, Bt)>, at: Millis) -> Self {
        Self::timed(method, fields, at, vec![(AT, at.0.into())])
    }

    /// One that nobody reads.
    const fn to_nobody(at: Millis) -> Self {
        Self { method: "", at, plain: Bytes::new(), timed: Bytes::new() }
    }

    /// One that sets an expiry of at most `latest`.
    fn expiring(method: &'static str, fields: Vec<(&'static str, Bt)>, at: Millis, latest: Millis) -> Self {
        Self::timed(method, fields, at, vec![(AT, at.0.into()), (LATEST, latest.0.into())])
    }

    fn timed(method: &'static str, fields: Vec<(&'static str, Bt)>, at: Millis, times: Vec<(&[u8], Bt)>) -> Self {
        let plain = Bytes::from(Bt::dict(fields).encode());
        // The times' keys sort before all others.
        let times = Bt::dict(times).encode();
        let timed = Bytes::from([&times[..times.len() - 1], &plain[1..]].concat());
        Self { method, at, plain, timed }
    }

    fn command(&self) -> Command {
        Command { method: self.method.to_owned(), params: self.timed.to_vec() }
    }

    /// The change that it makes; a client's is promised to the other members.
    fn change(&self, view: &SwarmView<'_>, origin: Origin) -> Change {
        let replicas = if origin == Origin::Client { view.replicas.as_slice() } else { &[] };
        let members = replicas.iter().map(|node| node.ed25519).collect();
        Change { at: self.at, command: self.command(), members }
    }
}

/// Members that gave no answer.
fn missed_by(answers: &[(Ed25519PublicKey, MemberAnswer)]) -> Vec<Ed25519PublicKey> {
    answers.iter().filter(|(_, answer)| answer.is_missed()).map(|(member, _)| *member).collect()
}

fn member_entry(answer: MemberAnswer) -> Entries {
    let failed = ("failed".into(), Value::Bool(true));
    match answer {
        MemberAnswer::Done(Bt::Dict(result)) => result
            .into_iter()
            .map(|(key, value)| {
                let key = String::from_utf8_lossy(&key).into_owned();
                // The one field that is bytes; all else passes as it came.
                let value = match value {
                    Bt::Bytes(bytes) if key == "signature" => Value::Bytes(bytes),
                    other => Value::from_bt(other),
                };
                (Cow::Owned(key), value)
            })
            .collect(),
        MemberAnswer::Refused { code, reason } => {
            Entries::from([failed, ("code".into(), Value::text(code)), ("reason".into(), Value::text(reason))])
        }
        MemberAnswer::TimedOut => Entries::from([failed, ("timeout".into(), Value::Bool(true))]),
        MemberAnswer::Bad | MemberAnswer::Done(_) => {
            Entries::from([failed, ("bad_peer_response".into(), Value::Bool(true))])
        }
    }
}

/// How many hashes a member's `delete` names; `None` when it failed.
fn deleted_in(entry: &Value) -> Option<usize> {
    let Value::Dict(entry) = entry else { return None };
    match entry.get("deleted") {
        Some(Value::List(deleted)) => Some(deleted.len()),
        _ => None,
    }
}

fn sorted(hashes: Vec<MessageHash>) -> Vec<String> {
    let mut texts: Vec<String> = hashes.iter().map(MessageHash::to_string).collect();
    texts.sort_unstable();
    texts
}

fn texts(hashes: Vec<String>) -> Value {
    Value::List(hashes.into_iter().map(Value::text).collect())
}

fn by_namespace(hashes: Vec<(Namespace, MessageHash)>) -> Value {
    let mut grouped: BTreeMap<i16, Vec<MessageHash>> = BTreeMap::new();
    for (namespace, hash) in hashes {
        grouped.entry(namespace.0).or_default().push(hash);
    }
    Value::dict(grouped.into_iter().map(|(namespace, hashes)| (namespace.to_string(), texts(sorted(hashes)))))
}

/// The wrapper of `batch` and `sequence`.
fn results(replies: Vec<Reply>) -> Reply {
    let results = replies.into_iter().map(result).collect();
    Reply::value(Status::OK, Value::dict([("results", Value::List(results))]))
}

/// One reply inside another.
fn result(reply: Reply) -> Value {
    Value::dict([("code", Value::Int(reply.status.code().into())), ("body", reply.into_value())])
}

fn snode(node: &NodeInfo) -> Value {
    Value::dict([
        ("address", Value::text(format!("{}.snode", base32z(&node.legacy.0)))),
        ("pubkey_legacy", Value::text(node.legacy.to_string())),
        ("pubkey_x25519", Value::text(node.x25519.to_string())),
        ("pubkey_ed25519", Value::text(node.ed25519.to_string())),
        ("port", Value::text(node.https_port.to_string())),
        ("port_https", Value::Int(node.https_port.into())),
        ("port_omq", Value::Int(node.omq_port.into())),
        ("port_quic", Value::Int(node.omq_port.into())),
        ("ip", Value::text(node.ip.to_string())),
    ])
}

/// 52 characters of z-base-32, most significant bit first.
pub fn base32z(key: &[u8; 32]) -> String {
    const ALPHABET: &[u8; 32] = b"ybndrfg8ejkmcpqxot1uwisza345h769";
    let mut out = String::with_capacity(52);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for &byte in key {
        bits = (bits << 8) | u32::from(byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            out.push(char::from(ALPHABET[(bits >> held & 31) as usize]));
        }
        bits &= (1 << held) - 1;
    }
    if held > 0 {
        out.push(char::from(ALPHABET[(bits << (5 - held) & 31) as usize]));
    }
    out
}

#[cfg(test)]
mod tests;
