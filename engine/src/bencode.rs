//! bencode (`spec/transports` §4): what nodes say to each other, and clients over OMQ and QUIC.

use std::{collections::BTreeMap, io::Write as _};

use crate::allowance::{Allowance, Exceeded, MAX_DEPTH};

/// A bencoded value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bt {
    /// In signed or unsigned 64-bit range.
    Int(i128),
    /// Any bytes; keys of dicts too.
    Bytes(Vec<u8>),
    /// In order.
    List(Vec<Bt>),
    /// By key, ascending.
    Dict(BTreeMap<Vec<u8>, Bt>),
}

/// Bytes that are not bencode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BtError {
    /// The bytes end inside a value.
    #[error("unexpected end of data")]
    End,
    /// A byte that no value starts with, a malformed integer or length, or bytes after the value.
    #[error("malformed bencode")]
    Malformed,
    /// Keys of a dict that do not ascend.
    #[error("dict keys are not in ascending order")]
    KeyOrder,
    /// Nested too deep.
    #[error("nested too deep")]
    Depth,
    /// Too many values for its length.
    #[error("too many values for its length")]
    Size,
}

impl From<Exceeded> for BtError {
    fn from(Exceeded: Exceeded) -> Self {
        Self::Size
    }
}

impl Bt {
    /// The one value that `bytes` are.
    ///
    /// # Errors
    /// [`BtError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BtError> {
        let mut reader = Reader { rest: bytes, allowance: Allowance::of_body(bytes.len()) };
        let value = reader.value(0)?;
        if reader.rest.is_empty() { Ok(value) } else { Err(BtError::Malformed) }
    }

    /// The bytes of the value.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_to(&mut out);
        out
    }

    fn encode_to(&self, out: &mut Vec<u8>) {
        match self {
            Self::Int(number) => encode_int(*number, out),
            Self::Bytes(bytes) => encode_bytes(bytes, out),
            Self::List(items) => {
                out.push(b'l');
                items.iter().for_each(|item| item.encode_to(out));
                out.push(b'e');
            }
            Self::Dict(entries) => {
                out.push(b'd');
                for (key, value) in entries {
                    encode_bytes(key, out);
                    value.encode_to(out);
                }
                out.push(b'e');
            }
        }
    }

    /// A dict of `entries`.
    #[must_use]
    pub fn dict<K: Into<Vec<u8>>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Dict(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }
}

impl From<&[u8]> for Bt {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl From<u64> for Bt {
    fn from(number: u64) -> Self {
        Self::Int(number.into())
    }
}

/// `<length>:<bytes>`.
pub fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    // What is written to memory always can be.
    let _ = write!(out, "{}:", bytes.len());
    out.extend_from_slice(bytes);
}

/// `i<number>e`.
pub fn encode_int(number: i128, out: &mut Vec<u8>) {
    let _ = write!(out, "i{number}e");
}

