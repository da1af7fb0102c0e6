//! The running node: what it is asked, how it ends.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::runtime::Handle;

use crate::{
    batch::Source,
    clock::Clock,
    onion::Piece,
    replicate::PeerError,
    rpc::{BUSY, Encoding, Status, Via},
    store::{Store, StoreError},
    swarm::{NodeInfo, Snapshot},
    threads::Threads,
    transport::{
        Https, Listeners, NodeStats, Omq, OnionAnswer, Peers, Pinged, Quic, Reachable, ServerContext, Slot, Slots,
        peers::reachability,
        server::control::{self, Control},
    },
    types::{Ed25519PublicKey, Millis},
    watchdog::{Ward, Watchdog},
};

/// Nodes that one question is put to at the same time.
const ASKED_AT_ONCE: usize = 256;
/// Bytes of the answer of one of them.
const MAX_ANSWER: usize = 64 << 10;
/// How long requests of the program that has the node may take once it closes.
const LAST_REQUESTS: Duration = Duration::from_secs(35);
/// How long requests that write may take once nobody is served any more.
const LAST_WRITES: Duration = Duration::from_secs(10);
/// What a request is told that comes too late.
const CLOSED: &[u8] = b"Service node is not ready: shutting down\n";

/// What nodes answered, later.
pub type Answers = mpsc::Receiver<Vec<Result<Vec<Bytes>, PeerError>>>;

/// What goes back to whoever asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// An HTTP status.
    pub status: u16,
    /// What is said.
    pub body: Bytes,
}

/// A running node. Dropping it shuts it down.
pub struct Node {
    pub(super) context: Arc<ServerContext>,
    pub(super) links: Arc<Peers>,
    pub(super) clock: Clock,
    pub(super) listeners: Option<Listeners>,
    pub(super) https: Option<Https>,
    pub(super) omq: Option<Omq>,
    pub(super) quic: Option<Quic>,
    /// Requests of the program that has the node, until they are answered.
    pub(super) of_program: Slots,
    pub(super) threads: Option<Threads>,
    pub(super) ward: Arc<Ward>,
    pub(super) watchdog: Option<Watchdog>,
}

impl Node {
    /// What is watched, and how it is.
    #[must_use]
    pub fn ward(&self) -> Arc<Ward> {
        Arc::clone(&self.ward)
    }

    /// Puts a new picture of the network in force.
    pub fn set_network(&self, snapshot: Snapshot) {
        self.context.liveness.keep(&snapshot);
        self.context.network.replace(snapshot);
        if self.context.readiness.reason().is_none() {
            self.context.readiness.open();
        }
        if let Some(storage) = &self.context.storage {
            storage.network_changed();
        }
        self.context.rpc.network_changed();
    }

    /// A lever of test networks: from now on exactly these nodes are not reached.
    pub fn cut_off(&self, nodes: impl IntoIterator<Item = Ed25519PublicKey>) {
        self.links.cut_off(nodes.into_iter().collect());
    }

    /// The time by which it judges requests: the system's, or that of most other nodes if it is another.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// How far the system's clock is ahead of most other nodes', in milliseconds; `None` while that is not known.
    #[must_use]
    pub fn clock_ahead(&self) -> Option<i64> {
        self.clock.ahead()
    }

    /// A lever of test networks: the node's clock runs `ms` ahead of the system's.
    pub fn set_clock_offset(&self, ms: i64) {
        self.clock.set_offset(ms);
    }

    /// Tests whether another node can be reached (`spec/swarms` §5.1): the result comes within some seconds, or nothing
    /// when the node shuts down. `None` for a node that is not known, or has no address.
    #[must_use]
    pub fn test_peer(&self, node: &Ed25519PublicKey) -> Option<mpsc::Receiver<Reachable>> {
        let network = self.context.network.load();
        let node = Arc::clone(network.by_ed25519(node)?);
        let runtime = self.runtime().filter(|_| node.is_reachable())?;
        let (answer, coming) = mpsc::channel();
        let (hardfork, links, liveness) =
            (network.hardfork, Arc::clone(&self.links), Arc::clone(&self.context.liveness));
        runtime.spawn(async move {
            let result = reachability::test(hardfork, links, Arc::clone(&node)).await;
            liveness.tested(node.ed25519, result);
            answer.send(result)
        });
        Some(coming)
    }

