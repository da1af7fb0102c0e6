//! Requests, taken out of their fields (`spec/node-rpc` §4). Nothing here looks at the clock, the network or the store.

use std::borrow::Cow;

use serde_json::{Map, Value as Json};

use super::{
    auth::{self, Auth},
    params::{Field, Invalid, NamespaceOrAll, POSITIVE, Params, TIMESTAMP},
    value::Encoding,
};
use crate::{
    bencode::Bt,
    json,
    types::{AccountId, MessageHash, Millis, Namespace},
};

/// Bytes that a message may have (`spec/node-rpc` §2.5).
pub(super) const MAX_MESSAGE: usize = 76_800;
/// Requests that a batch may hold.
const MAX_BATCH: usize = 20;
/// Hashes, tokens or times that one request may name.
const MAX_LISTED: usize = 5000;
/// Tokens that one request may revoke.
const MAX_REVOKE: usize = 50;
/// How deep one `ifelse` may stand in another.
const MAX_IFELSE: usize = 8;
/// Bytes that the params of `oxend_request` may have, as JSON.
const MAX_OXEND: usize = 65_536;

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
    /// Change the expiry of messages by hash.
    Expire(Expire),
    /// When messages go.
    GetExpiries(GetExpiries),
    /// Take permission from subaccounts.
    Revoke(Revocation),
    /// Give it back.
    Unrevoke(Revocation),
    /// Which subaccounts it was taken from.
    RevokedSubaccounts {
        /// Whose.
        account: AccountId,
        /// When signed.
        timestamp: Millis,
        /// Proof.
        auth: Auth,
    },
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
    /// Every active node, in the binary form.
    ActiveNodes,
    /// One of two, by what the network is like.
    IfElse(Box<IfElse>),
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

/// `expire`.
#[derive(Clone, Debug)]
pub struct Expire {
    /// Whose.
    pub account: AccountId,
    /// As sent; they are part of what is signed.
    pub messages: Vec<String>,
    /// One for all messages, or one for each.
    pub expiry: Vec<Millis>,
    /// Which changes are wanted; all when absent.
    pub only: Option<Direction>,
    /// Proof.
    pub auth: Auth,
}

/// The one way in which `expire` may change an expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Later.
    Extend,
    /// Earlier.
    Shorten,
}

impl Direction {
    /// The name of its field, which is also what is signed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Extend => "extend",
            Self::Shorten => "shorten",
        }
    }
}

/// `get_expiries`.
#[derive(Clone, Debug)]
pub struct GetExpiries {
    /// Whose.
    pub account: AccountId,
    /// As sent; they are part of what is signed.
    pub messages: Vec<String>,
    /// When signed.
    pub timestamp: Millis,
    /// Proof.
    pub auth: Auth,
}

/// `revoke_subaccount`, `unrevoke_subaccount`.
#[derive(Clone, Debug)]
pub struct Revocation {
    /// Whose.
    pub account: AccountId,
    /// In the order sent.
    pub tokens: Vec<[u8; 36]>,
    /// When signed.
    pub timestamp: Millis,
    /// Proof, by the main key.
    pub auth: Auth,
}

/// `ifelse`: what has to hold, and what is asked when it does and when not.
#[derive(Clone, Debug)]
pub struct IfElse {
    /// Every one has to hold.
    pub conditions: Vec<Condition>,
    /// When all do.
    pub then: Option<Request>,
    /// When one does not.
    pub otherwise: Option<Request>,
}

/// Something about the network or the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What is looked at.
    pub of: Quantity,
    /// At least this much, or before this.
    pub at_least: bool,
    /// Padded with zeros to the quantity's length.
    pub bound: [u64; 3],
}

/// What a [`Condition`] looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Hardfork and revision.
    Hardfork,
    /// The version that the node advertises.
    Version,
    /// The chain's height.
    Height,
}

