//! A result before it is encoded (`spec/node-rpc` §1.2).

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use crate::bencode::{Bt, encode_bytes, encode_int};

/// The form of a request, which is the form of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// JSON text.
    Json,
    /// bencode.
    Bencode,
}

/// A result. JSON and bencode differ in how they write booleans and bytes, and in nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `true` in JSON, 1 in bencode.
    Bool(bool),
    /// A number.
    Int(i64),
    /// A number that may be above 2^63, such as a swarm id.
    Uint(u64),
    /// Text.
    Text(Cow<'static, str>),
    /// Padded base64 in JSON, raw in bencode.
    Bytes(Vec<u8>),
    /// In order.
    List(Vec<Value>),
    /// JSON that is written already, and shared by all who get it.
    Raw(Arc<str>),
    /// By key.
    Dict(BTreeMap<Cow<'static, str>, Value>),
}

impl Value {
    /// A dict of `entries`.
    #[must_use]
    pub fn dict<K: Into<Cow<'static, str>>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Dict(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    /// Text that was made at run time or is part of the program.
    #[must_use]
    pub fn text(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Text(text.into())
    }

    /// The bytes to send.
    #[must_use]
    pub fn encode(&self, encoding: Encoding) -> Vec<u8> {
        match encoding {
            Encoding::Json => {
                let mut out = Vec::with_capacity(self.json_size());
                self.write_json(&mut out);
                out
            }
            Encoding::Bencode => {
                let mut out = Vec::new();
                self.write_bencode(&mut out);
                out
            }
        }
    }

    /// About how long the JSON becomes.
    pub(super) fn json_size(&self) -> usize {
        match self {
            Self::Bool(_) => 5,
            Self::Int(_) | Self::Uint(_) => 20,
            Self::Text(text) => text.len() + 3,
            Self::Bytes(bytes) => bytes.len().div_ceil(3) * 4 + 3,
            Self::Raw(json) => json.len(),
            Self::List(items) => items.iter().map(Self::json_size).sum::<usize>() + 2 + items.len(),
            Self::Dict(entries) => {
                entries.iter().map(|(key, value)| key.len() + 4 + value.json_size()).sum::<usize>() + 2
            }
        }
    }

    /// Written at once: no tree of JSON values in between, and base64 in place.
    fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
            Self::Int(number) => write_json_of(number, out),
            Self::Uint(number) => write_json_of(number, out),
            Self::Text(text) => write_json_of(text.as_ref(), out),
            Self::Bytes(bytes) => {
                out.push(b'"');
                base64_simd::STANDARD.encode_append(bytes, out);
                out.push(b'"');
            }
            Self::Raw(json) => out.extend_from_slice(json.as_bytes()),
            Self::List(items) => {
                out.push(b'[');
                for (number, item) in items.iter().enumerate() {
                    if number > 0 {
                        out.push(b',');
                    }
                    item.write_json(out);
                }
                out.push(b']');
            }
            Self::Dict(entries) => {
                out.push(b'{');
                for (number, (key, value)) in entries.iter().enumerate() {
                    if number > 0 {
                        out.push(b',');
                    }
                    write_json_of(key.as_ref(), out);
                    out.push(b':');
                    value.write_json(out);
                }
                out.push(b'}');
            }
        }
    }

    /// Written at once, as what [`Self::to_bt`] gives would be.
    fn write_bencode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bool(value) => encode_int((*value).into(), out),
            Self::Int(number) => encode_int((*number).into(), out),
            Self::Uint(number) => encode_int((*number).into(), out),
            Self::Text(text) => encode_bytes(text.as_bytes(), out),
            Self::Bytes(bytes) => encode_bytes(bytes, out),
            Self::Raw(json) => Self::from_json(&parsed(json)).write_bencode(out),
            Self::List(items) => {
                out.push(b'l');
                items.iter().for_each(|item| item.write_bencode(out));
                out.push(b'e');
            }
            Self::Dict(entries) => {
                out.push(b'd');
                for (key, value) in entries {
                    encode_bytes(key.as_bytes(), out);
                    value.write_bencode(out);
                }
                out.push(b'e');
            }
        }
    }

    /// From JSON that another program made. Floats and null, which bencode cannot say, become text.
    #[must_use]
    pub fn from_json(json: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Self::text("null"),
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => Self::Int(number),
                (None, Some(number)) => Self::Uint(number),
                (None, None) => Self::text(number.to_string()),
            },
            Json::String(text) => Self::text(text.clone()),
            Json::Array(items) => Self::List(items.iter().map(Self::from_json).collect()),
            Json::Object(entries) => {
                Self::dict(entries.iter().map(|(key, value)| (key.clone(), Self::from_json(value))))
            }
        }
    }

    /// From bencode that a peer sent, its strings taken for text.
    #[must_use]
    pub fn from_bt(bt: Bt) -> Self {
        match bt {
            Bt::Int(number) => match (i64::try_from(number), u64::try_from(number)) {
                (Ok(number), _) => Self::Int(number),
                (Err(_), Ok(number)) => Self::Uint(number),
                (Err(_), Err(_)) => Self::text(number.to_string()),
            },
            Bt::Bytes(bytes) => Self::text(String::from_utf8_lossy(&bytes).into_owned()),
            Bt::List(items) => Self::List(items.into_iter().map(Self::from_bt).collect()),
            Bt::Dict(entries) => Self::dict(
                entries
                    .into_iter()
                    .map(|(key, value)| (String::from_utf8_lossy(&key).into_owned(), Self::from_bt(value))),
            ),
        }
    }

    /// The value in JSON, for where it becomes part of a larger answer.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Bool(value) => (*value).into(),
            Self::Int(number) => (*number).into(),
            Self::Uint(number) => (*number).into(),
            Self::Text(text) => text.as_ref().into(),
            Self::Bytes(bytes) => base64_simd::STANDARD.encode_to_string(bytes).into(),
            Self::Raw(json) => parsed(json),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Dict(entries) => entries.iter().map(|(key, value)| (key.as_ref(), value.to_json())).collect(),
        }
    }

    /// The value in bencode, for where it becomes part of a larger answer.
    #[must_use]
    pub fn to_bt(&self) -> Bt {
        match self {
            Self::Bool(value) => Bt::Int((*value).into()),
            Self::Int(number) => Bt::Int((*number).into()),
            Self::Uint(number) => Bt::Int((*number).into()),
            Self::Text(text) => Bt::Bytes(text.as_bytes().to_vec()),
            Self::Bytes(bytes) => Bt::Bytes(bytes.clone()),
            Self::Raw(json) => Self::from_json(&parsed(json)).to_bt(),
            Self::List(items) => Bt::List(items.iter().map(Self::to_bt).collect()),
            Self::Dict(entries) => Bt::dict(entries.iter().map(|(key, value)| (key.as_bytes(), value.to_bt()))),
        }
    }
}

