//! `expire` (`spec/node-rpc` §4.7): changes when messages go, by hash.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::super::{
    auth::{self, Auth, flag},
    core::{Answering, CallContext, Origin, Rpc, SwarmView, texts},
    limit,
    method::{Method, Nested, Parsed},
    methods::fields::{MAX_LISTED, check_hash, required, some_messages},
    params::{Invalid, Params},
    pipeline::Turn,
    replication::{Forward, failure, forwarded, peer_reply},
    reply::Reply,
    status::Status,
    value::Value,
};
use crate::{
    bencode::Bt,
    store::{ExpireMode, Promised, latest_expiry},
    types::{AccountId, MessageHash, Millis},
};

/// `expire`.
#[derive(Debug)]
struct Expire {
    /// Whose.
    account: AccountId,
    /// As sent; they are part of what is signed.
    messages: Vec<String>,
    /// One for all messages, or one for each.
    expiry: Vec<Millis>,
    /// Which changes are wanted; all when absent.
    only: Option<Direction>,
    /// Proof.
    auth: Auth,
}

/// The one way in which `expire` may change an expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    /// Later.
    Extend,
    /// Earlier.
    Shorten,
}

impl Direction {
    /// The name of its field, which is also what is signed.
    #[must_use]
    const fn name(self) -> &'static str {
        match self {
            Self::Extend => "extend",
            Self::Shorten => "shorten",
        }
    }
}

impl Expire {
    fn parse(params: &Params<'_>) -> Result<Self, Invalid> {
        let account = auth::account(params, false)?;
        let auth = Auth::parse(params, &account)?;
        let expiry = required(params.timestamps("expiry", MAX_LISTED)?, "expiry")?;
        if expiry.is_empty() {
            return Err(Invalid::new("'expiry' does not contain any expiration timestamps"));
        }
        let flag = |name: &str| params.boolean(name).map(|flag| flag.unwrap_or(false));
        // `extends` is what one client sends for groups, signing `extend` (`spec/node-rpc` §4.7).
        let only = match (flag("shorten")?, flag("extend")? || flag("extends")?) {
            (true, true) => return Err(Invalid::new("cannot specify both 'shorten' and 'extend'")),
            (true, false) => Some(Direction::Shorten),
            (false, true) => Some(Direction::Extend),
            (false, false) => None,
        };
        let messages = some_messages(params)?;
        if expiry.len() != 1 && expiry.len() != messages.len() {
            return Err(Invalid::new("'expiry' must be a single expiry, or the same length as 'messages'"));
        }
        let messages = messages.into_iter().map(check_hash).collect::<Result<_, _>>()?;
        Ok(Self { account, messages, expiry, only, auth })
    }
}

/// Reads the fields of `expire`.
pub(in crate::rpc) fn parse(params: &Params<'_>, _: Nested) -> Parsed {
    Ok(Box::new(Expire::parse(params)?))
}

impl Method for Expire {
    fn each_account(&self, name: &mut dyn FnMut(&AccountId)) {
        name(&self.account);
    }

    fn is_forwarded(&self) -> bool {
        true
    }

    fn execute(self: Box<Self>, rpc: &Rpc, origin: Origin, context: CallContext) -> Answering<'_> {
        Box::pin(rpc.expire(*self, origin, context.turn))
    }
}

impl Rpc {
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
            let changed = texts(updated.into_keys().collect());
            let mut entries = self.signed_entries(&account, "updated", changed, signed.as_bytes()).await;
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
}

/// First hardfork and revision at which one `expire` may carry several expiries.
const MULTI_EXPIRY: [u16; 2] = [19, 4];
