//! A result before it is encoded (`spec/node-rpc` §1.2).

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use crate::{
    bencode::{Bt, encode_bytes, encode_int, push_decimal},
    store::StoredMessage,
    types::MessageHash,
};

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
    /// The parts of a hardfork, in a list.
    Hardfork([u16; 2]),
    /// The parts of a version, in a list.
    Version([u16; 3]),
    /// Messages as `retrieve` hands them out: a dict each, in a list.
    Messages(Vec<StoredMessage>),
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
        let mut out = Vec::with_capacity(self.json_size());
        self.write(encoding, &mut out);
        out
    }

    /// Writes the bytes to send behind `out`.
    pub(super) fn write(&self, encoding: Encoding, out: &mut Vec<u8>) {
        match encoding {
            Encoding::Json => self.write_json(out),
            Encoding::Bencode => self.write_bt(out),
        }
    }

    /// About how long the JSON becomes.
    pub(super) fn json_size(&self) -> usize {
        match self {
            Self::Bool(_) => 5,
            Self::Int(_) | Self::Uint(_) => 20,
            Self::Text(text) => text.len() + 3,
            Self::Bytes(bytes) => bytes.len().div_ceil(3) * 4 + 3,
            Self::Hardfork(_) => 13,
            Self::Version(_) => 19,
            Self::Messages(messages) => {
                messages.iter().map(|message| message.data.len().div_ceil(3) * 4 + AROUND_MESSAGE).sum::<usize>() + 2
            }
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
            Self::Text(text) => write_json_text(text, out),
            Self::Bytes(bytes) => write_json_bytes(bytes, out),
            Self::Hardfork(parts) => write_json_list(parts, out, write_json_of),
            Self::Version(parts) => write_json_list(parts, out, write_json_of),
            Self::Messages(messages) => write_json_list(messages, out, write_json_message),
            Self::Raw(json) => out.extend_from_slice(json.as_bytes()),
            Self::List(items) => write_json_list(items, out, Self::write_json),
            Self::Dict(entries) => {
                out.push(b'{');
                for (number, (key, value)) in entries.iter().enumerate() {
                    if number > 0 {
                        out.push(b',');
                    }
                    write_json_text(key, out);
                    out.push(b':');
                    value.write_json(out);
                }
                out.push(b'}');
            }
        }
    }

    /// Likewise, as the dicts of our own come in the order of their keys.
    fn write_bt(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bool(value) => encode_int((*value).into(), out),
            Self::Int(number) => encode_int((*number).into(), out),
            Self::Uint(number) => encode_int((*number).into(), out),
            Self::Text(text) => encode_bytes(text.as_bytes(), out),
            Self::Bytes(bytes) => encode_bytes(bytes, out),
            Self::Hardfork(_) | Self::Version(_) | Self::Messages(_) | Self::Raw(_) => {
                out.extend_from_slice(&self.to_bt().encode());
            }
            Self::List(items) => {
                out.push(b'l');
                items.iter().for_each(|item| item.write_bt(out));
                out.push(b'e');
            }
            Self::Dict(entries) => {
                out.push(b'd');
                for (key, value) in entries {
                    encode_bytes(key.as_bytes(), out);
                    value.write_bt(out);
                }
                out.push(b'e');
            }
        }
    }

    /// The same of lists and dicts, where it is something more special.
    fn spelled_out(&self) -> Option<Self> {
        let numbers = |parts: &[u16]| Self::List(parts.iter().map(|part| Self::Int((*part).into())).collect());
        Some(match self {
            Self::Hardfork(parts) => numbers(parts),
            Self::Version(parts) => numbers(parts),
            Self::Messages(messages) => Self::List(messages.iter().map(message).collect()),
            Self::Raw(json) => Self::from_json(&parsed(json)),
            _ => return None,
        })
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
            Self::Hardfork(_) | Self::Version(_) | Self::Messages(_) => {
                self.spelled_out().map_or_else(Default::default, |value| value.to_json())
            }
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
            Self::Hardfork(_) | Self::Version(_) | Self::Messages(_) | Self::Raw(_) => {
                self.spelled_out().map_or_else(|| Bt::List(Vec::new()), |value| value.to_bt())
            }
            Self::List(items) => Bt::List(items.iter().map(Self::to_bt).collect()),
            Self::Dict(entries) => Bt::dict(entries.iter().map(|(key, value)| (key.as_bytes(), value.to_bt()))),
        }
    }
}

