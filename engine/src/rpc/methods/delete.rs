//! `delete` (`spec/node-rpc` §4.3): removes messages by hash.

use std::{collections::HashSet, sync::Arc};

use super::super::{
    auth::{self, Auth, flag},
    core::{Answering, CallContext, Origin, Rpc, sorted, texts},
    limit,
    method::{Method, Nested, Parsed},
    methods::fields::{check_hash, some_messages},
    params::{Invalid, Params},
    pipeline::Turn,
    replication::{Forward, failure, forwarded, peer_reply},
    reply::Reply,
    status::Status,
    value::Value,
};
use crate::{
    bencode::Bt,
    types::{AccountId, MessageHash},
};

/// `delete`.
#[derive(Debug)]
struct Delete {
    /// Whose.
    account: AccountId,
    /// As sent; they are part of what is signed.
    messages: Vec<String>,
    /// Fail when nothing was there.
    required: bool,
    /// Proof.
    auth: Auth,
}

impl Delete {
    fn parse(params: &Params<'_>) -> Result<Self, Invalid> {
        let account = auth::account(params, false)?;
        let auth = Auth::parse(params, &account)?;
        let messages = some_messages(params)?.into_iter().map(check_hash).collect::<Result<_, _>>()?;
        Ok(Self { account, messages, required: params.boolean("required")?.unwrap_or(false), auth })
    }
}

/// Reads the fields of `delete`.
pub(in crate::rpc) fn parse(params: &Params<'_>, _: Nested) -> Parsed {
    Ok(Box::new(Delete::parse(params)?))
}

impl Method for Delete {
    fn each_account(&self, name: &mut dyn FnMut(&AccountId)) {
        name(&self.account);
    }

    fn is_forwarded(&self) -> bool {
        true
    }

    fn execute(self: Box<Self>, rpc: &Rpc, origin: Origin, context: CallContext) -> Answering<'_> {
        Box::pin(rpc.delete(*self, origin, context.turn))
    }
}

impl Rpc {
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
            let entries = self.signed_entries(&account, "deleted", texts(deleted), signed.as_bytes()).await;
            Ok((entries, done.numbers))
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
}

/// How many hashes a member's `delete` names; `None` when it failed.
fn deleted_in(entry: &Value) -> Option<usize> {
    let Value::Dict(entry) = entry else { return None };
    match entry.get("deleted") {
        Some(Value::List(deleted)) => Some(deleted.len()),
        _ => None,
    }
}
