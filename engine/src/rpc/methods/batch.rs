//! `batch` and `sequence`: several requests in one.

use std::borrow::Cow;

use futures_util::future::join_all;

use super::super::{
    core::{Answering, CallContext, Origin, Rpc},
    method::{Method, Nested, Parsed, Request},
    methods::fields::result,
    params::{Field, Invalid, Params},
    reply::Reply,
    status::Status,
    value::Value,
};
use crate::{
    bencode::Bt,
    json::{JsonObject, JsonValue},
    types::AccountId,
};

/// Requests that a batch may hold.
const MAX_BATCH: usize = 20;

/// The requests in a batch or sequence, all of them well-formed.
fn subrequests(params: &Params<'_>, nested: Nested) -> Result<Vec<Request>, Invalid> {
    let no_field = || Invalid::new("Invalid batch request: no valid \"requests\" field");
    let exceeded = || Invalid::new("Invalid batch request: subrequest limit exceeded");
    let parsed = match params.field("requests") {
        Some(Field::Json(JsonValue::Array(items))) if !items.is_empty() => {
            if items.len() > MAX_BATCH {
                return Err(exceeded());
            }
            items.iter().map(json_subrequest).collect::<Result<Vec<_>, _>>()?
        }
        Some(Field::Bencode(Bt::List(items))) => {
            if items.is_empty() {
                return Err(Invalid::new("Invalid batch request: empty \"requests\" list"));
            }
            if items.len() > MAX_BATCH {
                return Err(exceeded());
            }
            items.iter().map(bt_subrequest).collect::<Result<Vec<_>, _>>()?
        }
        _ => return Err(no_field()),
    };
    parsed.into_iter().map(|(method, params)| subrequest(&method, &params, nested)).collect()
}

fn subrequest(method: &str, params: &Params<'_>, nested: Nested) -> Result<Request, Invalid> {
    if ["batch", "sequence", "ifelse"].contains(&method) {
        return Err(Invalid::new("Invalid batch subrequest: subrequests may not contain meta-requests"));
    }
    (nested.parse)(method, params, nested.depth)?
        .ok_or_else(|| Invalid(format!("Invalid batch subrequest: invalid method \"{method}\"")))
}

fn json_subrequest<'a>(item: &'a JsonValue<'a>) -> Result<(Cow<'a, str>, Params<'a>), Invalid> {
    let item: &JsonObject<'a> =
        item.as_object().ok_or_else(|| Invalid::new("Invalid batch request: requests must be objects"))?;
    match (item.get("method").and_then(JsonValue::as_str), item.get("params").and_then(JsonValue::as_object)) {
        (Some(method), Some(params)) => Ok((method.into(), Params::Json(params))),
        _ => Err(Invalid::new("Invalid batch request: subrequests must have method/params keys")),
    }
}

fn bt_subrequest(item: &Bt) -> Result<(Cow<'_, str>, Params<'_>), Invalid> {
    let text = |text: &str| Invalid(format!("Invalid batch request: {text}"));
    let Bt::Dict(item) = item else { return Err(text("requests must be dicts")) };
    let get = |name: &str| item.get(name.as_bytes());
    let Some(Bt::Bytes(method)) = get("method") else { return Err(text("subrequests must have a method")) };
    let Some(Bt::Dict(params)) = get("params") else { return Err(text("subrequests must have a params dict")) };
    Ok((String::from_utf8_lossy(method), Params::Bencode(params)))
}

/// `batch`: all at once.
#[derive(Debug)]
struct Batch(Vec<Request>);

/// `sequence`: one after another, until one fails.
#[derive(Debug)]
struct Sequence(Vec<Request>);

/// Reads the fields of `batch`.
pub(in crate::rpc) fn batch(params: &Params<'_>, nested: Nested) -> Parsed {
    Ok(Box::new(Batch(subrequests(params, nested)?)))
}

/// Reads the fields of `sequence`.
pub(in crate::rpc) fn sequence(params: &Params<'_>, nested: Nested) -> Parsed {
    Ok(Box::new(Sequence(subrequests(params, nested)?)))
}

impl Method for Batch {
    fn each_account(&self, name: &mut dyn FnMut(&AccountId)) {
        self.0.iter().for_each(|request| request.method.each_account(name));
    }

    fn writes(&self) -> bool {
        self.0.iter().any(|request| request.method.writes())
    }

    fn execute(self: Box<Self>, rpc: &Rpc, origin: Origin, context: CallContext) -> Answering<'_> {
        Box::pin(async move {
            let CallContext { turn, room, .. } = context;
            let room = &room.shared();
            let parts = self.0.into_iter().map(|request| {
                let part = rpc.run(request, origin, CallContext::within(turn.as_ref(), room));
                async { room.fit(part.await) }
            });
            let parts = join_all(parts);
            drop(turn);
            results(parts.await)
        })
    }
}

impl Method for Sequence {
    fn each_account(&self, name: &mut dyn FnMut(&AccountId)) {
        self.0.iter().for_each(|request| request.method.each_account(name));
    }

    fn writes(&self) -> bool {
        self.0.iter().any(|request| request.method.writes())
    }

    fn execute(self: Box<Self>, rpc: &Rpc, origin: Origin, context: CallContext) -> Answering<'_> {
        Box::pin(async move {
            let CallContext { turn, room, .. } = context;
            let room = room.shared();
            let mut replies = Vec::new();
            for request in self.0 {
                let reply = room.fit(rpc.run(request, origin, CallContext::within(turn.as_ref(), &room)).await);
                let go_on = reply.status.is_success();
                replies.push(reply);
                if !go_on {
                    break;
                }
            }
            results(replies)
        })
    }
}

/// The wrapper of `batch` and `sequence`.
fn results(replies: Vec<Reply>) -> Reply {
    let results = replies.into_iter().map(result).collect();
    Reply::value(Status::OK, Value::dict([("results", Value::List(results))]))
}
