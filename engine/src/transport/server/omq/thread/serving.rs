//! What we are asked, along connections that either side opened.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    super::{
        super::refusals::Refusal,
        commands::{self, OmqRequest},
        endpoints::{Category, Endpoint},
        message::OmqMessage,
    },
    Io, ROUTER, TURN,
};
use crate::{
    holder::Holder,
    rpc::Via,
    transport::{
        omq::{
            queue::{Caller, Command, Route},
            sockets::{LENT, receive},
        },
        peers::{Direction, Outcome},
    },
    types::X25519PublicKey,
};

impl Io {
    /// Sends along one connection; whether that could be.
    pub(super) fn send_along(&mut self, route: &Route, head: &[&[u8]], parts: &[Bytes]) -> bool {
        match route {
            Route::Accepted(id) => {
                self.dirty.push(ROUTER);
                let mut frames: Vec<&[u8]> = vec![id];
                frames.extend(head);
                self.router.send_parts(&frames, parts, LENT).is_ok()
            }
            Route::Opened(number) => {
                self.dirty.push(*number);
                let Some(dealer) = self.dealers.get(*number) else { return false };
                dealer.socket.send_parts(head, parts, LENT).is_ok()
            }
        }
    }

    /// Sends to the caller: along the connection that it used, or along another that it has proven its key on.
    pub(super) fn send_back(&mut self, to: &Caller, head: &[&[u8]], parts: &[Bytes]) -> bool {
        if self.send_along(&to.route, head, parts) {
            return true;
        }
        match &to.route {
            Route::Accepted(_) => {
                let other = self.dealers.find(&to.key);
                other.is_some_and(|number| self.send_along(&Route::Opened(number), head, parts))
            }
            Route::Opened(_) => self.send_along(&Route::Accepted(node_routing_id(&to.key)), head, parts),
        }
    }

    /// Tells whoever connected to us to go.
    pub(super) fn part(&mut self, caller: &Caller) {
        if matches!(caller.route, Route::Accepted(_)) {
            self.send_along(&caller.route, &[b"BYE"], &[]);
        }
    }

    pub(super) fn serve_router(&mut self) -> io::Result<bool> {
        for _ in 0..TURN {
            let Some((mut frames, sender)) = receive(&self.router, true)? else { return Ok(false) };
            if frames.is_empty() {
                continue;
            }
            let id = frames.remove(0);
            let Some(sender) = sender else { continue };
            let Ok(key) = sender.user_id.parse::<X25519PublicKey>() else { continue };
            match OmqMessage::read(frames) {
                OmqMessage::Reply { tag, answer } => self.dealers.answered(&key, &tag, answer),
                message => {
                    let address = sender.address.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
                    self.take(message, key, Route::Accepted(id), address);
                }
            }
        }
        Ok(true)
    }

    /// Serves what came along either kind of connection.
    pub(super) fn take(&mut self, message: OmqMessage, key: X25519PublicKey, route: Route, address: IpAddr) {
        let known = self.context.network.load().by_x25519(&key).is_some();
        let holder = if known { Holder::Node(key) } else { Holder::at(address) };
        let caller = Arc::new(Caller { key, route, holder });
        let (endpoint, tag, parts) = match message {
            OmqMessage::Call { endpoint, tag, parts } => (endpoint, tag, parts),
            OmqMessage::Greeting => {
                self.send_along(&caller.route, &[b"HELLO"], &[]);
                return;
            }
            OmqMessage::Refused(answer) => {
                if known {
                    self.context.traffic.add(Direction::In, "", Outcome::Refused);
                }
                self.send_along(&caller.route, &[], &answer);
                return;
            }
            OmqMessage::Reply { .. } | OmqMessage::Bye | OmqMessage::Nothing => return,
        };
        if let Route::Opened(number) = caller.route
            && let Some(dealer) = self.dealers.get(number)
        {
            dealer.touch();
        }
        let refused: Option<&[u8]> = match endpoint.category() {
            Category::Sn if !self.may_call(endpoint, &caller.key) => Some(b"FORBIDDEN_SN"),
            Category::Gossip if !known => Some(b"FORBIDDEN_SN"),
            Category::Service if !self.context.admins.contains(&caller.key) => Some(b"FORBIDDEN"),
            _ => None,
        };
        if let Some(error) = refused {
            self.context.refusals.add(Via::Omq, Refusal::Forbidden);
            self.count(endpoint, Outcome::Refused);
            self.send_along(&caller.route, &[error, b"REPLY", &tag], &[]);
            return;
        }
        if matches!(endpoint.category(), Category::Storage | Category::Monitor | Category::Control)
            && !self.context.limiter.allow(address)
        {
            self.context.refusals.add(Via::Omq, Refusal::TooFast);
            self.send_along(&caller.route, &[b"REPLY", &tag], &commands::too_many());
            return;
        }
        self.dispatch(caller, tag, endpoint, parts);
    }

