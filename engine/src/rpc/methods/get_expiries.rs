//! `get_expiries` (`spec/node-rpc` §4.8): when messages go.

use super::super::{
    auth::{self, Auth, flag},
    core::{Answering, CallContext, Origin, Rpc},
    limit,
    method::{Method, Nested, Parsed},
    methods::fields::{required, some_messages},
    params::{Invalid, Params},
    reply::Reply,
    status::Status,
    value::Value,
};
use crate::types::{AccountId, MessageHash, Millis};

/// `get_expiries`.
#[derive(Debug)]
struct GetExpiries {
    /// Whose.
    account: AccountId,
    /// As sent; they are part of what is signed.
    messages: Vec<String>,
    /// When signed.
    timestamp: Millis,
    /// Proof.
    auth: Auth,
}

impl GetExpiries {
    fn parse(params: &Params<'_>) -> Result<Self, Invalid> {
        let account = auth::account(params, false)?;
        let auth = Auth::parse(params, &account)?;
        let timestamp = required(params.timestamp("timestamp")?, "timestamp")?;
        let messages = some_messages(params)?;
        let messages = messages.into_iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
        Ok(Self { account, messages, timestamp, auth })
    }
}

/// Reads the fields of `get_expiries`.
pub(in crate::rpc) fn parse(params: &Params<'_>, _: Nested) -> Parsed {
    Ok(Box::new(GetExpiries::parse(params)?))
}

impl Method for GetExpiries {
    fn each_account(&self, name: &mut dyn FnMut(&AccountId)) {
        name(&self.account);
    }

    fn execute(self: Box<Self>, rpc: &Rpc, _: Origin, _: CallContext) -> Answering<'_> {
        Box::pin(async move { rpc.get_expiries(&self).await.unwrap_or_else(|refusal| refusal) })
    }
}

impl Rpc {
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
}
