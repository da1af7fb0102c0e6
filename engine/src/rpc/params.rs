//! The fields of a request, from JSON or bencode, with one text for each way they can be wrong (`spec/node-rpc` §1.3).

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::value::Encoding;
use crate::{
    bencode::Bt,
    types::{Millis, Namespace},
};

/// A JSON timestamp below this is taken to be in seconds.
const LEAST_MILLIS: u64 = 1_000_000_000;

/// What is wrong with the fields. The answer is 400 `invalid request: <this>`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

impl Invalid {
    /// From text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    fn expected(field: &str, what: &str) -> Self {
        Self(format!("Invalid value given for '{field}': expected {what}"))
    }

    /// A field that must be there is not.
    #[must_use]
    pub fn missing(field: &str) -> Self {
        Self(format!("Required field '{field}' missing"))
    }
}

/// One namespace or `all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamespaceOrAll {
    /// This one.
    One(Namespace),
    /// Every one.
    All,
}

/// The `params` of a request.
#[derive(Clone, Debug)]
pub enum Params {
    /// From JSON.
    Json(Map<String, Json>),
    /// From bencode.
    Bencode(BTreeMap<Vec<u8>, Bt>),
}

/// One field's value.
#[derive(Clone, Copy, Debug)]
pub enum Field<'a> {
    /// From JSON; never null.
    Json(&'a Json),
    /// From bencode.
    Bencode(&'a Bt),
}

impl<'a> Field<'a> {
    fn boolean(self) -> Option<bool> {
        match self {
            Self::Json(value) => value.as_bool(),
            Self::Bencode(Bt::Int(number @ 0..=1)) => Some(*number == 1),
            Self::Bencode(_) => None,
        }
    }

    fn unsigned(self) -> Option<u64> {
        match self {
            Self::Json(value) => value.as_u64(),
            Self::Bencode(Bt::Int(number)) => u64::try_from(*number).ok(),
            Self::Bencode(_) => None,
        }
    }

    fn signed(self) -> Option<i64> {
        match self {
            Self::Json(value) => value.as_i64(),
            Self::Bencode(Bt::Int(number)) => i64::try_from(*number).ok(),
            Self::Bencode(_) => None,
        }
    }

    /// The bytes of a string.
    #[must_use]
    pub fn string(self) -> Option<&'a [u8]> {
        match self {
            Self::Json(value) => value.as_str().map(str::as_bytes),
            Self::Bencode(Bt::Bytes(bytes)) => Some(bytes),
            Self::Bencode(_) => None,
        }
    }

    /// The items of a list; a value that is no list is a list of itself.
    fn items(self) -> Vec<Self> {
        match self {
            Self::Json(Json::Array(items)) => items.iter().map(Self::Json).collect(),
            Self::Bencode(Bt::List(items)) => items.iter().map(Self::Bencode).collect(),
            one => vec![one],
        }
    }
}

type Found<T> = Result<Option<T>, Invalid>;

impl Params {
    /// The form they came in.
    #[must_use]
    pub const fn encoding(&self) -> Encoding {
        match self {
            Self::Json(_) => Encoding::Json,
            Self::Bencode(_) => Encoding::Bencode,
        }
    }