    /// Questions of other nodes and of people, for whoever runs this one.
    #[must_use]
    pub fn control(&self) -> Arc<Control> {
        Arc::clone(&self.context.control)
    }

    /// What other nodes tell of who works, for whoever runs this one.
    #[must_use]
    pub fn gossip(&self) -> Arc<Control> {
        Arc::clone(&self.context.gossip)
    }

    /// Puts one of [`control::CLAIMS`] or [`control::LIVENESS`] to many nodes: their answers come in the order of `nodes`, all at once, or
    /// nothing when the node shuts down. `None` for another command, and after the shutdown.
    #[must_use]
    pub fn ask(&self, nodes: Vec<NodeInfo>, command: &str, parts: Vec<Bytes>, limit: Duration) -> Option<Answers> {
        let command = *control::CLAIMS.iter().chain(&control::LIVENESS).find(|name| **name == command)?;
        let runtime = self.runtime()?;
        let (answer, coming) = mpsc::channel();
        let links = Arc::clone(&self.links);
        runtime.spawn(async move {
            let asked = stream::iter(nodes).map(|node| {
                let (links, parts) = (Arc::clone(&links), parts.clone());
                async move {
                    let answer = links.request_omq(&Arc::new(node), command, parts, limit).await?;
                    let length: usize = answer.iter().map(Bytes::len).sum();
                    // All of them are held at the same time.
                    if length > MAX_ANSWER {
                        Err(PeerError::Refused("too long an answer".to_owned()))
                    } else {
                        Ok(answer)
                    }
                }
            });
            answer.send(asked.buffered(ASKED_AT_ONCE).collect().await)
        });
        Some(coming)
    }

    /// When somebody has last tested whether this node can be reached.
    #[must_use]
    pub fn pinged(&self) -> &Pinged {
        &self.context.pinged
    }

    /// Why requests are refused; `None` when the node serves.
    #[must_use]
    pub fn not_ready(&self) -> Option<String> {
        self.context.readiness.reason()
    }

    pub(crate) fn context(&self) -> &ServerContext {
        &self.context
    }

    pub(crate) const fn https(&self) -> Option<&Https> {
        self.https.as_ref()
    }

    pub(crate) const fn omq(&self) -> Option<&Omq> {
        self.omq.as_ref()
    }

    pub(crate) const fn quic(&self) -> Option<&Quic> {
        self.quic.as_ref()
    }

