//! JSON where it was read: objects are lists of their entries, and texts without escapes stay in the body. A request of a
//! few fields takes one allocation for its object and one for its params, however long its texts are.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// Entries that an object has room for at first: those of most requests.
const ENTRIES: usize = 8;

/// A value that borrows from the text it was read from.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonValue<'a> {
    /// `null`, and a number that is none.
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    Array(Vec<JsonValue<'a>>),
    Object(JsonObject<'a>),
}

/// An object. Of entries with one name the last one counts, as in a map.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JsonObject<'a>(Vec<(Cow<'a, str>, JsonValue<'a>)>);

impl<'a> JsonObject<'a> {
    /// The value under `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&JsonValue<'a>> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The map that it stands for.
    pub(crate) fn to_map(&self) -> Map<String, Value> {
        self.0.iter().map(|(key, value)| (key.clone().into_owned(), value.to_value())).collect()
    }
}

impl JsonValue<'_> {
    pub(crate) const fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    pub(crate) fn as_u64(&self) -> Option<u64> {
        if let Self::Number(number) = self { number.as_u64() } else { None }
    }

    pub(crate) fn as_i64(&self) -> Option<i64> {
        if let Self::Number(number) = self { number.as_i64() } else { None }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The tree that it stands for.
    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Number(number) => number.clone().into(),
            Self::Text(text) => text.as_ref().into(),
            Self::Array(items) => items.iter().map(Self::to_value).collect(),
            Self::Object(object) => object.to_map().into(),
        }
    }
}

impl<'a> JsonValue<'a> {
    pub(crate) const fn as_object(&self) -> Option<&JsonObject<'a>> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }
}

impl<'a> From<&'a Value> for JsonValue<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::Text(text.into()),
            Value::Array(items) => Self::Array(items.iter().map(Self::from).collect()),
            Value::Object(map) => Self::Object(map.into()),
        }
    }
}

impl<'a> From<&'a Map<String, Value>> for JsonObject<'a> {
    fn from(map: &'a Map<String, Value>) -> Self {
        Self(map.iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

/// Text that borrows where it can, which `Cow` by itself does not.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

impl<'de> Deserialize<'de> for JsonObject<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;

        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = JsonObject<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                entries(map)
            }
        }

        deserializer.deserialize_map(ObjectVisitor)
    }
}

fn entries<'de, A: MapAccess<'de>>(mut map: A) -> Result<JsonObject<'de>, A::Error> {
    let mut entries = Vec::new();
    while let Some(Text(key)) = map.next_key()? {
        if entries.is_empty() {
            entries.reserve_exact(ENTRIES);
        }
        entries.push((key, map.next_value()?));
    }
    Ok(JsonObject(entries))
}

impl<'de> Deserialize<'de> for JsonValue<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;

        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = JsonValue<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any valid JSON value")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(JsonValue::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
                Ok(JsonValue::Bool(value))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(JsonValue::Number(number.into()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(JsonValue::Number(number.into()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Number::from_f64(number).map_or(JsonValue::Null, JsonValue::Number))
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(JsonValue::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(JsonValue::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(JsonValue::Array(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                entries(map).map(JsonValue::Object)
            }
        }

        deserializer.deserialize_any(ValueVisitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::{self, JsonError};

    /// What both say of a text, errors included.
    fn both(text: &[u8]) -> [Result<Value, String>; 2] {
        let told = |error: JsonError| error.to_string();
        [json::parse(text).map_err(told), json::parse(text).map(|value: JsonValue<'_>| value.to_value()).map_err(told)]
    }

    fn both_objects(text: &[u8]) -> [Result<Map<String, Value>, String>; 2] {
        let told = |error: JsonError| error.to_string();
        [json::parse(text).map_err(told), json::parse(text).map(|object: JsonObject<'_>| object.to_map()).map_err(told)]
    }

    fn agrees(text: &str) {
        let [tree, borrowed] = both(text.as_bytes());
        assert_eq!(tree, borrowed, "{text}");
        let [tree, borrowed] = both_objects(text.as_bytes());
        assert_eq!(tree, borrowed, "{text}");
    }

    /// JSON as strangers write it: names that come twice, spaces, escapes, numbers of all kinds, and what is none of it.
    fn text() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            any::<bool>().prop_map(|value| value.to_string()),
            any::<i64>().prop_map(|number| number.to_string()),
            any::<u64>().prop_map(|number| number.to_string()),
            "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,5})?([eE][-+]?[0-9]{1,3})?",
            any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
            r#""(\\u[0-9a-fD]{4}|\\[nrt"/\\x]|[a-z]){0,6}""#,
            Just("nul".to_owned()),
        ];
        let name = prop_oneof![Just("pubkey".to_owned()), Just("p\\u0075bkey".to_owned()), "[a-c]{0,2}"];
        leaf.prop_recursive(4, 40, 6, move |inner| {
            let entry = (name.clone(), inner.clone()).prop_map(|(name, value)| format!("\"{name}\" : {value}"));
            prop_oneof![
                prop::collection::vec(inner, 0..6).prop_map(|items| format!("[{}]", items.join(","))),
                prop::collection::vec(entry, 0..12).prop_map(|entries| format!("{{{}}}", entries.join(" ,"))),
            ]
        })
    }

    #[test]
    fn what_is_special_is_read_as_the_tree_reads_it() {
        for text in [
            r#"{"a":1,"a":"two","b":{"c":null,"c":[]}}"#,
            r#"{"\u0061":1,"a":2}"#,
            r#"{"a":2,"\u0061":1}"#,
            "18446744073709551615",
            "18446744073709551616",
            "-9223372036854775808",
            "-9223372036854775809",
            "-0",
            "1e400",
            "1.0",
            r#""\ud800""#,
            r#""\ud83d\ude00""#,
            "\u{feff}{}",
            "{} {}",
            "[1,]",
            r#"{"a":1,}"#,
            "{1:2}",
            "nul",
            "",
            "null",
            "[]",
            "true",
            "\"\u{1}\"",
            r#"{"$serde_json::private::Number":"1"}"#,
        ] {
            agrees(text);
        }
        for bytes in [b"\"\xff\"".as_slice(), b"{\"\xff\":1}", b"\xff"] {
            let [tree, borrowed] = both(bytes);
            assert!(tree.is_err() && tree == borrowed, "{bytes:?}");
        }
        let deep = "[".repeat(40);
        agrees(&deep);
    }

    #[test]
    fn texts_without_escapes_stay_where_they_are() {
        let body = br#"{"data":"abc","other":"a\nc"}"#;
        let object: JsonObject<'_> = json::parse(body).unwrap();
        let text = |name| if let Some(JsonValue::Text(text)) = object.get(name) { text } else { panic!("{name}") };
        assert!(matches!(text("data"), Cow::Borrowed(text) if body.as_ptr_range().contains(&text.as_ptr())));
        assert_eq!(text("other").as_ref(), "a\nc");
        let value: Value = serde_json::from_slice(body).unwrap();
        assert_eq!(JsonValue::from(&value).to_value(), value);
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_the_tree_reads_it(text in text()) {
            agrees(&text);
        }

        #[test]
        fn cut_and_spoilt_texts_fail_as_the_tree_does(text in text(), at: prop::sample::Index, byte: u8) {
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            for bytes in [&bytes[..], &bytes[..at]] {
                let [tree, borrowed] = both(bytes);
                prop_assert_eq!(tree, borrowed);
                let [tree, borrowed] = both_objects(bytes);
                prop_assert_eq!(tree, borrowed);
            }
        }
    }
}
