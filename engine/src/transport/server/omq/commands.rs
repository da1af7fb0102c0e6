//! What each command does (`spec/transports` §2.3-§2.5).

use std::sync::Arc;

use bytes::Bytes;

use super::{
    super::{context::ServerContext, control::Asker, refusals::Refusal},
    endpoints::{Category, Endpoint},
};
use crate::{
    batch::Source,
    holder::Holder,
    rpc::{BUSY, Encoding, KEEPS_NOTHING, Notice, Reply, Status, Subscriber, Ticket, Via},
    transport::{
        ANSWER_TOO_LARGE, MAX_BODY,
        memory::MemoryShare,
        omq::{
            queue::{Caller, Command, Sender},
            sockets::{COPIES, LENT, LENT_TO_NODES},
        },
        peers::{Direction, Outcome},
        slots::Slot,
    },
};

/// A request that came in.
pub(super) struct OmqRequest {
    pub(super) endpoint: Endpoint,
    pub(super) parts: Vec<Bytes>,
    /// What `parts` take of the memory for requests.
    pub(super) share: MemoryShare,
    pub(super) caller: Arc<Caller>,
    /// The way back.
    pub(super) sender: Sender,
    /// Its place among the requests of its connection, where that counts.
    pub(super) ticket: Option<Ticket>,
}

/// A connection that may subscribe.
struct OmqSubscriber {
    id: Vec<u8>,
    to: Arc<Caller>,
    sender: Sender,
}

impl OmqSubscriber {
    fn new(to: Arc<Caller>, sender: Sender) -> Self {
        Self { id: to.route.id(), to, sender }
    }
}

impl Subscriber for OmqSubscriber {
    fn connection(&self) -> &[u8] {
        &self.id
    }

    fn holder(&self) -> Holder {
        self.to.holder
    }

    fn notify(&self, notice: Notice, dict: Bytes) {
        // A full queue loses the notification, as a lost connection would.
        let _ = self.sender.send(Command::Notify { to: Arc::clone(&self.to), notice, dict });
    }
}

/// The answer when as many calls as allowed are under way.
pub(super) fn busy() -> [Bytes; 2] {
    refusal(Status::SERVICE_UNAVAILABLE, BUSY)
}

/// The answer to an address that asks too fast.
pub(super) fn too_many() -> [Bytes; 2] {
    refusal(Status::TOO_MANY_REQUESTS, "Too many requests, try again later")
}

/// Executes a request; `None` when there is nothing to answer. The answer is counted until it is sent.
pub(super) async fn execute(context: &ServerContext, request: OmqRequest, slot: Slot) -> Option<Vec<Bytes>> {
    let command = request.endpoint.between_nodes();
    let (holder, least) = (request.caller.holder, if request.caller.is_node() { LENT_TO_NODES } else { LENT });
    let answer = carry_out(context, request, slot).await;
    if let Some(command) = command {
        let outcome = answer.as_ref().map_or(Outcome::Unanswered, |parts| Outcome::of(command, parts));
        context.traffic.add(Direction::In, command, outcome);
    }
    let answer = answer?;
    // A part that is too large would end the connection, and with it what others wait for.
    if answer.iter().any(|part| part.len() > MAX_BODY) {
        return Some(refusal(Status::INTERNAL_SERVER_ERROR, ANSWER_TOO_LARGE).into());
    }
    let count = |part: Bytes| {
        if part.len() < least { Some(part) } else { context.memory.answers.hold_copies(holder, part, COPIES) }
    };
    Some(answer.into_iter().map(count).collect::<Option<_>>().unwrap_or_else(|| {
        context.refusals.add(Via::Omq, Refusal::Busy);
        busy().into()
    }))
}

