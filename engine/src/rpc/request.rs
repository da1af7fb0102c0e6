//! Requests, taken out of their fields (`spec/node-rpc` §4). Nothing here looks at the clock, the network or the store.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::{
    auth::{self, Auth},
    params::{Field, Invalid, NamespaceOrAll, Params},
    value::Encoding,
};
use crate::{
    bencode::Bt,
    types::{AccountId, MessageHash, Millis, Namespace},
};

/// Bytes that a message may have (`spec/node-rpc` §2.5).
const MAX_MESSAGE: usize = 76_800;
/// Requests that a batch may hold.
const MAX_BATCH: usize = 20;

/// A request whose fields are well-formed.
#[derive(Clone, Debug)]
pub enum Request {
    /// Store a message.
    Store(Store),
    /// Read messages.
    Retrieve(Retrieve),
    /// Remove messages by hash.
    Delete(Delete),
    /// Remove all messages.
    DeleteAll(Timed),
    /// Remove messages up to a time.
    DeleteBefore(Timed),
    /// Lower the expiry of all messages.
    ExpireAll(Timed),
    /// Which swarm an account belongs to.
    GetSwarm(AccountId),
    /// What the network's daemon would answer.
    Oxend {
        /// `get_service_nodes` or `ons_resolve`.
        endpoint: String,
        /// Passed on.
        params: Json,
    },
    /// Version and time.
    Info,
    /// Several at once.
    Batch(Vec<Request>),
    /// Several one after another, until one fails.
    Sequence(Vec<Request>),
}

/// `store`.
#[derive(Clone, Debug)]
pub struct Store {
    /// Whose.
    pub account: AccountId,
    /// Where.
    pub namespace: Namespace,
    /// When sent.
    pub timestamp: Millis,
    /// When to go.
    pub expiry: Millis,
    /// What.
    pub data: Vec<u8>,
    /// Needed everywhere but in a public inbox.
    pub auth: Option<Auth>,
    /// When signed.
    pub sig_timestamp: Millis,
}

/// `retrieve`.
#[derive(Clone, Debug)]
pub struct Retrieve {
    /// Whose.
    pub account: AccountId,
    /// Where.
    pub namespace: Namespace,
    /// Read on from here.
    pub last_hash: Option<MessageHash>,
    /// Messages at most; 0 for no wish.
    pub max_count: i64,
    /// Bytes at most; negative for a share; 0 for no wish.
    pub max_size: i64,
    /// With the time of the signature.
    pub auth: Option<(Auth, Millis)>,
}

/// `delete`.
#[derive(Clone, Debug)]
pub struct Delete {
    /// Whose.
    pub account: AccountId,
    /// As sent; they are part of what is signed.
    pub messages: Vec<String>,
    /// Fail when nothing was there.
    pub required: bool,
    /// Proof.
    pub auth: Auth,
}

/// A method with one time and a namespace or all: `delete_all`, `delete_before`, `expire_all`.
#[derive(Clone, Debug)]
pub struct Timed {
    /// Whose.
    pub account: AccountId,
    /// Where.
    pub namespace: NamespaceOrAll,
    /// `timestamp`, `before` or `expiry`.
    pub time: Millis,
    /// Proof.
    pub auth: Auth,
}

/// The method names that [`Request::parse`] knows.
pub const METHODS: &[&str] = &[
    "store",
    "retrieve",
    "delete",
    "delete_all",
    "delete_before",
    "expire_all",
    "get_swarm",
    "get_snodes_for_pubkey",
    "oxend_request",
    "info",
    "batch",
    "sequence",
];

impl Request {
    /// The request `method` with `params`; `None` when there is no such method.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn parse(method: &str, params: &Params) -> Result<Option<Self>, Invalid> {
        Ok(Some(match method {
            "store" => Self::Store(Store::parse(params)?),
            "retrieve" => Self::Retrieve(Retrieve::parse(params)?),
            "delete" => Self::Delete(Delete::parse(params)?),
            "delete_all" => Self::DeleteAll(Timed::parse(params, "timestamp")?),
            "delete_before" => Self::DeleteBefore(Timed::parse(params, "before")?),
            "expire_all" => Self::ExpireAll(Timed::parse(params, "expiry")?),
            "get_swarm" | "get_snodes_for_pubkey" => Self::GetSwarm(swarm_account(params)?),
            "oxend_request" => oxend(params)?,
            "info" => Self::Info,
            "batch" => Self::Batch(subrequests(params)?),
            "sequence" => Self::Sequence(subrequests(params)?),
            _ => return Ok(None),
        }))
    }
}