    /// What the node is doing.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn stats(&self) -> Result<NodeStats, StoreError> {
        self.context.stats()
    }

    /// The picture of the network that is in force.
    #[must_use]
    pub fn network(&self) -> Arc<Snapshot> {
        self.context.network.load()
    }

    /// Its messages, if it keeps any.
    #[must_use]
    pub fn store(&self) -> Option<&Store> {
        self.context.storage.as_ref().map(|storage| &storage.store)
    }

    /// An onion request that came another way than through the node's own sockets. It is carried out also when nobody waits
    /// for the answer.
    pub fn onion(&self, payload: impl Into<Piece>) -> impl Future<Output = Answer> + Send + 'static {
        let payload = payload.into();
        self.carry_out(|context, slot| async move {
            let OnionAnswer { status, body, .. } = context.onion.entry(payload, Source::new(), slot).await;
            Answer { status: status.as_u16(), body }
        })
    }

    /// A client's request `{"method", "params"}` in JSON that came another way than through the node's own sockets. It is
    /// carried out also when nobody waits for the answer.
    pub fn request(&self, body: impl Into<Bytes>) -> impl Future<Output = Answer> + Send + 'static {
        let body = body.into();
        self.carry_out(|context, slot| async move {
            let reply = context.rpc.call_json(&body, Via::Program, ()).await;
            drop(slot);
            Answer { status: reply.status.code(), body: reply.encode(Encoding::Json).into() }
        })
    }

    fn carry_out<F: Future<Output = Answer> + Send + 'static>(
        &self,
        what: impl FnOnce(Arc<ServerContext>, Slot) -> F,
    ) -> impl Future<Output = Answer> + Send + 'static {
        let context = &self.context;
        let slot = match context.readiness.reason() {
            Some(reason) => Err(format!("Service node is not ready: {reason}\n").into()),
            None => context.clients.take().ok_or(Bytes::from_static(BUSY.as_bytes())),
        };
        let answer = match (slot, self.runtime()) {
            (Ok(slot), Some(runtime)) => {
                let (carried_out, of_program) = (what(Arc::clone(context), slot), self.of_program.take());
                Ok(runtime.spawn(async move {
                    let answer = carried_out.await;
                    drop(of_program);
                    answer
                }))
            }
            (Err(text), _) => Err(text),
            (Ok(_), None) => Err(Bytes::from_static(CLOSED)),
        };
        async move {
            let body = match answer {
                Ok(answer) => match answer.await {
                    Ok(answer) => return answer,
                    Err(_) => Bytes::from_static(CLOSED),
                },
                Err(text) => text,
            };
            Answer { status: Status::SERVICE_UNAVAILABLE.code(), body }
        }
    }

    /// Sends clients away without refusing a request, finishes those under way, writes what is queued, closes. The sockets
    /// go on listening: whoever comes waits for the successor that is started on them. `None` after the shutdown. As
    /// [`Self::shutdown`] on a runtime that is lent to the node.
    pub fn hand_over(&mut self) -> Option<Listeners> {
        let threads = self.threads.as_ref()?;
        if let Some(https) = self.https.take() {
            threads.carry_out(https.leave());
        }
        let listeners = self.listeners.take();
        if let Some(Err(error)) = listeners.as_ref().map(Listeners::hush_omq) {
            tracing::warn!(%error, "who connects over OMQ now may have to connect again");
        }
        if let Some(omq) = &self.omq {
            omq.leave();
        }
        if let Some(quic) = self.quic.take() {
            threads.carry_out(quic.leave());
        }
        self.shutdown();
        listeners
    }

    /// Refuses new requests, finishes those under way, writes what is queued, closes. Idempotent. On a runtime that is lent
    /// to the node, which may have no other thread than this one, it waits for no request; [`Self::close`] does.
    pub fn shutdown(&mut self) {
        let Some(threads) = self.threads.take() else { return };
        let closing = self.closing();
        threads.carry_out(closing);
        self.end(threads);
    }

    /// As [`Self::shutdown`], from inside a runtime: it waits for the requests under way wherever they run.
    pub async fn close(&mut self) {
        let Some(threads) = self.threads.take() else { return };
        let _ = threads.handle().spawn(self.closing()).await;
        self.end(threads);
    }

    /// Where it runs; `None` after the shutdown.
    #[must_use]
    pub fn runtime(&self) -> Option<&Handle> {
        self.threads.as_ref().map(Threads::handle)
    }

    /// Refuses new requests at once, and finishes those under way.
    fn closing(&mut self) -> impl Future<Output = ()> + Send + use<> {
        if self.listeners.is_some() {
            self.context.readiness.close();
        }
        self.context.control.close();
        self.context.gossip.close();
        let (https, quic, rpc) = (self.https.take(), self.quic.take(), Arc::clone(&self.context.rpc));
        let of_program = self.of_program.clone();
        async move {
            // Side by side: they take no longer together than one of them may.
            let of_program = tokio::time::timeout(LAST_REQUESTS, of_program.empty());
            let of_clients = async {
                if let Some(https) = https {
                    https.close().await;
                }
            };
            let _ = tokio::join!(of_program, of_clients);
            if let Some(quic) = quic {
                quic.close().await;
            }
            rpc.written(LAST_WRITES).await;
        }
    }

    fn end(&mut self, threads: Threads) {
        // What ends now is not missed.
        self.watchdog = None;
        if let Some(omq) = self.omq.take() {
            omq.close();
        }
        self.context.readiness.close();
        if let Some(store) = self.store() {
            store.close();
        }
        drop(threads);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shutdown();
    }
}
