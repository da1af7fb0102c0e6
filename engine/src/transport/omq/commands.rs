//! The commands that others may send, and what each does (`spec/transports` §2.3-§2.5).

use std::sync::Arc;

use bytes::Bytes;

use super::{
    super::{
        ANSWER_TOO_LARGE, MAX_BODY, control,
        metrics::Refusal,
        services::Services,
        slots::{Slot, Slots},
        traffic::{Direction, Outcome},
    },
    Incoming,
};
use crate::{
    batch::Source,
    rpc::{BUSY, Encoding, KEEPS_NOTHING, METHODS, Reply, Status, Subscriber, Via},
};

/// Who may call, and how many calls may be under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Category {
    /// Other active nodes.
    Sn,
    /// Anyone.
    Storage,
    /// Anyone.
    Monitor,
    /// Configured keys.
    Service,
    /// Anyone.
    Control,
    /// Other nodes, also those that are not active.
    Gossip,
}

/// Calls under way, by category. Clones share them.
#[derive(Clone)]
pub(super) struct InFlight {
    sn: Slots,
    storage: Slots,
    monitor: Slots,
    service: Slots,
    control: Slots,
    gossip: Slots,
}

impl InFlight {
    pub(super) fn new() -> Self {
        Self {
            sn: Slots::new(1000),
            storage: Slots::new(200),
            monitor: Slots::new(500),
            service: Slots::new(20),
            control: Slots::new(128),
            gossip: Slots::new(128),
        }
    }

    /// By name: how many there are, and may be.
    pub(super) fn read(&self) -> [(&'static str, usize, usize); 6] {
        [
            ("omq_sn", &self.sn),
            ("omq_storage", &self.storage),
            ("omq_monitor", &self.monitor),
            ("omq_service", &self.service),
            ("omq_control", &self.control),
            ("omq_gossip", &self.gossip),
        ]
        .map(|(name, slots)| (name, slots.taken(), slots.limit()))
    }

    /// Whether nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.read().iter().all(|(_, taken, _)| *taken == 0)
    }

    pub(super) const fn of(&self, category: Category) -> &Slots {
        match category {
            Category::Sn => &self.sn,
            Category::Storage => &self.storage,
            Category::Monitor => &self.monitor,
            Category::Service => &self.service,
            Category::Control => &self.control,
            Category::Gossip => &self.gossip,
        }
    }
}

/// A command, recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Ping,
    Onion,
    Forwarded,
    Data,
    DataReady,
    StorageTest,
    Monitor,
    Stats,
    /// A client method of this name.
    Rpc(&'static str),
    /// A question for whoever runs the node.
    Control(&'static str),
    /// What a node tells whoever runs this one.
    Gossip(&'static str),
}

impl Endpoint {
    pub(super) fn find(command: &[u8]) -> Option<Self> {
        match command {
            b"sn.ping" => Some(Self::Ping),
            b"sn.onion_request" => Some(Self::Onion),
            b"sn.storage_cc" => Some(Self::Forwarded),
            b"sn.data" => Some(Self::Data),
            b"sn.data_ready" => Some(Self::DataReady),
            b"sn.storage_test" => Some(Self::StorageTest),
            b"monitor.messages" => Some(Self::Monitor),
            b"service.get_stats" => Some(Self::Stats),
            _ => {
                let named = |name: &&&str| name.as_bytes() == command;
                if let Some(name) = control::CLAIMS.iter().find(named) {
                    return Some(Self::Control(name));
                }
                if let Some(name) = control::LIVENESS.iter().find(named) {
                    return Some(Self::Gossip(name));
                }
                let method = command.strip_prefix(b"storage.")?;
                METHODS.iter().find(|name| name.as_bytes() == method).map(|name| Self::Rpc(name))
            }
        }
    }

    /// Its name, if it is for nodes to ask each other.
    pub(super) const fn between_nodes(self) -> Option<&'static str> {
        match self {
            Self::Ping => Some("sn.ping"),
            Self::Onion => Some("sn.onion_request"),
            Self::Forwarded => Some("sn.storage_cc"),
            Self::Data => Some("sn.data"),
            Self::DataReady => Some("sn.data_ready"),
            Self::StorageTest => Some("sn.storage_test"),
            Self::Gossip(name) => Some(name),
            Self::Rpc(_) | Self::Monitor | Self::Stats | Self::Control(_) => None,
        }
    }

    pub(super) const fn category(self) -> Category {
        match self {
            Self::Ping | Self::Onion | Self::Forwarded | Self::Data | Self::DataReady | Self::StorageTest => {
                Category::Sn
            }
            Self::Rpc(_) => Category::Storage,
            Self::Monitor => Category::Monitor,
            Self::Stats => Category::Service,
            Self::Control(_) => Category::Control,
            Self::Gossip(_) => Category::Gossip,
        }
    }
}

/// What a message says, its sender set apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// A greeting, to be returned.
    Greeting,
    /// A request.
    Call { endpoint: Endpoint, tag: Bytes, parts: Vec<Bytes> },
    /// Something that is answered with these frames.
    Refused(Vec<Bytes>),
}