    /// As over QUIC, a node without a swarm may relay; what concerns messages is for members of swarms.
    fn may_call(&self, endpoint: Endpoint, key: &X25519PublicKey) -> bool {
        let relaying = matches!(endpoint, Endpoint::Ping | Endpoint::Onion);
        self.context.network.load().by_x25519(key).is_some_and(|node| node.is_active() || relaying)
    }

    fn count(&self, endpoint: Endpoint, outcome: Outcome) {
        if let Some(command) = endpoint.between_nodes() {
            self.context.traffic.add(Direction::In, command, outcome);
        }
    }

    fn dispatch(&mut self, caller: Arc<Caller>, tag: Bytes, endpoint: Endpoint, parts: Vec<Bytes>) {
        let bytes = parts.iter().map(Bytes::len).sum();
        let slot = self.in_flight.of(endpoint.category()).take();
        let room = slot.zip(self.context.memory.requests.take(caller.holder, bytes));
        let Some((slot, share)) = room else {
            self.context.refusals.add(Via::Omq, Refusal::Busy);
            self.count(endpoint, Outcome::Busy);
            self.send_along(&caller.route, &[b"REPLY", &tag], &commands::busy());
            return;
        };
        if let Some(leaving) = &mut self.leaving {
            leaving.take(&caller.route);
        }
        let ticket = endpoint.is_ordered().then(|| match self.pipelines.get(&caller.route) {
            Some(pipeline) => pipeline.ticket(),
            None => self.pipelines.entry(caller.route.clone()).or_default().ticket(),
        });
        let (context, sender) = (Arc::clone(&self.context), self.sender.clone());
        let request =
            OmqRequest { endpoint, parts, share, caller: Arc::clone(&caller), sender: sender.clone(), ticket };
        self.runtime.spawn(async move {
            let answer = commands::execute(&context, request, slot).await;
            if let Some(parts) = answer
                && sender.send(Command::Reply { to: caller, tag, parts }).is_err()
            {
                tracing::debug!("an answer was dropped: the OMQ queue is full");
            }
        });
    }

    /// Lets every key in, under its own name: what a key may do is decided per command.
    pub(super) fn serve_zap(&mut self) -> io::Result<bool> {
        for _ in 0..TURN {
            let Some((frames, _)) = receive(&self.zap, false)? else { return Ok(false) };
            // version, sequence, domain, address, routing id, mechanism, key
            let sequence = frames.get(1).cloned().unwrap_or_default();
            let key = match frames.as_slice() {
                [_, _, _, _, _, mechanism, key] if mechanism.as_ref() == b"CURVE" && key.len() == 32 => Some(key),
                _ => None,
            };
            let user = key.map(hex::encode).unwrap_or_default();
            let (code, text): (&[u8], &[u8]) = if key.is_some() { (b"200", b"") } else { (b"400", b"CURVE only") };
            self.zap.send(&[b"1.0", &sequence, code, text, user.as_bytes(), b""])?;
        }
        Ok(true)
    }
}

/// What our ROUTER calls a node's connection: the key that it has proven (`build/libzmq.rs`), and how nodes name themselves
/// (`spec/transports` §2.1).
fn node_routing_id(key: &X25519PublicKey) -> Bytes {
    [key.to_string().as_bytes(), b"L", &key.0].concat().into()
}
