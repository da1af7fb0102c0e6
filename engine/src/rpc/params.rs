//! The fields of a request, from JSON or bencode, with one text for each way they can be wrong (`spec/node-rpc` §1.3).

use std::collections::BTreeMap;

use super::value::Encoding;
use crate::{
    bencode::Bt,
    json::{JsonObject, JsonValue},
    types::{Millis, Namespace},
};

/// A JSON timestamp below this is taken to be in seconds.
const LEAST_MILLIS: u64 = 1_000_000_000;

/// What fields have to be, as refusals say it.
pub(super) const POSITIVE: &str = "positive integer";
pub(super) const TIMESTAMP: &str = "integer timestamp (in milliseconds)";

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

/// The `params` of a request, where they were decoded: nothing of them is copied to look at a part.
#[derive(Clone, Copy, Debug)]
pub enum Params<'a> {
    /// From JSON.
    Json(&'a JsonObject<'a>),
    /// From bencode.
    Bencode(&'a BTreeMap<Vec<u8>, Bt>),
}

/// One field's value.
#[derive(Clone, Copy, Debug)]
pub enum Field<'a> {
    /// From JSON; never null.
    Json(&'a JsonValue<'a>),
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

    /// A number beyond the range is an integer all the same: the largest one.
    fn signed(self) -> Option<i64> {
        match self {
            Self::Json(value) => value.as_i64().or_else(|| value.as_u64().map(|_| i64::MAX)),
            Self::Bencode(Bt::Int(number)) => Some(i64::try_from(*number).unwrap_or(i64::MAX)),
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

    /// The fields of an object or dict.
    #[must_use]
    pub const fn fields(self) -> Option<Params<'a>> {
        match self {
            Self::Json(JsonValue::Object(object)) => Some(Params::Json(object)),
            Self::Bencode(Bt::Dict(map)) => Some(Params::Bencode(map)),
            Self::Json(_) | Self::Bencode(_) => None,
        }
    }

    /// The items of a list, at most `most`; a value that is no list is a list of itself.
    fn items<T>(self, most: usize, read: impl Fn(Self) -> Option<T>) -> Result<Option<Vec<T>>, TooMany> {
        match self {
            Self::Json(JsonValue::Array(items)) if items.len() > most => Err(TooMany),
            Self::Bencode(Bt::List(items)) if items.len() > most => Err(TooMany),
            Self::Json(JsonValue::Array(items)) => Ok(items.iter().map(Self::Json).map(read).collect()),
            Self::Bencode(Bt::List(items)) => Ok(items.iter().map(Self::Bencode).map(read).collect()),
            one => Ok(read(one).map(|one| vec![one])),
        }
    }
}

/// A list has more items than it may.
struct TooMany;

type Found<T> = Result<Option<T>, Invalid>;

impl<'a> Params<'a> {
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
    pub fn field(&self, name: &str) -> Option<Field<'a>> {
        match self {
            Self::Json(object) => object.get(name).filter(|value| **value != JsonValue::Null).map(Field::Json),
            Self::Bencode(map) => map.get(name.as_bytes()).map(Field::Bencode),
        }
    }

    fn get<T>(&self, name: &str, what: &str, read: impl FnOnce(Field<'a>) -> Option<T>) -> Found<T> {
        self.field(name).map(|field| read(field).ok_or_else(|| Invalid::expected(name, what))).transpose()
    }

    fn list<T>(&self, name: &str, what: &str, most: usize, read: impl Fn(Field<'a>) -> Option<T>) -> Found<Vec<T>> {
        let Some(field) = self.field(name) else { return Ok(None) };
        let too_many = |TooMany| Invalid(format!("Invalid value given for '{name}': more than {most} items"));
        field.items(most, read).map_err(too_many)?.ok_or_else(|| Invalid::expected(name, what)).map(Some)
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

    /// A number that is not negative, called `what` where it is none.
    ///
    /// # Errors
    /// [`Invalid`].
    pub(super) fn unsigned(&self, name: &str, what: &str) -> Found<u64> {
        self.get(name, what, Field::unsigned)
    }

    /// Integers, at most `most`, or one.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn integers(&self, name: &str, most: usize) -> Found<Vec<i64>> {
        self.list(name, "integer array", most, Field::signed)
    }

    /// A time in milliseconds.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn timestamp(&self, name: &str) -> Found<Millis> {
        let found = self.unsigned(name, TIMESTAMP)?;
        if self.encoding() == Encoding::Json && found.is_some_and(|time| time < LEAST_MILLIS) {
            let text = format!("Invalid timestamp for '{name}': timestamp must be in milliseconds");
            return Err(Invalid(text));
        }
        Ok(found.map(Millis))
    }

    /// Times in milliseconds, at most `most`, or one.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn timestamps(&self, name: &str, most: usize) -> Found<Vec<Millis>> {
        self.list(name, "timestamp array", most, |item| item.unsigned().map(Millis))
    }

    /// The bytes of a string.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn string(&self, name: &str) -> Found<&'a [u8]> {
        self.get(name, "string", Field::string)
    }

    /// The bytes of several strings, at most `most`, or of one.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn strings(&self, name: &str, most: usize) -> Found<Vec<&'a [u8]>> {
        self.list(name, "string array", most, Field::string)
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

    fn json(text: &'static str) -> Params<'static> {
        Params::Json(Box::leak(Box::new(crate::json::parse(text.as_bytes()).unwrap())))
    }

    fn bencode(bytes: &[u8]) -> Params<'static> {
        let Ok(Bt::Dict(map)) = Bt::parse(bytes) else { panic!("not a dict") };
        Params::Bencode(Box::leak(Box::new(map)))
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
        for far in [json(r#"{"namespace":18446744073709551615}"#), bencode(b"d9:namespacei18446744073709551615ee")] {
            assert_eq!(text(far.namespace().map(drop)), "Invalid value given for 'namespace': value out of range");
            assert_eq!(far.integer("namespace"), Ok(Some(i64::MAX)));
        }
    }

    #[test]
    fn both_forms_read_alike() {
        for params in [
            json(r#"{"b":true,"l":["x","y"],"namespace":"all","one":"x","t":5000000000,"z":null}"#),
            bencode(b"d1:bi1e1:ll1:x1:ye9:namespace3:all3:one1:x1:ti5000000000ee"),
        ] {
            assert_eq!(params.boolean("b"), Ok(Some(true)));
            assert_eq!(params.strings("l", 2), Ok(Some(vec![b"x".as_slice(), b"y"])));
            assert_eq!(params.strings("one", 1), Ok(Some(vec![b"x".as_slice()])));
            let too_many = params.strings("l", 1).unwrap_err().to_string();
            assert_eq!(too_many, "Invalid value given for 'l': more than 1 items");
            assert_eq!(params.namespace_or_all(), Ok(Some(NamespaceOrAll::All)));
            assert_eq!(params.timestamps("t", 1), Ok(Some(vec![Millis(5_000_000_000)])));
            assert!(params.field("z").is_none() && params.string("missing") == Ok(None));
        }
        assert_eq!(json(r#"{"b":1}"#).boolean("b").is_err(), bencode(b"d1:bi2ee").boolean("b").is_err());
    }
}