struct Reader<'a> {
    rest: &'a [u8],
    allowance: Allowance,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Bt, BtError> {
        if depth > MAX_DEPTH {
            return Err(BtError::Depth);
        }
        match self.rest.first().ok_or(BtError::End)? {
            b'i' => {
                self.skip();
                self.number(b'e').map(Bt::Int)
            }
            b'0'..=b'9' => self.string().map(Bt::Bytes),
            b'l' => {
                self.skip();
                let mut items = Vec::new();
                while !self.end()? {
                    self.allowance.item()?;
                    items.push(self.value(depth + 1)?);
                }
                Ok(Bt::List(items))
            }
            b'd' => {
                self.skip();
                self.allowance.dict()?;
                let mut entries: BTreeMap<Vec<u8>, Bt> = BTreeMap::new();
                while !self.end()? {
                    self.allowance.entry()?;
                    let key = self.string()?;
                    if entries.last_key_value().is_some_and(|(last, _)| *last >= key) {
                        return Err(BtError::KeyOrder);
                    }
                    let value = self.value(depth + 1)?;
                    entries.insert(key, value);
                }
                Ok(Bt::Dict(entries))
            }
            _ => Err(BtError::Malformed),
        }
    }

    fn skip(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    /// Whether the list or dict ends here; moves past its end.
    fn end(&mut self) -> Result<bool, BtError> {
        let end = *self.rest.first().ok_or(BtError::End)? == b'e';
        if end {
            self.skip();
        }
        Ok(end)
    }

    /// Decimal digits up to `stop`, in signed or unsigned 64-bit range.
    fn number(&mut self, stop: u8) -> Result<i128, BtError> {
        let end = self.rest.iter().take(21).position(|&byte| byte == stop);
        let end = end.ok_or(if self.rest.len() < 21 { BtError::End } else { BtError::Malformed })?;
        let (digits, rest) = self.rest.split_at(end);
        let unsigned = digits.strip_prefix(b"-").unwrap_or(digits);
        if unsigned.is_empty() || !unsigned.iter().all(u8::is_ascii_digit) {
            return Err(BtError::Malformed);
        }
        let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        let number: i128 = number.ok_or(BtError::Malformed)?;
        if number < i64::MIN.into() || number > u64::MAX.into() {
            return Err(BtError::Malformed);
        }
        self.rest = rest.get(1..).unwrap_or_default();
        Ok(number)
    }

    fn string(&mut self) -> Result<Vec<u8>, BtError> {
        let length = usize::try_from(self.number(b':')?).map_err(|_| BtError::Malformed)?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(BtError::End)?;
        self.allowance.string(length)?;
        self.rest = rest;
        Ok(bytes.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Bt> {
        let leaf = prop_oneof![
            (i64::MIN..i64::MAX).prop_map(|n| Bt::Int(n.into())),
            any::<u64>().prop_map(Bt::from),
            any::<Vec<u8>>().prop_map(Bt::Bytes),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Bt::List),
                prop::collection::btree_map(any::<Vec<u8>>(), inner, 0..6).prop_map(Bt::Dict),
            ]
        })
    }

    #[test]
    fn the_monitor_answer() {
        let success = Bt::dict([("success", Bt::Int(1))]);
        assert_eq!(success.encode(), b"d7:successi1ee");
        assert_eq!(Bt::parse(b"d7:successi1ee"), Ok(success));
    }

    #[test]
    fn refusals() {
        for (bytes, want) in [
            (b"".as_slice(), BtError::End),
            (b"i1", BtError::End),
            (b"5:abc", BtError::End),
            (b"l", BtError::End),
            (b"i1ei2e", BtError::Malformed),
            (b"i+1e", BtError::Malformed),
            (b"ie", BtError::Malformed),
            (b"x", BtError::Malformed),
            (b"i18446744073709551616e", BtError::Malformed),
            (b"d1:bi1e1:ai1ee", BtError::KeyOrder),
            (b"d1:ai1e1:ai1ee", BtError::KeyOrder),
            (b"-1:", BtError::Malformed),
        ] {
            assert_eq!(Bt::parse(bytes), Err(want), "{}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(Bt::parse(&b"l".repeat(100_000)), Err(BtError::Depth));
        for part in [b"le".as_slice(), b"de", b"0:", b"i0e", b"d0:0:e"] {
            let list = |count| [b"l", part.repeat(count).as_slice(), b"e"].concat();
            assert_eq!(Bt::parse(&list(100_000)), Err(BtError::Size), "{}", String::from_utf8_lossy(part));
            assert!(Bt::parse(&list(1000)).is_ok());
        }
    }

    proptest! {
        #[test]
        fn round_trip(value in value()) {
            prop_assert_eq!(Bt::parse(&value.encode()), Ok(value));
        }

        #[test]
        fn nothing_panics(bytes: Vec<u8>) {
            let _ = Bt::parse(&bytes);
        }
    }
}
