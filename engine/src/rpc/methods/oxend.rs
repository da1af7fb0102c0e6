//! `oxend_request`: what the network's daemon would answer.

use std::sync::Arc;

use serde::de::IgnoredAny;
use serde_json::{Map, Value as Json};

use super::super::{
    core::{Answering, CallContext, Entries, Origin, Rpc, busy},
    daemon::Daemon,
    method::{Method, Nested, Parsed},
    methods::fields::required,
    params::{Field, Invalid, Params},
    reply::Reply,
    status::Status,
    value::Value,
};
use crate::{json, swarm::service_nodes};

/// Bytes that the params of `oxend_request` may have, as JSON.
pub(super) const MAX_OXEND: usize = 65_536;

/// Reads the fields of `oxend_request`.
pub(in crate::rpc) fn parse(params: &Params<'_>, _: Nested) -> Parsed {
    let endpoint = required(params.string("endpoint")?, "endpoint")?;
    let endpoint = String::from_utf8_lossy(endpoint).into_owned();
    if !["get_service_nodes", "ons_resolve"].contains(&endpoint.as_str()) {
        return Err(Invalid(format!("Invalid oxend endpoint '{endpoint}'")));
    }
    let large = || Invalid(format!("oxend_request params are larger than {MAX_OXEND} bytes"));
    let params = match params.field("params") {
        None => Json::Object(Map::new()),
        Some(Field::Json(value)) => {
            let value = value.to_value();
            if value.to_string().len() > MAX_OXEND {
                return Err(large());
            }
            value
        }
        Some(field @ Field::Bencode(_)) => match field.string() {
            Some(text) if text.len() > MAX_OXEND => return Err(large()),
            text => text
                .and_then(|text| json::parse(text).ok())
                .ok_or_else(|| Invalid::new("oxend_request params field does not contain valid json"))?,
        },
    };
    Ok(Box::new(Oxend { endpoint, params }))
}

#[derive(Debug)]
struct Oxend {
    /// `get_service_nodes` or `ons_resolve`.
    endpoint: String,
    /// Passed on.
    params: Json,
}

impl Method for Oxend {
    fn execute(self: Box<Self>, rpc: &Rpc, _: Origin, _: CallContext) -> Answering<'_> {
        Box::pin(async move { rpc.oxend(&self.endpoint, &self.params).await })
    }
}

impl Rpc {
    async fn oxend(&self, endpoint: &str, params: &Json) -> Reply {
        let (network, asked) = (self.parts.network.load(), params.to_string());
        let is_list = endpoint == "get_service_nodes";
        if is_list && let Some(list) = network.listings().get(&asked) {
            return self.oxend_reply(list);
        }
        let result: Arc<str> = match &self.parts.daemon {
            Some(daemon) => match self.ask_daemon(daemon.as_ref(), is_list, &asked).await {
                Ok(result) => result,
                Err(refusal) => return refusal,
            },
            None if is_list => service_nodes(&network, params).to_string().into(),
            // A network without a chain has no names: an answer without a value is "not registered".
            None => r#"{"status":"OK"}"#.into(),
        };
        if is_list {
            network.listings().put(asked, Arc::clone(&result));
        }
        self.oxend_reply(result)
    }

    async fn ask_daemon(&self, daemon: &dyn Daemon, is_list: bool, params: &str) -> Result<Arc<str>, Reply> {
        let command = if is_list { "rpc.get_service_nodes" } else { "rpc.ons_resolve" };
        let Ok(_place) = self.asking.acquire().await else { return Err(busy()) };
        match daemon.request(command, params.to_owned().into()).await.as_deref() {
            Ok([ok, result]) if ok.as_ref() == b"200" => {
                let is_json = serde_json::from_slice::<IgnoredAny>(result).is_ok();
                let text = std::str::from_utf8(result).ok().filter(|_| is_json);
                text.map(Into::into).ok_or_else(|| Reply::text(Status::BAD_GATEWAY, "oxend returned unparsable data"))
            }
            Ok([_, text]) => Err(Reply::text(Status::BAD_REQUEST, String::from_utf8_lossy(text).into_owned())),
            Ok(_) | Err(_) => Err(Reply::text(Status::BAD_REQUEST, "Unknown oxend error")),
        }
    }

    fn oxend_reply(&self, result: Arc<str>) -> Reply {
        let mut entries = Entries::new();
        entries.insert("result".into(), Value::Raw(result));
        self.stamp(&mut entries);
        Reply::value(Status::OK, Value::Dict(entries))
    }
}