/// The method names that [`Request::parse`] knows.
pub const METHODS: &[&str] = &[
    "store",
    "retrieve",
    "delete",
    "delete_all",
    "delete_before",
    "expire_all",
    "expire",
    "get_expiries",
    "revoke_subaccount",
    "unrevoke_subaccount",
    "revoked_subaccounts",
    "get_swarm",
    "get_snodes_for_pubkey",
    "oxend_request",
    "info",
    "active_nodes_bin",
    "batch",
    "sequence",
    "ifelse",
];

impl Request {
    /// The place of its method in [`METHODS`]; the first of two names.
    #[must_use]
    pub const fn place(&self) -> usize {
        match self {
            Self::Store(_) => 0,
            Self::Retrieve(_) => 1,
            Self::Delete(_) => 2,
            Self::DeleteAll(_) => 3,
            Self::DeleteBefore(_) => 4,
            Self::ExpireAll(_) => 5,
            Self::Expire(_) => 6,
            Self::GetExpiries(_) => 7,
            Self::Revoke(_) => 8,
            Self::Unrevoke(_) => 9,
            Self::RevokedSubaccounts { .. } => 10,
            Self::GetSwarm(_) => 11,
            Self::Oxend { .. } => 13,
            Self::Info => 14,
            Self::ActiveNodes => 15,
            Self::Batch(_) => 16,
            Self::Sequence(_) => 17,
            Self::IfElse(_) => 18,
        }
    }

    /// Names every account whose messages or permissions the request reads or changes.
    pub fn each_account(&self, name: &mut impl FnMut(&AccountId)) {
        match self {
            Self::Store(Store { account, .. })
            | Self::Retrieve(Retrieve { account, .. })
            | Self::Delete(Delete { account, .. })
            | Self::DeleteAll(Timed { account, .. })
            | Self::DeleteBefore(Timed { account, .. })
            | Self::ExpireAll(Timed { account, .. })
            | Self::Expire(Expire { account, .. })
            | Self::GetExpiries(GetExpiries { account, .. })
            | Self::Revoke(Revocation { account, .. })
            | Self::Unrevoke(Revocation { account, .. })
            | Self::RevokedSubaccounts { account, .. } => name(account),
            Self::IfElse(request) => {
                for branch in [&request.then, &request.otherwise].into_iter().flatten() {
                    branch.each_account(name);
                }
            }
            Self::Batch(requests) | Self::Sequence(requests) => {
                for request in requests {
                    request.each_account(name);
                }
            }
            Self::GetSwarm(_) | Self::Oxend { .. } | Self::Info | Self::ActiveNodes => {}
        }
    }

    /// The request `method` with `params`; `None` when there is no such method.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn parse(method: &str, params: &Params<'_>) -> Result<Option<Self>, Invalid> {
        Self::parse_inside(method, params, 0)
    }

    /// As [`Self::parse`], inside of `depth` times `ifelse`.
    fn parse_inside(method: &str, params: &Params<'_>, depth: usize) -> Result<Option<Self>, Invalid> {
        Ok(Some(match method {
            "store" => Self::Store(Store::parse(params)?),
            "retrieve" => Self::Retrieve(Retrieve::parse(params)?),
            "delete" => Self::Delete(Delete::parse(params)?),
            "delete_all" => Self::DeleteAll(Timed::parse(params, "timestamp")?),
            "delete_before" => Self::DeleteBefore(Timed::parse(params, "before")?),
            "expire_all" => Self::ExpireAll(Timed::parse(params, "expiry")?),
            "expire" => Self::Expire(Expire::parse(params)?),
            "get_expiries" => Self::GetExpiries(GetExpiries::parse(params)?),
            "revoke_subaccount" => Self::Revoke(Revocation::parse(params, "revoke", MAX_REVOKE)?),
            "unrevoke_subaccount" => Self::Unrevoke(Revocation::parse(params, "unrevoke", MAX_LISTED)?),
            "revoked_subaccounts" => {
                let account = auth::account(params, false)?;
                let auth = Auth::parse_main(params, &account)?;
                let timestamp = required(params.timestamp("timestamp")?, "timestamp")?;
                Self::RevokedSubaccounts { account, timestamp, auth }
            }
            "get_swarm" | "get_snodes_for_pubkey" => Self::GetSwarm(swarm_account(params)?),
            "oxend_request" => oxend(params)?,
            "info" => Self::Info,
            "active_nodes_bin" => Self::ActiveNodes,
            "ifelse" => Self::IfElse(Box::new(IfElse::parse(params, depth)?)),
            "batch" => Self::Batch(subrequests(params)?),
            "sequence" => Self::Sequence(subrequests(params)?),
            _ => return Ok(None),
        }))
    }
}