/// The value of a [`Value::Raw`], which whoever made it has seen to be JSON.
fn parsed(json: &str) -> serde_json::Value {
    serde_json::from_str(json).unwrap_or_default()
}

/// A number or text, which always can be written to memory.
pub(super) fn write_json_of<T: serde::Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    let written = serde_json::to_writer(&mut *out, value);
    debug_assert!(written.is_ok(), "text and numbers are JSON");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_encodings() {
        let value = Value::dict([
            ("already", Value::Bool(true)),
            ("hf", Value::List(vec![Value::Int(19), Value::Int(-4)])),
            ("signature", Value::Bytes(vec![0xff; 2])),
            ("swarm", Value::Uint(u64::MAX)),
            ("text", Value::text("é\"")),
            ("written", Value::Raw(r#"{"a":[1]}"#.into())),
        ]);
        assert_eq!(value.encode(Encoding::Json), value.to_json().to_string().as_bytes());
        assert_eq!(
            String::from_utf8(value.encode(Encoding::Json)).unwrap(),
            r#"{"already":true,"hf":[19,-4],"signature":"//8=","swarm":18446744073709551615,"text":"é\"","written":{"a":[1]}}"#
        );
        assert_eq!(value.encode(Encoding::Bencode), value.to_bt().encode());
        assert_eq!(
            value.encode(Encoding::Bencode),
            b"d7:alreadyi1e2:hfli19ei-4ee9:signature2:\xff\xff5:swarmi18446744073709551615e4:text3:\xc3\xa9\"7:writtend1:ali1eeee"
        );
    }
}
