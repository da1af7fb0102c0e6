//! A status and a body.

use std::borrow::Cow;

use super::{
    status::Status,
    value::{Encoding, Value},
};

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Plain text: errors.
    Text(Cow<'static, str>),
    /// A result.
    Value(Value),
    /// A result that stays as another program made it.
    Json(serde_json::Value),
    /// A result that is neither JSON nor bencode.
    Binary(Vec<u8>),
}

/// An answer, before its transport frames it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// How it went.
    pub status: Status,
    /// What is said.
    pub body: Body,
}

impl Reply {
    /// A refusal in words.
    #[must_use]
    pub fn text(status: Status, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, body: Body::Text(text.into()) }
    }

    /// A result.
    #[must_use]
    pub const fn value(status: Status, value: Value) -> Self {
        Self { status, body: Body::Value(value) }
    }

    /// The body's bytes.
    #[must_use]
    pub fn encode(&self, encoding: Encoding) -> Vec<u8> {
        match &self.body {
            Body::Text(text) => text.as_bytes().to_vec(),
            Body::Value(value) => value.encode(encoding),
            Body::Json(json) => json.to_string().into_bytes(),
            Body::Binary(bytes) => bytes.clone(),
        }
    }

    /// The status and a result in a list, as QUIC wants it (`spec/transports` §3.3).
    #[must_use]
    pub fn in_list(&self, value: &Value, encoding: Encoding) -> Vec<u8> {
        Value::List(vec![Value::Int(self.status.code().into()), value.clone()]).encode(encoding)
    }

    /// The body as part of a larger result.
    #[must_use]
    pub fn as_value(&self) -> Value {
        match &self.body {
            Body::Text(text) => Value::Text(text.clone()),
            Body::Value(value) => value.clone(),
            Body::Json(json) => Value::from_json(json),
            Body::Binary(bytes) => Value::Bytes(bytes.clone()),
        }
    }

    /// The body as part of a JSON answer: text and base64 as strings, results as they are.
    #[must_use]
    pub fn json_body(&self) -> serde_json::Value {
        match &self.body {
            Body::Text(text) => text.as_ref().into(),
            Body::Value(value) => value.to_json(),
            Body::Json(json) => json.clone(),
            Body::Binary(bytes) => base64_simd::STANDARD.encode_to_string(bytes).into(),
        }
    }

    /// The `Content-Type` of the body (`spec/transports` §1.3).
    #[must_use]
    pub const fn content_type(&self) -> &'static str {
        match self.body {
            Body::Text(_) => "text/plain",
            Body::Value(_) | Body::Json(_) => "application/json",
            Body::Binary(_) => "application/octet-stream",
        }
    }
}
