//! `retrieve` (`spec/node-rpc` §4.2): messages of one namespace.

use super::super::{
    auth::{self, Auth, flag},
    core::{Answering, CallContext, Entries, Origin, Rpc},
    counts::Counted,
    limit,
    method::{Method, Nested, Parsed},
    methods::fields::{check_hash, required},
    params::{Invalid, Params},
    reply::Reply,
    room::AnswerRoom,
    status::Status,
    value::Value,
};
use crate::{
    store::{Limits, Page},
    types::{AccountId, MessageHash, Millis, Namespace},
};

/// `retrieve`.
#[derive(Debug)]
struct Retrieve {
    /// Whose.
    account: AccountId,
    /// Where.
    namespace: Namespace,
    /// Read on from here.
    last_hash: Option<MessageHash>,
    /// Messages at most; 0 for no wish.
    max_count: i64,
    /// Bytes at most; negative for a share; 0 for no wish.
    max_size: i64,
    /// With the time of the signature.
    auth: Option<(Auth, Millis)>,
}

impl Retrieve {
    fn parse(params: &Params<'_>) -> Result<Self, Invalid> {
        let account = auth::account(params, true)?;
        let given = params.namespace()?;
        let signed = ["pubkey_ed25519", "signature", "timestamp"].iter().any(|name| params.field(name).is_some());
        let auth = if signed || given.is_some_and(|namespace| !namespace.is_open_to_read()) {
            let auth = Auth::parse(params, &account)?;
            Some((auth, required(params.timestamp("timestamp")?, "timestamp")?))
        } else {
            Auth::check_types(params)?;
            None
        };
        let last_hash = match (params.string("last_hash")?, params.string("lastHash")?) {
            (Some(_), Some(_)) => return Err(Invalid::new("Cannot specify both 'last_hash' and 'lastHash'")),
            (found, None) | (None, found) => found.unwrap_or_default(),
        };
        if !last_hash.is_empty() {
            check_hash(last_hash).map_err(|_| match last_hash.len() {
                MessageHash::TEXT_LEN => Invalid::new("Invalid last_hash: not base64"),
                _ => Invalid::new("Invalid last_hash: expected base64 (43 chars)"),
            })?;
        }
        Ok(Self {
            account,
            namespace: given.unwrap_or_default(),
            last_hash: std::str::from_utf8(last_hash).ok().and_then(MessageHash::from_text),
            max_count: params.integer("max_count")?.unwrap_or(0),
            max_size: params.integer("max_size")?.unwrap_or(0),
            auth,
        })
    }
}

/// Reads the fields of `retrieve`.
pub(in crate::rpc) fn parse(params: &Params<'_>, _: Nested) -> Parsed {
    Ok(Box::new(Retrieve::parse(params)?))
}

impl Method for Retrieve {
    fn each_account(&self, name: &mut dyn FnMut(&AccountId)) {
        name(&self.account);
    }

    fn execute(self: Box<Self>, rpc: &Rpc, _: Origin, context: CallContext) -> Answering<'_> {
        rpc.counts.add(Counted::Retrieve);
        Box::pin(async move { rpc.retrieve(&self, &context.room).await })
    }
}

impl Rpc {
    async fn retrieve(&self, request: &Retrieve, room: &AnswerRoom) -> Reply {
        self.try_retrieve(request, room).await.unwrap_or_else(|refusal| refusal)
    }

    async fn try_retrieve(&self, request: &Retrieve, room: &AnswerRoom) -> Result<Reply, Reply> {
        let Retrieve { account, namespace, last_hash, max_count, max_size, auth } = request;
        let view = self.swarm_view(account)?;
        if let Some((auth, timestamp)) = auth {
            self.near_now(*timestamp, limit::SIGNATURE, "retrieve timestamp too far from current time")?;
            let text = format!("retrieve{}{timestamp}", namespace.signed_text());
            let refusal = "retrieve signature verification failed";
            self.proven(&view, (auth, account), &text, flag::READ, !namespace.is_unrevocable(), refusal).await?;
        } else if !namespace.is_open_to_read() {
            return Err(Reply::text(Status::UNAUTHORIZED, "retrieve: request signature required"));
        }
        let mut limits = limits(*max_count, *max_size);
        let page = match room.for_messages() {
            // Other parts of the same request have taken it.
            None => Ok(Page { messages: Vec::new(), more: true }),
            Some(left) => {
                limits.max_size = limits.max_size.min(left);
                view.store.retrieve(account, *namespace, last_hash.as_ref(), limits)
            }
        };
        let page = page.map_err(|error| {
            tracing::error!(%error, "messages could not be read");
            let text = format!("Internal Server Error. Could not retrieve messages for {account:?}");
            Reply::text(Status::INTERNAL_SERVER_ERROR, text)
        })?;
        let mut entries = Entries::new();
        entries.insert("messages".into(), Value::Messages(page.messages));
        entries.insert("more".into(), Value::Bool(page.more));
        self.stamp(&mut entries);
        Ok(Reply::value(Status::OK, Value::Dict(entries)))
    }
}

/// `spec/node-rpc` §4.2: 0 is no wish, a negative size is a share.
pub(in crate::rpc) fn limits(max_count: i64, max_size: i64) -> Limits {
    let max_count = u64::try_from(max_count).ok().filter(|count| *count > 0);
    let max_size = match max_size {
        0 if max_count.is_none() => limit::RETRIEVE / limit::DEFAULT_SHARE,
        0 => limit::RETRIEVE,
        share if share < 0 => limit::RETRIEVE / share.unsigned_abs(),
        size => size.unsigned_abs().min(limit::RETRIEVE),
    };
    Limits { max_count, max_size }
}