/// The value of a [`Value::Raw`], which whoever made it has seen to be JSON.
fn parsed(json: &str) -> serde_json::Value {
    serde_json::from_str(json).unwrap_or_default()
}

/// Bytes in JSON beside a message's data: names, numbers, its hash.
const AROUND_MESSAGE: usize = 53 + MessageHash::TEXT_LEN + 2 * 20;

fn message(message: &StoredMessage) -> Value {
    Value::dict([
        ("hash", Value::text(message.hash.to_string())),
        ("timestamp", Value::Uint(message.timestamp.0)),
        ("expiration", Value::Uint(message.expiry.0)),
        ("data", Value::Bytes(message.data.clone())),
    ])
}

/// Neither base64 nor numbers have anything to escape.
fn write_json_message(message: &StoredMessage, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"data\":");
    write_json_bytes(&message.data, out);
    out.extend_from_slice(b",\"expiration\":");
    push_decimal(message.expiry.0, out);
    out.extend_from_slice(b",\"hash\":\"");
    out.extend_from_slice(message.hash.text_in(&mut [0; MessageHash::TEXT_LEN]).as_bytes());
    out.extend_from_slice(b"\",\"timestamp\":");
    push_decimal(message.timestamp.0, out);
    out.push(b'}');
}

fn write_json_list<T>(items: &[T], out: &mut Vec<u8>, write: impl Fn(&T, &mut Vec<u8>)) {
    out.push(b'[');
    for (number, item) in items.iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(b']');
}

/// Bytes in base64.
pub(super) fn write_json_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    base64_simd::STANDARD.encode_append(bytes, out);
    out.push(b'"');
}

/// Text, which mostly has nothing to escape.
pub(super) fn write_json_text(text: &str, out: &mut Vec<u8>) {
    let escaped = |byte: u8| byte < b' ' || matches!(byte, b'"' | b'\\');
    // Looked at whole, so that the compiler looks at many bytes at once.
    if text.bytes().fold(false, |any, byte| any | escaped(byte)) {
        write_json_of(text, out);
        return;
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// A number or text, which always can be written to memory.
pub(super) fn write_json_of<T: serde::Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    let written = serde_json::to_writer(&mut *out, value);
    debug_assert!(written.is_ok(), "text and numbers are JSON");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::Millis;

    fn value() -> impl Strategy<Value = Value> {
        let messages = (any::<[u8; 32]>(), any::<[u64; 2]>(), any::<Vec<u8>>()).prop_map(|(hash, times, data)| {
            let [timestamp, expiry] = times.map(Millis);
            StoredMessage { hash: MessageHash(hash), timestamp, expiry, data }
        });
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            any::<u64>().prop_map(Value::Uint),
            any::<String>().prop_map(Value::text),
            any::<Vec<u8>>().prop_map(Value::Bytes),
            any::<[u16; 2]>().prop_map(Value::Hardfork),
            any::<[u16; 3]>().prop_map(Value::Version),
            prop::collection::vec(messages, 0..3).prop_map(Value::Messages),
            Just(Value::Raw(r#"{"a":[1,true]}"#.into())),
        ];
        leaf.prop_recursive(3, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
                prop::collection::btree_map(any::<String>(), inner, 0..5).prop_map(Value::dict),
            ]
        })
    }

    proptest! {
        /// What is written at once is what its tree says.
        #[test]
        fn trees_are_written_alike(value in value()) {
            let (json, bencode) = (value.encode(Encoding::Json), value.encode(Encoding::Bencode));
            let tree = value.to_json();
            prop_assert_eq!(std::str::from_utf8(&json).unwrap(), tree.to_string());
            prop_assert_eq!(bencode, value.to_bt().encode());
        }
    }

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