fn required<T>(found: Option<T>, name: &str) -> Result<T, Invalid> {
    found.ok_or_else(|| Invalid::missing(name))
}

/// `store`'s `timestamp` and `ttl`, which JSON clients also send as decimal text; `what` a number of theirs has to be.
fn lenient_time(params: &Params<'_>, name: &str, what: &str) -> Result<Option<Millis>, Invalid> {
    if let Some(Field::Json(Json::String(text))) = params.field(name) {
        let wrong = || Invalid::new(format!("Invalid value given for '{name}': {}", Json::from(text.as_str())));
        return decimal(text).map(Millis).map(Some).ok_or_else(wrong);
    }
    Ok(params.unsigned(name, what)?.map(Millis))
}

fn decimal(text: &str) -> Option<u64> {
    // `parse` alone would take a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl Store {
    fn parse(params: &Params<'_>) -> Result<Self, Invalid> {
        // The one field that the reference looks at before the account.
        let timestamp = required(lenient_time(params, "timestamp", TIMESTAMP)?, "timestamp")?;
        let account = auth::account(params, true)?;
        let expiry = match (params.timestamp("expiry")?, lenient_time(params, "ttl", POSITIVE)?) {
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
    fn parse(params: &Params<'_>) -> Result<Self, Invalid> {
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
    fn parse(params: &Params<'_>) -> Result<Self, Invalid> {
        let account = auth::account(params, false)?;
        let auth = Auth::parse(params, &account)?;
        let messages = some_messages(params)?.into_iter().map(check_hash).collect::<Result<_, _>>()?;
        Ok(Self { account, messages, required: params.boolean("required")?.unwrap_or(false), auth })
    }
}

impl Timed {
    fn parse(params: &Params<'_>, time: &str) -> Result<Self, Invalid> {
        let account = auth::account(params, false)?;
        let auth = Auth::parse(params, &account)?;
        let namespace = params.namespace_or_all()?.unwrap_or(NamespaceOrAll::One(Namespace(0)));
        Ok(Self { account, namespace, time: required(params.timestamp(time)?, time)?, auth })
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

fn some_messages<'a>(params: &Params<'a>) -> Result<Vec<&'a [u8]>, Invalid> {
    let messages = required(params.strings("messages", MAX_LISTED)?, "messages")?;
    if messages.is_empty() {
        return Err(Invalid::new("messages does not contain any message hashes"));
    }
    Ok(messages)
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

impl IfElse {
    fn parse(params: &Params<'_>, depth: usize) -> Result<Self, Invalid> {
        let text = |text: &str| Invalid(format!("Invalid ifelse request: {text}"));
        if depth == MAX_IFELSE {
            return Err(text(&format!("nested deeper than {MAX_IFELSE}")));
        }
        let test = params.field("if").and_then(Field::fields).ok_or_else(|| text("no valid \"if\" field"))?;
        let mut conditions = Vec::new();
        for (name, of, at_least) in [
            ("hf_at_least", Quantity::Hardfork, true),
            ("hf_before", Quantity::Hardfork, false),
            ("v_at_least", Quantity::Version, true),
            ("v_before", Quantity::Version, false),
            ("height_at_least", Quantity::Height, true),
            ("height_before", Quantity::Height, false),
        ] {
            let given = match of {
                Quantity::Height => test.unsigned(name, POSITIVE)?.map(|height| vec![height]),
                Quantity::Hardfork | Quantity::Version => test.unsigned_list(name, MAX_LISTED)?,
            };
            let Some(given) = given else { continue };
            let mut bound = [0; 3];
            let length = if of == Quantity::Version { 3 } else { 2 };
            // What goes beyond the quantity's own length cannot change the comparison with it.
            for (place, number) in bound.iter_mut().take(length).zip(given) {
                *place = number;
            }
            conditions.push(Condition { of, at_least, bound });
        }
        if conditions.is_empty() {
            return Err(text("must specify at least one \"if\" condition"));
        }
        let (then, otherwise) = (branch(params, "then", depth)?, branch(params, "else", depth)?);
        if then.is_none() && otherwise.is_none() {
            return Err(text("at least one of \"then\"/\"else\" required"));
        }
        Ok(Self { conditions, then, otherwise })
    }
}

/// A branch of `ifelse`: any method, meta-requests too.
fn branch(params: &Params<'_>, name: &str, depth: usize) -> Result<Option<Request>, Invalid> {
    let Some(field) = params.field(name) else { return Ok(None) };
    let text = |text: &str| Invalid(format!("Invalid ifelse request: {name} {text}"));
    let json = params.encoding() == Encoding::Json;
    let fields = field.fields().ok_or_else(|| text(if json { "must be an object" } else { "must be a dict" }))?;
    let lacks = |what: &str| if json { text("must have method/params keys") } else { text(&format!("missing {what}")) };
    let method = fields.field("method").and_then(Field::string).ok_or_else(|| lacks("method"))?;
    let arguments = fields.field("params").and_then(Field::fields).ok_or_else(|| lacks("params"))?;
    let request = Request::parse_inside(&String::from_utf8_lossy(method), &arguments, depth + 1)?;
    request.map(Some).ok_or_else(|| Invalid(format!("Invalid ifelse request method \"{name}\"")))
}

fn swarm_account(params: &Params<'_>) -> Result<AccountId, Invalid> {
    auth::account(params, true).map_err(|error| {
        // The same refusal in other words, here alone.
        let general = "Pubkey must be 66 hex digits (33 bytes) long";
        if error.0 == general { Invalid::new("Pubkey must be 66 hex digits/33 bytes long") } else { error }
    })
}

fn oxend(params: &Params<'_>) -> Result<Request, Invalid> {
    let endpoint = required(params.string("endpoint")?, "endpoint")?;
    let endpoint = String::from_utf8_lossy(endpoint).into_owned();
    if !["get_service_nodes", "ons_resolve"].contains(&endpoint.as_str()) {
        return Err(Invalid(format!("Invalid oxend endpoint '{endpoint}'")));
    }
    let large = || Invalid(format!("oxend_request params are larger than {MAX_OXEND} bytes"));
    let params = match params.field("params") {
        None => Json::Object(Map::new()),
        Some(Field::Json(value)) if value.to_string().len() > MAX_OXEND => return Err(large()),
        Some(Field::Json(value)) => value.clone(),
        Some(field @ Field::Bencode(_)) => match field.string() {
            Some(text) if text.len() > MAX_OXEND => return Err(large()),
            text => text
                .and_then(|text| json::parse(text).ok())
                .ok_or_else(|| Invalid::new("oxend_request params field does not contain valid json"))?,
        },
    };
    Ok(Request::Oxend { endpoint, params })
}

/// The requests in a batch or sequence, all of them well-formed.
fn subrequests(params: &Params<'_>) -> Result<Vec<Request>, Invalid> {
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

fn subrequest(method: &str, params: &Params<'_>) -> Result<Request, Invalid> {
    if ["batch", "sequence", "ifelse"].contains(&method) {
        return Err(Invalid::new("Invalid batch subrequest: subrequests may not contain meta-requests"));
    }
    Request::parse(method, params)?
        .ok_or_else(|| Invalid(format!("Invalid batch subrequest: invalid method \"{method}\"")))
}

fn json_subrequest(item: &Json) -> Result<(Cow<'_, str>, Params<'_>), Invalid> {
    let item = item.as_object().ok_or_else(|| Invalid::new("Invalid batch request: requests must be objects"))?;
    match (item.get("method").and_then(Json::as_str), item.get("params").and_then(Json::as_object)) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refusal(method: &str, params: &Json) -> String {
        Request::parse(method, &Params::Json(params.as_object().unwrap())).unwrap_err().to_string()
    }

    #[test]
    fn texts() {
        let key = format!("05{}", "11".repeat(32));
        let sig = "A".repeat(86);
        let hash = "B".repeat(43);
        for (method, params, want) in [
            ("store", json!({}), "Required field 'timestamp' missing"),
            ("store", json!({"timestamp": 1}), "Required field 'pubkey' missing"),
            ("store", json!({"pubkey": key}), "Required field 'timestamp' missing"),
            ("store", json!({"pubkey": key, "timestamp": "12x"}), "Invalid value given for 'timestamp': \"12x\""),
            (
                "store",
                json!({"pubkey": key, "timestamp": 1, "ttl": -1}),
                "Invalid value given for 'ttl': expected positive integer",
            ),
            (
                "store",
                json!({"pubkey": key, "timestamp": -1}),
                "Invalid value given for 'timestamp': expected integer timestamp (in milliseconds)",
            ),
            ("store", json!({"pubkey": key, "timestamp": 1}), "Required field 'expiry' or 'ttl' missing"),
            (
                "store",
                json!({"pubkey": key, "timestamp": 1, "ttl": 1, "expiry": 5_000_000_000_u64}),
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
            (
                "expire",
                json!({"pubkey": key, "signature": sig, "expiry": [], "messages": hash}),
                "'expiry' does not contain any expiration timestamps",
            ),
            (
                "expire",
                json!({"pubkey": key, "signature": sig, "expiry": 1, "messages": hash, "shorten": true, "extend": true}),
                "cannot specify both 'shorten' and 'extend'",
            ),
            (
                "expire",
                json!({"pubkey": key, "signature": sig, "expiry": 1, "messages": []}),
                "messages does not contain any message hashes",
            ),
            (
                "expire",
                json!({"pubkey": key, "signature": sig, "expiry": [1, 2], "messages": hash}),
                "'expiry' must be a single expiry, or the same length as 'messages'",
            ),
            (
                "expire",
                json!({"pubkey": key, "signature": sig, "expiry": 1, "messages": ["x"]}),
                "invalid message hash: x",
            ),
            (
                "get_expiries",
                json!({"pubkey": key, "signature": sig, "timestamp": 5_000_000_000_u64}),
                "Required field 'messages' missing",
            ),
            (
                "revoke_subaccount",
                json!({"pubkey": key, "signature": sig, "timestamp": 5_000_000_000_u64, "revoke": vec![""; 51]}),
                "invalid revoke: cannot revoke more than 50 subaccounts at once",
            ),
            (
                "unrevoke_subaccount",
                json!({"pubkey": key, "signature": sig, "timestamp": 5_000_000_000_u64, "unrevoke": vec![""; 51]}),
                "invalid unrevoke: expected base64 or hex-encoded subaccount tag",
            ),
            ("ifelse", json!({"then": {}}), "Invalid ifelse request: no valid \"if\" field"),
            ("ifelse", json!({"if": {}}), "Invalid ifelse request: must specify at least one \"if\" condition"),
            (
                "ifelse",
                json!({"if": {"height_before": 1}}),
                "Invalid ifelse request: at least one of \"then\"/\"else\" required",
            ),
            (
                "ifelse",
                json!({"if": {"height_before": 1}, "else": 1}),
                "Invalid ifelse request: else must be an object",
            ),
            (
                "ifelse",
                json!({"if": {"height_before": 1}, "then": {"method": "info"}}),
                "Invalid ifelse request: then must have method/params keys",
            ),
            (
                "ifelse",
                json!({"if": {"height_before": 1}, "then": {"method": "nope", "params": {}}}),
                "Invalid ifelse request method \"then\"",
            ),
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
        assert!(matches!(Request::parse("nope", &Params::Json(&Map::new())), Ok(None)));
    }

    #[test]
    fn lists_and_nesting_have_an_end() {
        let key = format!("03{}", "11".repeat(32));
        let sig = "A".repeat(86);
        let long = |item: Json| vec![item; MAX_LISTED + 1];
        let hashes = json!({"pubkey": key, "signature": sig, "timestamp": 5_000_000_000_u64, "expiry": 5_000_000_000_u64,
            "messages": long("A".repeat(43).into()), "revoke": long("".into()), "unrevoke": long("".into())});
        for (method, name) in [
            ("delete", "messages"),
            ("expire", "messages"),
            ("get_expiries", "messages"),
            ("revoke_subaccount", "revoke"),
            ("unrevoke_subaccount", "unrevoke"),
        ] {
            assert_eq!(refusal(method, &hashes), format!("Invalid value given for '{name}': more than 5000 items"));
        }
        let mut times = hashes.clone();
        times["expiry"] = long(5_000_000_000_u64.into()).into();
        assert_eq!(refusal("expire", &times), "Invalid value given for 'expiry': more than 5000 items");
        let params = json!({"endpoint": "ons_resolve", "params": {"a": "x".repeat(MAX_OXEND)}});
        assert_eq!(refusal("oxend_request", &params), "oxend_request params are larger than 65536 bytes");
        let nested = |depth| {
            let mut params = json!({"if": {"height_before": 1}, "then": {"method": "info", "params": {}}});
            for _ in 1..depth {
                params = json!({"if": {"height_before": 1}, "then": {"method": "ifelse", "params": params}});
            }
            params
        };
        let deepest = nested(MAX_IFELSE);
        assert!(Request::parse("ifelse", &Params::Json(deepest.as_object().unwrap())).is_ok());
        assert_eq!(refusal("ifelse", &nested(MAX_IFELSE + 1)), "Invalid ifelse request: nested deeper than 8");
    }

    #[test]
    fn every_listed_method_is_known() {
        for method in METHODS {
            assert!(!matches!(Request::parse(method, &Params::Json(&Map::new())), Ok(None)), "{method}");
        }
    }

    #[test]
    fn store_takes_numbers_as_text() {
        let key = format!("05{}", "11".repeat(32));
        let params = json!({"pubKey": key, "timestamp": "1700000000000", "ttl": "86400000", "data": "aGk="});
        let params = Params::Json(params.as_object().unwrap());
        let Ok(Some(Request::Store(store))) = Request::parse("store", &params) else { panic!("refused") };
        assert_eq!((store.expiry, store.data.as_slice()), (Millis(1_700_086_400_000), b"hi".as_slice()));
    }

    #[test]
    fn every_request_knows_the_place_of_its_method() {
        let key = format!("03{}", "0".repeat(64));
        let sig = "A".repeat(86);
        let hash = "A".repeat(43);
        let any = json!({
            "pubkey": key, "signature": sig, "timestamp": 5_000_000_000_u64, "before": 5_000_000_000_u64,
            "expiry": 5_000_000_000_u64, "data": "", "messages": [hash], "revoke": ["00".repeat(36)],
            "unrevoke": ["00".repeat(36)], "endpoint": "ons_resolve", "if": {"height_before": 1},
            "then": {"method": "info", "params": {}}, "requests": [{"method": "info", "params": {}}],
        });
        for (place, method) in METHODS.iter().enumerate() {
            let request = Request::parse(method, &Params::Json(any.as_object().unwrap())).unwrap().unwrap();
            let place = if *method == "get_snodes_for_pubkey" { place - 1 } else { place };
            assert_eq!(request.place(), place, "{method}");
        }
    }
}