impl Asked {
    /// From the frames after the sender's; `None` when there is none.
    pub(super) fn read(mut frames: Vec<Bytes>) -> Option<Self> {
        if frames.is_empty() {
            return None;
        }
        let parts = frames.split_off(frames.len().min(2));
        let mut head = frames.into_iter();
        let command = head.next()?;
        if command.as_ref() == b"HI" {
            return Some(Self::Greeting);
        }
        Some(match (Endpoint::find(&command), head.next()) {
            (None, _) => Self::Refused(vec![Bytes::from_static(b"UNKNOWNCOMMAND"), command]),
            (Some(_), None) => Self::Refused(vec![Bytes::from_static(b"NO_REPLY_TAG"), command]),
            (Some(endpoint), Some(tag)) => Self::Call { endpoint, tag, parts },
        })
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

/// Executes a request; `None` when there is nothing to answer.
pub(super) async fn execute(services: &Services, incoming: Incoming, slot: Slot) -> Option<Vec<Bytes>> {
    let command = incoming.endpoint.between_nodes();
    let answer = carry_out(services, incoming, slot).await;
    if let Some(command) = command {
        let outcome = answer.as_ref().map_or(Outcome::Unanswered, |parts| Outcome::of(command, parts));
        services.traffic.add(Direction::In, command, outcome);
    }
    let answer = answer?;
    // A part that is too large would end the connection, and with it what others wait for.
    let fits = answer.iter().all(|part| part.len() <= MAX_BODY);
    Some(if fits { answer } else { refusal(Status::INTERNAL_SERVER_ERROR, ANSWER_TOO_LARGE).into() })
}

async fn carry_out(services: &Services, incoming: Incoming, slot: Slot) -> Option<Vec<Bytes>> {
    let Incoming { endpoint, parts, key, from } = incoming;
    match (endpoint, parts.as_slice()) {
        (Endpoint::Ping, _) => {
            services.pinged.omq.now();
            Some(vec![Bytes::from_static(b"pong")])
        }
        // Nobody begins these any more; this answer is always safe (`spec/swarms` §5.4).
        (Endpoint::StorageTest, _) => Some(vec![Bytes::from_static(b"wrong request")]),
        (Endpoint::DataReady, parts) => {
            let network = services.network.load();
            let from = network.by_x25519(&key).map(|node| node.ed25519);
            let answer = match (from, &services.keeping) {
                (Some(_), None) => Err(KEEPS_NOTHING.to_owned()),
                (Some(from), Some(keeping)) => {
                    keeping.handshake.answer(&from, parts.first().map_or(&[][..], Bytes::as_ref)).await
                }
                (None, _) => Err("Remote not recognized as SN".to_owned()),
            };
            Some(vec![answer.map_or_else(Bytes::from, |()| Bytes::from_static(b"OK"))])
        }
        (Endpoint::Onion, _) => {
            let dict = parts.into_iter().next().unwrap_or_default();
            let answer = services.onion.hop(dict, Source::of(&key.0), slot).await;
            Some(vec![answer.status.as_u16().to_string().into(), answer.body])
        }
        (Endpoint::Forwarded, [method, params]) => {
            let method = String::from_utf8_lossy(method);
            Some(answer(&services.rpc.call_forwarded(&method, params).await, Encoding::Bencode))
        }
        (Endpoint::Forwarded, [] | [_]) => None,
        (Endpoint::Forwarded, parts) => Some(miscounted(2, parts)),
        // Without parts when all is well.
        (Endpoint::Data, parts) => Some(match services.rpc.receive(&parts.concat()).await {
            Ok(()) => Vec::new(),
            Err(text) => refusal(Status::INTERNAL_SERVER_ERROR, text).into(),
        }),
        (Endpoint::Monitor, parts) => {
            // Anything but one part is a request without a body.
            let body = if let [body] = parts { body.as_ref() } else { &[] };
            let subscriber: Arc<dyn Subscriber> = from;
            Some(vec![services.rpc.monitor(body, &subscriber).into()])
        }
        (Endpoint::Stats, _) => Some(vec![services.stats_json().into()]),
        (Endpoint::Rpc(method), [] | [_]) => {
            if let Some(reason) = services.readiness.reason() {
                services.refusals.add(Via::Omq, Refusal::NotReady);
                let text = format!("Service node is not ready: {reason}\n");
                return Some(refusal(Status::SERVICE_UNAVAILABLE, &text).into());
            }
            let params = parts.first().map_or(&[][..], Bytes::as_ref);
            services.rpc.call(method, params, Via::Omq).await.map(|(encoding, reply)| answer(&reply, encoding))
        }
        (Endpoint::Rpc(_), parts) => Some(miscounted(1, parts)),
        (Endpoint::Control(command) | Endpoint::Gossip(command), _) => {
            let desk = if endpoint.category() == Category::Gossip { &services.gossip } else { &services.control };
            let from = services.network.load().by_x25519(&key).map(|node| node.ed25519);
            let answer = desk.ask(command, from, parts).await;
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(texts: &[&'static [u8]]) -> Vec<Bytes> {
        texts.iter().map(|text| Bytes::from_static(text)).collect()
    }

    #[test]
    fn messages_are_told_apart() {
        assert_eq!(Asked::read(Vec::new()), None);
        assert_eq!(Asked::read(frames(&[b"HI"])), Some(Asked::Greeting));
        let call = Asked::Call { endpoint: Endpoint::Rpc("info"), tag: "t".into(), parts: frames(&[b"{}"]) };
        assert_eq!(Asked::read(frames(&[b"storage.info", b"t", b"{}"])), Some(call));
        let untagged = Asked::Refused(frames(&[b"NO_REPLY_TAG", b"sn.ping"]));
        assert_eq!(Asked::read(frames(&[b"sn.ping"])), Some(untagged));
        let unknown = Asked::Refused(frames(&[b"UNKNOWNCOMMAND", b"storage.batch2"]));
        assert_eq!(Asked::read(frames(&[b"storage.batch2", b"t"])), Some(unknown));
    }

    proptest! {
        #[test]
        fn fuzz_omq_frames(bytes in crate::fuzz::hostile("omq")) {
            // Each frame behind its length, two bytes.
            let mut rest = bytes.as_slice();
            let mut message = Vec::new();
            while let Some((length, after)) = rest.split_first_chunk::<2>() {
                let length = usize::from(u16::from_be_bytes(*length)).min(after.len());
                message.push(Bytes::copy_from_slice(&after[..length]));
                rest = &after[length..];
            }
            let count = message.len();
            match Asked::read(message) {
                None => prop_assert_eq!(count, 0),
                Some(Asked::Greeting) => {}
                Some(Asked::Refused(frames)) => prop_assert_eq!(frames.len(), 2),
                Some(Asked::Call { endpoint, parts, .. }) => {
                    prop_assert_eq!(parts.len(), count - 2);
                    if let (Endpoint::Onion, Some(dict)) = (endpoint, parts.first()) {
                        let _ = crate::onion::decode_hop(dict.clone());
                    }
                }
            }
        }
    }
}