    /// The value of a field; `None` when it is absent or null.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Field<'_>> {
        match self {
            Self::Json(map) => map.get(name).filter(|value| !value.is_null()).map(Field::Json),
            Self::Bencode(map) => map.get(name.as_bytes()).map(Field::Bencode),
        }
    }

    fn get<'a, T>(&'a self, name: &str, what: &str, read: impl FnOnce(Field<'a>) -> Option<T>) -> Found<T> {
        self.field(name).map(|field| read(field).ok_or_else(|| Invalid::expected(name, what))).transpose()
    }

    /// A boolean.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn boolean(&self, name: &str) -> Found<bool> {
        self.get(name, "boolean", Field::boolean)
    }

    /// An integer.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn integer(&self, name: &str) -> Found<i64> {
        self.get(name, "integer", Field::signed)
    }

    /// A number that is not negative.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn unsigned(&self, name: &str) -> Found<u64> {
        self.get(name, "positive integer", Field::unsigned)
    }

    /// Numbers that are not negative.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn unsigned_list(&self, name: &str) -> Found<Vec<u64>> {
        self.get(name, "integer array", |field| field.items().into_iter().map(Field::unsigned).collect())
    }

    /// A time in milliseconds.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn timestamp(&self, name: &str) -> Found<Millis> {
        let found = self.get(name, "integer timestamp (in milliseconds)", Field::unsigned)?;
        if self.encoding() == Encoding::Json && found.is_some_and(|time| time < LEAST_MILLIS) {
            let text = format!("Invalid timestamp for '{name}': timestamp must be in milliseconds");
            return Err(Invalid(text));
        }
        Ok(found.map(Millis))
    }

    /// Times in milliseconds, or one.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn timestamps(&self, name: &str) -> Found<Vec<Millis>> {
        self.get(name, "timestamp array", |field| {
            field.items().into_iter().map(|item| item.unsigned().map(Millis)).collect()
        })
    }

    /// The bytes of a string.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn string(&self, name: &str) -> Found<&[u8]> {
        self.get(name, "string", Field::string)
    }

    /// The bytes of several strings, or of one.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn strings(&self, name: &str) -> Found<Vec<&[u8]>> {
        self.get(name, "string array", |field| field.items().into_iter().map(Field::string).collect())
    }

    /// A namespace.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn namespace(&self) -> Found<Namespace> {
        self.get("namespace", "16-bit integer", Field::signed)?.map(in_range).transpose()
    }

    /// A namespace or `all`.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn namespace_or_all(&self) -> Found<NamespaceOrAll> {
        let Some(field) = self.field("namespace") else { return Ok(None) };
        match (field.signed(), field.string()) {
            (Some(number), _) => Ok(Some(NamespaceOrAll::One(in_range(number)?))),
            (None, Some(b"all")) => Ok(Some(NamespaceOrAll::All)),
            _ => Err(Invalid::expected("namespace", "integer or \"all\"")),
        }
    }
}

fn in_range(number: i64) -> Result<Namespace, Invalid> {
    let out_of_range = || Invalid::new("Invalid value given for 'namespace': value out of range");
    i16::try_from(number).map(Namespace).map_err(|_| out_of_range())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Params {
        Params::Json(serde_json::from_str(text).unwrap())
    }

    fn bencode(bytes: &[u8]) -> Params {
        let Ok(Bt::Dict(map)) = Bt::parse(bytes) else { panic!("not a dict") };
        Params::Bencode(map)
    }

    #[test]
    fn texts_of_wrong_types() {
        let params = json(r#"{"a":"x","namespace":32768,"t":1600000000,"u":999999999}"#);
        let text = |error: Result<(), Invalid>| error.unwrap_err().to_string();
        assert_eq!(text(params.boolean("a").map(drop)), "Invalid value given for 'a': expected boolean");
        assert_eq!(text(params.integer("a").map(drop)), "Invalid value given for 'a': expected integer");
        assert_eq!(text(params.namespace().map(drop)), "Invalid value given for 'namespace': value out of range");
        assert_eq!(
            text(params.timestamp("a").map(drop)),
            "Invalid value given for 'a': expected integer timestamp (in milliseconds)"
        );
        assert_eq!(params.timestamp("t"), Ok(Some(Millis(1_600_000_000))));
        assert_eq!(
            text(params.timestamp("u").map(drop)),
            "Invalid timestamp for 'u': timestamp must be in milliseconds"
        );
        assert_eq!(
            text(json(r#"{"namespace":"some"}"#).namespace_or_all().map(drop)),
            "Invalid value given for 'namespace': expected integer or \"all\""
        );
    }

    #[test]
    fn both_forms_read_alike() {
        for params in [
            json(r#"{"b":true,"l":["x","y"],"namespace":"all","one":"x","t":5000000000,"z":null}"#),
            bencode(b"d1:bi1e1:ll1:x1:ye9:namespace3:all3:one1:x1:ti5000000000ee"),
        ] {
            assert_eq!(params.boolean("b"), Ok(Some(true)));
            assert_eq!(params.strings("l"), Ok(Some(vec![b"x".as_slice(), b"y"])));
            assert_eq!(params.strings("one"), Ok(Some(vec![b"x".as_slice()])));
            assert_eq!(params.namespace_or_all(), Ok(Some(NamespaceOrAll::All)));
            assert_eq!(params.timestamps("t"), Ok(Some(vec![Millis(5_000_000_000)])));
            assert!(params.field("z").is_none() && params.string("missing") == Ok(None));
        }
        assert_eq!(json(r#"{"b":1}"#).boolean("b").is_err(), bencode(b"d1:bi2ee").boolean("b").is_err());
    }
}