async fn carry_out(context: &ServerContext, request: OmqRequest, slot: Slot) -> Option<Vec<Bytes>> {
    let OmqRequest { endpoint, parts, share: _share, caller, sender, ticket } = request;
    let key = caller.key;
    match (endpoint, parts.as_slice()) {
        (Endpoint::Ping, _) => {
            context.pinged.omq.now();
            Some(vec![Bytes::from_static(b"pong")])
        }
        // Nobody begins these any more; this answer is always safe (`spec/swarms` §5.4).
        (Endpoint::StorageTest, _) => Some(vec![Bytes::from_static(b"wrong request")]),
        (Endpoint::DataReady, parts) => {
            let network = context.network.load();
            let from = network.by_x25519(&key).map(|node| node.ed25519);
            let answer = match (from, &context.storage) {
                (Some(_), None) => Err(KEEPS_NOTHING.to_owned()),
                (Some(from), Some(storage)) => {
                    storage.handshake.answer(&from, parts.first().map_or(&[][..], Bytes::as_ref)).await
                }
                (None, _) => Err("Remote not recognized as SN".to_owned()),
            };
            Some(vec![answer.map_or_else(Bytes::from, |()| Bytes::from_static(b"OK"))])
        }
        (Endpoint::Onion, _) => {
            let dict = parts.into_iter().next().unwrap_or_default();
            let answer = context.onion.hop(dict, Source::of(&key.0), slot).await;
            Some(vec![answer.status.as_u16().to_string().into(), answer.body])
        }
        (Endpoint::Forwarded, [method, params]) => {
            let method = String::from_utf8_lossy(method);
            Some(answer(&context.rpc.call_forwarded(&method, params, ticket).await, Encoding::Bencode))
        }
        (Endpoint::Forwarded, [] | [_]) => None,
        (Endpoint::Forwarded, parts) => Some(miscounted(2, parts)),
        // Without parts when all is well.
        (Endpoint::Data, parts) => {
            let from = context.network.load().by_x25519(&key).map(|node| node.ed25519);
            let received = match from {
                Some(from) => context.rpc.receive(&from, &parts.concat()).await,
                None => Err("Remote not recognized as SN"),
            };
            Some(match received {
                Ok(()) => Vec::new(),
                Err(text) => refusal(Status::INTERNAL_SERVER_ERROR, text).into(),
            })
        }
        (Endpoint::Monitor, parts) => {
            // Anything but one part is a request without a body.
            let body = if let [body] = parts { body.as_ref() } else { &[] };
            let subscriber: Arc<dyn Subscriber> = Arc::new(OmqSubscriber::new(caller, sender));
            Some(vec![context.rpc.monitor(body, &subscriber).into()])
        }
        (Endpoint::Stats, _) => Some(vec![context.stats_json().into()]),
        (Endpoint::Rpc(method), [] | [_]) => {
            if let Some(reason) = context.readiness.reason() {
                context.refusals.add(Via::Omq, Refusal::NotReady);
                let text = format!("Service node is not ready: {reason}\n");
                return Some(refusal(Status::SERVICE_UNAVAILABLE, &text).into());
            }
            let params = parts.first().map_or(&[][..], Bytes::as_ref);
            let called = context.rpc.call(method, params, Via::Omq, ticket).await;
            called.map(|(encoding, reply)| answer(&reply, encoding))
        }
        (Endpoint::Rpc(_), parts) => Some(miscounted(1, parts)),
        (Endpoint::Control(command) | Endpoint::Gossip(command), _) => {
            let desk = if endpoint.category() == Category::Gossip { &context.gossip } else { &context.control };
            let node = context.network.load().by_x25519(&key).map(|node| node.ed25519);
            let source = if let Holder::Address(source) = caller.holder { Some(source) } else { None };
            let limited = node.is_none() && source.is_some_and(|at| !context.limiter.is_exempt(at.address()));
            let answer = desk.ask(command, Asker { node, source, limited }, parts).await;
            Some(answer.unwrap_or_else(|(status, text)| refusal(status, text).into()))
        }
    }
}

/// One part when it went well, two when not (`spec/transports` §2.4).
fn answer(reply: &Reply, encoding: Encoding) -> Vec<Bytes> {
    let body = reply.encode(encoding).into();
    if reply.status == Status::OK { vec![body] } else { vec![reply.status.code().to_string().into(), body] }
}

fn refusal(status: Status, text: &str) -> [Bytes; 2] {
    [status.code().to_string().into(), text.to_owned().into()]
}

fn miscounted(expected: usize, parts: &[Bytes]) -> Vec<Bytes> {
    let text = format!("Invalid request: expected {expected} message parts, received {}", parts.len());
    refusal(Status::BAD_REQUEST, &text).into()
}
