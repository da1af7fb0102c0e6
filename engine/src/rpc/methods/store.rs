//! `store` (`spec/node-rpc` §4.1): keeps a message, here and at the other members of the swarm.

use std::sync::Arc;

use serde_json::Value as Json;

use super::super::{
    auth::{self, Auth, flag},
    core::{Answering, CallContext, Entries, Origin, Rpc, SwarmView},
    counts::Counted,
    limit::{self, MAX_MESSAGE},
    method::{Method, Nested, Parsed},
    methods::fields::required,
    params::{Field, Invalid, POSITIVE, Params, TIMESTAMP},
    pipeline::Turn,
    replication::{Forward, failure, forwarded, peer_reply},
    reply::Reply,
    status::Status,
    value::{Encoding, Value},
};
use crate::{
    bencode::Bt,
    json::JsonValue,
    store::{NewMessage, Outcome, Store, Stored},
    types::{AccountId, MessageHash, Millis, Namespace},
};

/// `store`'s `timestamp` and `ttl`, which JSON clients also send as decimal text; `what` a number of theirs has to be.
fn lenient_time(params: &Params<'_>, name: &str, what: &str) -> Result<Option<Millis>, Invalid> {
    if let Some(Field::Json(JsonValue::Text(text))) = params.field(name) {
        let wrong = || Invalid::new(format!("Invalid value given for '{name}': {}", Json::from(text.as_ref())));
        return decimal(text).map(Millis).map(Some).ok_or_else(wrong);
    }
    Ok(params.unsigned(name, what)?.map(Millis))
}

fn decimal(text: &str) -> Option<u64> {
    // `parse` alone would take a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// `store`.
#[derive(Debug)]
pub(super) struct StoreRequest {
    /// Whose.
    pub(super) account: AccountId,
    /// Where.
    namespace: Namespace,
    /// When sent.
    timestamp: Millis,
    /// When to go.
    expiry: Millis,
    /// What.
    data: Vec<u8>,
    /// Needed everywhere but in a public inbox.
    auth: Option<Auth>,
    /// When signed.
    sig_timestamp: Millis,
}

impl StoreRequest {
    pub(super) fn parse(params: &Params<'_>) -> Result<Self, Invalid> {
        // The order in which the reference looks at them.
        let timestamp = required(lenient_time(params, "timestamp", TIMESTAMP)?, "timestamp")?;
        let expiry = match (params.timestamp("expiry")?, lenient_time(params, "ttl", POSITIVE)?) {
            (Some(_), Some(_)) => return Err(Invalid::new("Cannot specify both 'expiry' and 'ttl'")),
            (Some(expiry), None) => expiry,
            (None, Some(ttl)) => timestamp.plus(ttl.0),
            (None, None) => return Err(Invalid::new("Required field 'expiry' or 'ttl' missing")),
        };
        let account = auth::account(params, true)?;
        let namespace = params.namespace()?.unwrap_or_default();
        Auth::check_types(params)?;
        let auth = params.field("signature").map(|_| Auth::parse(params, &account)).transpose()?;
        let sig_timestamp = params.timestamp("sig_timestamp")?.unwrap_or(timestamp);
        let text = required(params.string("data")?, "data")?;
        let data = match params.encoding() {
            Encoding::Json => {
                auth::decode_base64(text).ok_or_else(|| Invalid::new("Invalid 'data' value: not base64 encoded"))?
            }
            Encoding::Bencode if text.len() > MAX_MESSAGE => return Err(too_long()),
            Encoding::Bencode => text.to_vec(),
        };
        if data.len() > MAX_MESSAGE {
            return Err(too_long());
        }
        Ok(Self { account, namespace, timestamp, expiry, data, auth, sig_timestamp })
    }
}

/// A member's entry in the answer; `hash` is what it has signed.
pub(super) fn store_entries(hash: String, signature: Value, stored: &Stored) -> Entries {
    let mut entries = Entries::new();
    entries.insert("signature".into(), signature);
    entries.insert("hash".into(), Value::text(hash));
    entries.insert("expiry".into(), Value::Uint(stored.expiry.0));
    if stored.outcome != Outcome::New {
        entries.insert("already".into(), Value::Bool(true));
    }
    entries
}

fn too_long() -> Invalid {
    Invalid::new(format!("Message body exceeds maximum allowed length of {MAX_MESSAGE} bytes"))
}

/// Reads the fields of `store`.
pub(in crate::rpc) fn parse(params: &Params<'_>, _: Nested) -> Parsed {
    Ok(Box::new(StoreRequest::parse(params)?))
}

impl Method for StoreRequest {
    fn each_account(&self, name: &mut dyn FnMut(&AccountId)) {
        name(&self.account);
    }

    fn is_forwarded(&self) -> bool {
        true
    }

    fn execute(self: Box<Self>, rpc: &Rpc, origin: Origin, context: CallContext) -> Answering<'_> {
        if origin == Origin::Client {
            rpc.counts.add(Counted::Store);
        }
        Box::pin(rpc.store(*self, origin, context.turn))
    }
}

