//! `delete_all`, `delete_before`, `expire_all` (`spec/node-rpc` §4.4-§4.6): what concerns all messages of one namespace, or of all.

use std::{collections::BTreeMap, sync::Arc};

use super::super::{
    auth::{self, Auth, flag},
    core::{Answering, CallContext, Origin, Rpc, sorted, texts, tolerance},
    limit,
    method::{Method, Nested, Parsed},
    methods::fields::required,
    params::{Invalid, NamespaceOrAll, Params},
    pipeline::Turn,
    replication::{Forward, failure, forwarded, peer_reply},
    reply::Reply,
    status::Status,
    value::Value,
};
use crate::{
    bencode::Bt,
    store::{Change, Promised, Scope, Store, StoreError},
    types::{AccountId, MessageHash, Millis, Namespace},
};

/// A method with one time and a namespace or all: `delete_all`, `delete_before`, `expire_all`.
#[derive(Debug)]
struct Timed {
    /// Whose.
    account: AccountId,
    /// Where.
    namespace: NamespaceOrAll,
    /// `timestamp`, `before` or `expiry`.
    time: Millis,
    /// Proof.
    auth: Auth,
}

impl Timed {
    fn parse(params: &Params<'_>, time: &str) -> Result<Self, Invalid> {
        let account = auth::account(params, false)?;
        let auth = Auth::parse(params, &account)?;
        let namespace = params.namespace_or_all()?.unwrap_or(NamespaceOrAll::One(Namespace(0)));
        Ok(Self { account, namespace, time: required(params.timestamp(time)?, time)?, auth })
    }
}

/// `delete_all`.
#[derive(Debug)]
struct DeleteAll(Timed);

/// Reads the fields of `delete_all`.
pub(in crate::rpc) fn delete_all(params: &Params<'_>, _: Nested) -> Parsed {
    Ok(Box::new(DeleteAll(Timed::parse(params, "timestamp")?)))
}

impl Method for DeleteAll {
    fn each_account(&self, name: &mut dyn FnMut(&AccountId)) {
        name(&self.0.account);
    }

    fn is_forwarded(&self) -> bool {
        true
    }

    fn execute(self: Box<Self>, rpc: &Rpc, origin: Origin, context: CallContext) -> Answering<'_> {
        Box::pin(rpc.delete_all(self.0, origin, context.turn))
    }
}

/// `delete_before`.
#[derive(Debug)]
struct DeleteBefore(Timed);

/// Reads the fields of `delete_before`.
pub(in crate::rpc) fn delete_before(params: &Params<'_>, _: Nested) -> Parsed {
    Ok(Box::new(DeleteBefore(Timed::parse(params, "before")?)))
}

impl Method for DeleteBefore {
    fn each_account(&self, name: &mut dyn FnMut(&AccountId)) {
        name(&self.0.account);
    }

    fn is_forwarded(&self) -> bool {
        true
    }

    fn execute(self: Box<Self>, rpc: &Rpc, origin: Origin, context: CallContext) -> Answering<'_> {
        Box::pin(rpc.delete_before(self.0, origin, context.turn))
    }
}

/// `expire_all`.
#[derive(Debug)]
struct ExpireAll(Timed);

/// Reads the fields of `expire_all`.
pub(in crate::rpc) fn expire_all(params: &Params<'_>, _: Nested) -> Parsed {
    Ok(Box::new(ExpireAll(Timed::parse(params, "expiry")?)))
}

impl Method for ExpireAll {
    fn each_account(&self, name: &mut dyn FnMut(&AccountId)) {
        name(&self.0.account);
    }

    fn is_forwarded(&self) -> bool {
        true
    }

    fn execute(self: Box<Self>, rpc: &Rpc, origin: Origin, context: CallContext) -> Answering<'_> {
        Box::pin(rpc.expire_all(self.0, origin, context.turn))
    }
}

impl Rpc {
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
            Ok((self.signed_entries(&account, plan.result, result, signed.as_bytes()).await, done.numbers))
        };
        if origin != Origin::Client {
            return peer_reply(local.await.map(|(entries, _)| entries));
        }
        let (swarm, ok) = self.everywhere(&forward, &view, local, turn).await;
        self.swarm_reply(swarm, ok, None)
    }
}

/// What tells `delete_all`, `delete_before` and `expire_all` apart.
struct TimedPlan {
    method: &'static str,
    /// Name of the time field.
    field: &'static str,
    refusal: &'static str,
    /// Name of the result field.
    result: &'static str,
}

fn by_namespace(hashes: Vec<(Namespace, MessageHash)>) -> Value {
    let mut grouped: BTreeMap<i16, Vec<MessageHash>> = BTreeMap::new();
    for (namespace, hash) in hashes {
        grouped.entry(namespace.0).or_default().push(hash);
    }
    Value::dict(grouped.into_iter().map(|(namespace, hashes)| (namespace.to_string(), texts(sorted(hashes)))))
}
