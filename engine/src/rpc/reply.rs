//! A status and a body.

use std::borrow::Cow;

use bytes::Bytes;

use super::{
    status::Status,
    value::{Encoding, Value, write_json_bytes, write_json_text},
};
use crate::bencode::push_decimal;

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
    Binary(Bytes),
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
            Body::Binary(bytes) => bytes.to_vec(),
        }
    }

    /// About how long the body is in JSON.
    #[must_use]
    pub(super) fn json_size(&self) -> usize {
        match &self.body {
            Body::Text(text) => text.len(),
            Body::Value(value) => value.json_size(),
            Body::Json(json) => Value::from_json(json).json_size(),
            Body::Binary(bytes) => bytes.len().div_ceil(3) * 4,
        }
    }

    /// The status and a result in a list, as QUIC wants it (`spec/transports` §3.3).
    #[must_use]
    pub fn in_list(&self, value: &Value, encoding: Encoding) -> Vec<u8> {
        let code = self.status.code();
        let mut out = Vec::with_capacity(value.json_size() + 16);
        match encoding {
            Encoding::Json => out.extend_from_slice(format!("[{code},").as_bytes()),
            Encoding::Bencode => out.extend_from_slice(format!("li{code}e").as_bytes()),
        }
        value.write(encoding, &mut out);
        out.push(if encoding == Encoding::Json { b']' } else { b'e' });
        out
    }

    /// Writes `{"body", "status"}` behind `out`, what the innermost onion layer carries (`spec/onion` §5). A result is in it as it is when `json`
    /// says so, and as text else.
    pub fn write_in_onion(&self, json: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"body\":");
        match &self.body {
            Body::Binary(bytes) => write_json_bytes(bytes, out),
            // Text is quoted once, whatever is wished.
            Body::Text(text) | Body::Value(Value::Text(text)) => write_json_text(text, out),
            Body::Json(text @ serde_json::Value::String(_)) => out.extend_from_slice(text.to_string().as_bytes()),
            Body::Value(value) if json => value.write(Encoding::Json, out),
            Body::Value(_) | Body::Json(_) => {
                let body = self.encode(Encoding::Json);
                if json {
                    out.extend_from_slice(&body);
                } else {
                    write_json_text(&String::from_utf8_lossy(&body), out);
                }
            }
        }
        out.extend_from_slice(b",\"status\":");
        push_decimal(self.status.code().into(), out);
        out.push(b'}');
    }

    /// About how long what [`Self::write_in_onion`] writes is.
    #[must_use]
    pub fn size_in_onion(&self) -> usize {
        let body = match &self.body {
            // To find out would take a tree.
            Body::Json(_) => 0,
            Body::Text(_) | Body::Value(_) | Body::Binary(_) => self.json_size(),
        };
        body + 32
    }

    /// The body as part of a larger result.
    #[must_use]
    pub fn into_value(self) -> Value {
        match self.body {
            Body::Text(text) => Value::Text(text),
            Body::Value(value) => value,
            Body::Json(json) => Value::from_json(&json),
            Body::Binary(bytes) => Value::Bytes(bytes.to_vec()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_onion_carries_a_result_or_its_text() {
        let result = Reply::value(Status::OK, Value::dict([("a", Value::text("\""))]));
        let text = Reply::text(Status::NOT_FOUND, "no \"x\"");
        let binary = Reply { status: Status::OK, body: Body::Binary(Bytes::from_static(&[0xff; 2])) };
        for (reply, json, want) in [
            (&result, true, r#"{"body":{"a":"\""},"status":200}"#),
            (&result, false, r#"{"body":"{\"a\":\"\\\"\"}","status":200}"#),
            (&text, true, r#"{"body":"no \"x\"","status":404}"#),
            (&text, false, r#"{"body":"no \"x\"","status":404}"#),
            (&binary, true, r#"{"body":"//8=","status":200}"#),
        ] {
            let mut out = b"before ".to_vec();
            reply.write_in_onion(json, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("before {want}"));
        }
    }

    #[test]
    fn a_list_for_quic() {
        let reply = Reply::text(Status::OK, "");
        let value = Value::dict([("a", Value::Int(1))]);
        assert_eq!(reply.in_list(&value, Encoding::Json), br#"[200,{"a":1}]"#);
        assert_eq!(reply.in_list(&value, Encoding::Bencode), b"li200ed1:ai1eee");
    }
}
