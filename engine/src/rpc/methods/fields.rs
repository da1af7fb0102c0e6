//! Fields that several methods have.

use super::super::{
    params::{Invalid, Params},
    reply::Reply,
    value::Value,
};
use crate::types::MessageHash;

/// Hashes, tokens or times that one request may name.
pub(super) const MAX_LISTED: usize = 5000;

pub(super) fn required<T>(found: Option<T>, name: &str) -> Result<T, Invalid> {
    found.ok_or_else(|| Invalid::missing(name))
}

/// The text of a hash: 43 characters of base64, whatever the last bits.
pub(super) fn check_hash(text: &[u8]) -> Result<String, Invalid> {
    let invalid = || Invalid(format!("invalid message hash: {}", String::from_utf8_lossy(text)));
    let base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    if text.len() != MessageHash::TEXT_LEN || !text.iter().all(base64) {
        return Err(invalid());
    }
    String::from_utf8(text.to_vec()).map_err(|_| invalid())
}

pub(super) fn some_messages<'a>(params: &Params<'a>) -> Result<Vec<&'a [u8]>, Invalid> {
    let messages = required(params.strings("messages", MAX_LISTED)?, "messages")?;
    if messages.is_empty() {
        return Err(Invalid::new("messages does not contain any message hashes"));
    }
    Ok(messages)
}

/// One reply inside another.
pub(super) fn result(reply: Reply) -> Value {
    Value::dict([("code", Value::Int(reply.status.code().into())), ("body", reply.into_value())])
}