impl Rpc {
    async fn store(&self, request: StoreRequest, origin: Origin, turn: Option<Arc<Turn>>) -> Reply {
        let view = match self.check_store(&request).await {
            Ok(view) => view,
            Err(refusal) => return refusal,
        };
        let StoreRequest { account, namespace, timestamp, expiry, sig_timestamp, .. } = request;
        let (message, auth) = match self.message(request, origin, &view) {
            Ok(message) => message,
            Err(failed) => return failed,
        };
        let (hash, stored) = (message.hash, message.stored);
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
            let watched = self.watched(&message);
            let store = view.store;
            let (stored, unreplicated) = match origin {
                Origin::Client => {
                    let (stored, unreplicated) =
                        store.put_as_coordinator(message).await.map_err(|error| failure(&error))?;
                    (stored, Some(unreplicated))
                }
                Origin::Peer { .. } => (store.put(message).await.map_err(|error| failure(&error))?, None),
            };
            self.arrived(store, namespace, &stored, watched.as_ref());
            let text = hash.to_string();
            let signature = self.signature(&account, text.as_bytes()).await;
            let entries = store_entries(text, signature, &stored);
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

    /// The message of a request, with the time at which the swarm has taken it; and what proves it.
    pub(super) fn message(
        &self,
        request: StoreRequest,
        origin: Origin,
        view: &SwarmView<'_>,
    ) -> Result<(NewMessage, Option<Auth>), Reply> {
        let StoreRequest { account, namespace, timestamp, expiry, data, auth, .. } = request;
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
        match stored {
            Ok(stored) => {
                (message.stored, message.changed) = (stored, stored);
                Ok((message, auth))
            }
            Err(error) => {
                tracing::error!(%error, "deletions could not be read");
                Err(Reply::text(Status::INTERNAL_SERVER_ERROR, "request failed"))
            }
        }
    }

    /// A copy for those who have subscribed to the account.
    pub(super) fn watched(&self, message: &NewMessage) -> Option<NewMessage> {
        self.monitors.any(&message.account).then(|| message.clone())
    }

    /// A message has been stored: whoever waits for it hears of it.
    pub(super) fn arrived(&self, store: &Store, namespace: Namespace, stored: &Stored, watched: Option<&NewMessage>) {
        self.receiving.seen.note(namespace);
        if let (Some(message), Outcome::New) = (watched, stored.outcome) {
            self.monitors.notify(message, store);
        }
    }

    pub(super) async fn check_store(&self, request: &StoreRequest) -> Result<SwarmView<'_>, Reply> {
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
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_may_be_text() {
        let key = format!("05{}", "11".repeat(32));
        let params = json!({"pubKey": key, "timestamp": "1700000000000", "ttl": "86400000", "data": "aGk="});
        let store = StoreRequest::parse(&Params::Json(&params.as_object().unwrap().into())).unwrap();
        assert_eq!((store.expiry, store.data.as_slice()), (Millis(1_700_086_400_000), b"hi".as_slice()));
    }
}
