//! `revoke_subaccount`, `unrevoke_subaccount`, `revoked_subaccounts` (`spec/node-rpc` §4.9): which subaccounts may do nothing any more.

use std::sync::Arc;

use super::super::{
    auth::{self, Auth},
    core::{Answering, CallContext, Entries, Origin, Rpc},
    limit,
    method::{Method, Nested, Parsed},
    methods::fields::{MAX_LISTED, required},
    params::{Invalid, Params},
    pipeline::Turn,
    replication::{Forward, failure, forwarded, peer_reply},
    reply::Reply,
    status::Status,
    value::{Encoding, Value},
};
use crate::{
    bencode::Bt,
    store::Promised,
    types::{AccountId, Millis},
};

/// Tokens that one request may revoke.
const MAX_REVOKE: usize = 50;

/// `revoke_subaccount`, `unrevoke_subaccount`.
#[derive(Debug)]
struct Revocation {
    /// Whose.
    account: AccountId,
    /// In the order sent.
    tokens: Vec<[u8; 36]>,
    /// When signed.
    timestamp: Millis,
    /// Proof, by the main key.
    auth: Auth,
}

impl Revocation {
    /// `name` is the field of the tokens.
    fn parse(params: &Params<'_>, name: &'static str, most: usize) -> Result<Self, Invalid> {
        let account = auth::account(params, false)?;
        let auth = Auth::parse_main(params, &account)?;
        let timestamp = required(params.timestamp("timestamp")?, "timestamp")?;
        let texts = required(params.strings(name, MAX_LISTED)?, name)?;
        if texts.len() > most {
            return Err(Invalid(format!("invalid {name}: cannot revoke more than {most} subaccounts at once")));
        }
        let wrong = || match params.encoding() {
            Encoding::Json => Invalid(format!("invalid {name}: expected base64 or hex-encoded subaccount tag")),
            Encoding::Bencode => Invalid(format!("invalid {name} subaccount: invalid subaccount tag length")),
        };
        let token = |text| auth::token(params.encoding(), text).ok_or_else(wrong);
        Ok(Self { account, tokens: texts.into_iter().map(token).collect::<Result<_, _>>()?, timestamp, auth })
    }
}

/// `revoke_subaccount`.
#[derive(Debug)]
struct Revoke(Revocation);

/// Reads the fields of `revoke_subaccount`.
pub(in crate::rpc) fn revoke(params: &Params<'_>, _: Nested) -> Parsed {
    Ok(Box::new(Revoke(Revocation::parse(params, "revoke", MAX_REVOKE)?)))
}

impl Method for Revoke {
    fn each_account(&self, name: &mut dyn FnMut(&AccountId)) {
        name(&self.0.account);
    }

    fn is_forwarded(&self) -> bool {
        true
    }

    fn execute(self: Box<Self>, rpc: &Rpc, origin: Origin, context: CallContext) -> Answering<'_> {
        Box::pin(rpc.revoke(self.0, origin, context.turn, false))
    }
}

/// `unrevoke_subaccount`.
#[derive(Debug)]
struct Unrevoke(Revocation);

/// Reads the fields of `unrevoke_subaccount`.
pub(in crate::rpc) fn unrevoke(params: &Params<'_>, _: Nested) -> Parsed {
    Ok(Box::new(Unrevoke(Revocation::parse(params, "unrevoke", MAX_LISTED)?)))
}

impl Method for Unrevoke {
    fn each_account(&self, name: &mut dyn FnMut(&AccountId)) {
        name(&self.0.account);
    }

    fn is_forwarded(&self) -> bool {
        true
    }

    fn execute(self: Box<Self>, rpc: &Rpc, origin: Origin, context: CallContext) -> Answering<'_> {
        Box::pin(rpc.revoke(self.0, origin, context.turn, true))
    }
}

/// `revoked_subaccounts`.
#[derive(Debug)]
struct Revoked {
    account: AccountId,
    /// When signed.
    timestamp: Millis,
    auth: Auth,
}

/// Reads the fields of `revoked_subaccounts`.
pub(in crate::rpc) fn revoked(params: &Params<'_>, _: Nested) -> Parsed {
    let account = auth::account(params, false)?;
    let auth = Auth::parse_main(params, &account)?;
    let timestamp = required(params.timestamp("timestamp")?, "timestamp")?;
    Ok(Box::new(Revoked { account, timestamp, auth }))
}

impl Method for Revoked {
    fn each_account(&self, name: &mut dyn FnMut(&AccountId)) {
        name(&self.account);
    }

    fn execute(self: Box<Self>, rpc: &Rpc, _: Origin, _: CallContext) -> Answering<'_> {
        Box::pin(async move {
            let Revoked { account, timestamp, auth } = *self;
            rpc.revoked_subaccounts(&account, timestamp, &auth).await.unwrap_or_else(|refusal| refusal)
        })
    }
}

impl Rpc {
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
            entries.insert("signature".into(), self.signature(&account, &text).await);
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