fn required<T>(found: Option<T>, name: &str) -> Result<T, Invalid> {
    found.ok_or_else(|| Invalid::missing(name))
}

/// `store`'s times, which JSON clients also send as decimal text.
fn lenient_time(params: &Params, name: &str) -> Result<Option<Millis>, Invalid> {
    match params.field(name) {
        None => Ok(None),
        Some(Field::Json(value)) => {
            let number = value.as_u64().or_else(|| value.as_str().and_then(decimal));
            let wrong = || Invalid::new(format!("Invalid value given for '{name}': {value}"));
            number.map(Millis).map(Some).ok_or_else(wrong)
        }
        Some(Field::Bencode(_)) => params.timestamp(name),
    }
}

fn decimal(text: &str) -> Option<u64> {
    // `parse` alone would take a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl Store {
    fn parse(params: &Params) -> Result<Self, Invalid> {
        let account = auth::account(params, true)?;
        let timestamp = required(lenient_time(params, "timestamp")?, "timestamp")?;
        let expiry = match (lenient_time(params, "expiry")?, lenient_time(params, "ttl")?) {
            (Some(_), Some(_)) => return Err(Invalid::new("Cannot specify both 'expiry' and 'ttl'")),
            (Some(expiry), None) => expiry,
            (None, Some(ttl)) => timestamp.plus(ttl.0),
            (None, None) => return Err(Invalid::new("Required field 'expiry' or 'ttl' missing")),
        };
        let text = required(params.string("data")?, "data")?;
        let data = match params.encoding() {
            Encoding::Json if text.len() > MAX_MESSAGE.div_ceil(3) * 4 => return Err(too_long()),
            Encoding::Json => base64_simd::forgiving_decode_to_vec(text)
                .map_err(|_| Invalid::new("Invalid 'data' value: not base64 encoded"))?,
            Encoding::Bencode => text.to_vec(),
        };
        if data.len() > MAX_MESSAGE {
            return Err(too_long());
        }
        let auth = params.field("signature").map(|_| Auth::parse(params, &account)).transpose()?;
        let sig_timestamp = params.timestamp("sig_timestamp")?.unwrap_or(timestamp);
        let namespace = params.namespace()?.unwrap_or_default();
        Ok(Self { account, namespace, timestamp, expiry, data, auth, sig_timestamp })
    }
}

fn too_long() -> Invalid {
    Invalid::new(format!("Message body exceeds maximum allowed length of {MAX_MESSAGE} bytes"))
}

impl Retrieve {
    fn parse(params: &Params) -> Result<Self, Invalid> {
        let account = auth::account(params, true)?;
        let given = params.namespace()?;
        let signed = ["pubkey_ed25519", "signature", "timestamp"].iter().any(|name| params.field(name).is_some());
        let auth = if signed || given.is_some_and(|namespace| !namespace.is_open_to_read()) {
            let auth = Auth::parse(params, &account)?;
            Some((auth, required(params.timestamp("timestamp")?, "timestamp")?))
        } else {
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

/// The text of a hash: 43 characters of base64, whatever the last bits.
fn check_hash(text: &[u8]) -> Result<String, Invalid> {
    let invalid = || Invalid(format!("invalid message hash: {}", String::from_utf8_lossy(text)));
    let base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    if text.len() != MessageHash::TEXT_LEN || !text.iter().all(base64) {
        return Err(invalid());
    }
    String::from_utf8(text.to_vec()).map_err(|_| invalid())
}

impl Delete {
    fn parse(params: &Params) -> Result<Self, Invalid> {
        let account = auth::account(params, false)?;
        let auth = Auth::parse(params, &account)?;
        let messages = required(params.strings("messages")?, "messages")?;
        if messages.is_empty() {
            return Err(Invalid::new("messages does not contain any message hashes"));
        }
        let messages = messages.into_iter().map(check_hash).collect::<Result<_, _>>()?;
        Ok(Self { account, messages, required: params.boolean("required")?.unwrap_or(false), auth })
    }
}

impl Timed {
    fn parse(params: &Params, time: &str) -> Result<Self, Invalid> {
        let account = auth::account(params, false)?;
        let auth = Auth::parse(params, &account)?;
        let namespace = params.namespace_or_all()?.unwrap_or(NamespaceOrAll::One(Namespace(0)));
        Ok(Self { account, namespace, time: required(params.timestamp(time)?, time)?, auth })
    }
}

fn swarm_account(params: &Params) -> Result<AccountId, Invalid> {
    auth::account(params, true).map_err(|error| {
        // The same refusal in other words, here alone.
        let general = "Pubkey must be 66 hex digits (33 bytes) long";
        if error.0 == general { Invalid::new("Pubkey must be 66 hex digits/33 bytes long") } else { error }
    })
}

fn oxend(params: &Params) -> Result<Request, Invalid> {
    let endpoint = required(params.string("endpoint")?, "endpoint")?;
    let endpoint = String::from_utf8_lossy(endpoint).into_owned();
    if !["get_service_nodes", "ons_resolve"].contains(&endpoint.as_str()) {
        return Err(Invalid(format!("Invalid oxend endpoint '{endpoint}'")));
    }
    let params = match params.field("params") {
        None => Json::Object(Map::new()),
        Some(Field::Json(value)) => value.clone(),
        Some(field @ Field::Bencode(_)) => field
            .string()
            .and_then(|text| serde_json::from_slice(text).ok())
            .ok_or_else(|| Invalid::new("oxend_request params field does not contain valid json"))?,
    };
    Ok(Request::Oxend { endpoint, params })
}

/// The requests in a batch or sequence, all of them well-formed.
fn subrequests(params: &Params) -> Result<Vec<Request>, Invalid> {
    let no_field = || Invalid::new("Invalid batch request: no valid \"requests\" field");
    let exceeded = || Invalid::new("Invalid batch request: subrequest limit exceeded");
    let parsed = match params.field("requests") {
        Some(Field::Json(Json::Array(items))) if !items.is_empty() => {
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
    parsed.into_iter().map(|(method, params)| subrequest(&method, &params)).collect()
}

fn subrequest(method: &str, params: &Params) -> Result<Request, Invalid> {
    if ["batch", "sequence", "ifelse"].contains(&method) {
        return Err(Invalid::new("Invalid batch subrequest: subrequests may not contain meta-requests"));
    }
    Request::parse(method, params)?
        .ok_or_else(|| Invalid(format!("Invalid batch subrequest: invalid method \"{method}\"")))
}

fn json_subrequest(item: &Json) -> Result<(String, Params), Invalid> {
    let item = item.as_object().ok_or_else(|| Invalid::new("Invalid batch request: requests must be objects"))?;
    match (item.get("method").and_then(Json::as_str), item.get("params").and_then(Json::as_object)) {
        (Some(method), Some(params)) => Ok((method.to_owned(), Params::Json(params.clone()))),
        _ => Err(Invalid::new("Invalid batch request: subrequests must have method/params keys")),
    }
}

fn bt_subrequest(item: &Bt) -> Result<(String, Params), Invalid> {
    let text = |text: &str| Invalid(format!("Invalid batch request: {text}"));
    let Bt::Dict(item) = item else { return Err(text("requests must be dicts")) };
    let get = |name: &str| item.get(name.as_bytes());
    let Some(Bt::Bytes(method)) = get("method") else { return Err(text("subrequests must have a method")) };
    let Some(Bt::Dict(params)) = get("params") else { return Err(text("subrequests must have a params dict")) };
    let params: BTreeMap<Vec<u8>, Bt> = params.clone();
    Ok((String::from_utf8_lossy(method).into_owned(), Params::Bencode(params)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refusal(method: &str, params: &Json) -> String {
        let params = Params::Json(params.as_object().unwrap().clone());
        Request::parse(method, &params).unwrap_err().to_string()
    }

    #[test]
    fn texts() {
        let key = format!("05{}", "11".repeat(32));
        let sig = "A".repeat(86);
        let hash = "B".repeat(43);
        for (method, params, want) in [
            ("store", json!({}), "Required field 'pubkey' missing"),
            ("store", json!({"pubkey": key}), "Required field 'timestamp' missing"),
            ("store", json!({"pubkey": key, "timestamp": "12x"}), "Invalid value given for 'timestamp': \"12x\""),
            ("store", json!({"pubkey": key, "timestamp": 1}), "Required field 'expiry' or 'ttl' missing"),
            (
                "store",
                json!({"pubkey": key, "timestamp": 1, "ttl": 1, "expiry": 1}),
                "Cannot specify both 'expiry' and 'ttl'",
            ),
            (
                "store",
                json!({"pubkey": key, "timestamp": "1", "ttl": "1", "data": "?"}),
                "Invalid 'data' value: not base64 encoded",
            ),
            (
                "store",
                json!({"pubkey": key, "timestamp": 1, "ttl": 1, "data": "A".repeat(102_404)}),
                "Message body exceeds maximum allowed length of 76800 bytes",
            ),
            (
                "store",
                json!({"pubkey": key, "timestamp": 1, "ttl": 1, "data": "", "namespace": 32768}),
                "Invalid value given for 'namespace': value out of range",
            ),
            ("retrieve", json!({"pubkey": key, "namespace": 42}), "Required field 'signature' missing"),
            ("retrieve", json!({"pubkey": key, "signature": sig}), "Required field 'timestamp' missing"),
            ("retrieve", json!({"pubkey": key, "last_hash": "x"}), "Invalid last_hash: expected base64 (43 chars)"),
            ("retrieve", json!({"pubkey": key, "lastHash": "?".repeat(43)}), "Invalid last_hash: not base64"),
            (
                "delete",
                json!({"pubkey": key, "signature": sig, "messages": []}),
                "messages does not contain any message hashes",
            ),
            ("delete", json!({"pubkey": key, "signature": sig, "messages": [hash, "x"]}), "invalid message hash: x"),
            ("get_swarm", json!({"pubkey": "05"}), "Pubkey must be 66 hex digits/33 bytes long"),
            ("oxend_request", json!({"endpoint": "stop"}), "Invalid oxend endpoint 'stop'"),
            ("batch", json!({"requests": []}), "Invalid batch request: no valid \"requests\" field"),
            ("batch", json!({"requests": vec![1; 21]}), "Invalid batch request: subrequest limit exceeded"),
            ("batch", json!({"requests": [1]}), "Invalid batch request: requests must be objects"),
            (
                "batch",
                json!({"requests": [{"method": "info"}]}),
                "Invalid batch request: subrequests must have method/params keys",
            ),
            (
                "sequence",
                json!({"requests": [{"method": "nope", "params": {}}]}),
                "Invalid batch subrequest: invalid method \"nope\"",
            ),
            (
                "sequence",
                json!({"requests": [{"method": "batch", "params": {}}]}),
                "Invalid batch subrequest: subrequests may not contain meta-requests",
            ),
        ] {
            assert_eq!(refusal(method, &params), want, "{method} {params}");
        }
        assert!(matches!(Request::parse("nope", &Params::Json(Map::new())), Ok(None)));
    }

    #[test]
    fn every_listed_method_is_known() {
        for method in METHODS {
            assert!(!matches!(Request::parse(method, &Params::Json(Map::new())), Ok(None)), "{method}");
        }
    }

    #[test]
    fn store_takes_numbers_as_text() {
        let key = format!("05{}", "11".repeat(32));
        let params = json!({"pubKey": key, "timestamp": "1700000000000", "ttl": "86400000", "data": "aGk="});
        let params = Params::Json(params.as_object().unwrap().clone());
        let Ok(Some(Request::Store(store))) = Request::parse("store", &params) else { panic!("refused") };
        assert_eq!((store.expiry, store.data.as_slice()), (Millis(1_700_086_400_000), b"hi".as_slice()));
    }
}
