//! The words of the protocol as types: accounts, keys, namespaces, hashes, times.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// No message lives longer: 30 days, in milliseconds (`spec/node-rpc` §2.5).
pub const MAX_LIFETIME: u64 = 30 * 86_400_000;

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// `self` later by `ms` milliseconds, held at the largest value.
    #[must_use]
    pub fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// `self` earlier by `ms` milliseconds, held at zero.
    #[must_use]
    pub fn minus(self, ms: u64) -> Self {
        Self(self.0.saturating_sub(ms))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The 32 bytes were not the 64 hex digits of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} hex digits")]
pub struct HexError {
    /// How many digits were wanted.
    pub expected: usize,
}

/// What the digits of hex are worth; any other byte has bits of [`NO_DIGIT`].
const DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        let digit = b"0123456789abcdef"[value];
        digits[digit as usize] = value as u8;
        digits[digit.to_ascii_uppercase() as usize] = value as u8;
        value += 1;
    }
    digits
};
const NO_DIGIT: u8 = 0xf0;

/// The `N` bytes that `text` says in hex, of either case: without a branch on each digit, unlike `hex`.
pub(crate) fn decode_hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let (mut bytes, mut wrong) = ([0; N], 0);
    for (byte, [high, low]) in bytes.iter_mut().zip(text.as_chunks::<2>().0) {
        let (high, low) = (DIGITS[usize::from(*high)], DIGITS[usize::from(*low)]);
        wrong |= high | low;
        *byte = high << 4 | low;
    }
    (wrong & NO_DIGIT == 0).then_some(bytes)
}

macro_rules! key_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The key's bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut room = [0; 64];
                let written = hex::encode_to_slice(self.0, &mut room).is_ok();
                f.write_str(std::str::from_utf8(&room).ok().filter(|_| written).unwrap_or_default())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = HexError;

            fn from_str(text: &str) -> Result<Self, HexError> {
                let mut key = [0; 32];
                hex::decode_to_slice(text, &mut key).map_err(|_| HexError { expected: 64 })?;
                Ok(Self(key))
            }
        }
    };
}

key_type!(
    /// A node's Ed25519 public key: its name in onion layers and in swarm answers.
    Ed25519PublicKey
);
key_type!(
    /// A node's X25519 public key: onion layers are encrypted to it, OMQ knows the node by it.
    X25519PublicKey
);
key_type!(
    /// A node's registered ("primary") public key.
    LegacyPublicKey
);

/// A network id byte and 32 key bytes (`spec/node-rpc` §2.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub [u8; 33]);

impl AccountId {
    /// Prefix of a Session user, whose key is an X25519 key.
    pub const SESSION: u8 = 0x05;
    /// Prefix of a group, whose key is an Ed25519 key.
    pub const GROUP: u8 = 0x03;

    /// From the prefix and the key.
    #[must_use]
    pub fn new(netid: u8, key: [u8; 32]) -> Self {
        let mut bytes = [0; 33];
        bytes[0] = netid;
        bytes[1..].copy_from_slice(&key);
        Self(bytes)
    }

    /// The network id byte.
    #[must_use]
    pub const fn netid(&self) -> u8 {
        self.0[0]
    }

    /// The 32 key bytes.
    #[must_use]
    pub fn key(&self) -> [u8; 32] {
        let mut key = [0; 32];
        key.copy_from_slice(&self.0[1..]);
        key
    }

    /// The 66 lower-case hex digits that signatures cover.
    #[must_use]
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }
}

/// Shows the first and last digits only: a whole Account ID does not belong in a log.
impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = self.hex();
        write!(f, "{}…{}", &hex[..4], &hex[63..])
    }
}

impl FromStr for AccountId {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        let mut bytes = [0; 33];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| HexError { expected: 66 })?;
        Ok(Self(bytes))
    }
}

/// Where in an account a message rests; the number decides who may write and read (`spec/node-rpc` §2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(pub i16);

impl Namespace {
    /// Retired closed groups: no authentication either way.
    pub const LEGACY_CLOSED_GROUP: Self = Self(-10);

    /// Anyone may store.
    #[must_use]
    pub const fn is_public_inbox(self) -> bool {
        self.0 % 10 == 0
    }

    /// Anyone may retrieve, and a store replaces what was there.
    #[must_use]
    pub const fn is_public_outbox(self) -> bool {
        self.0 < 0 && (-(self.0 as i32)) % 20 == 1
    }

    /// A revoked subaccount may still retrieve.
    #[must_use]
    pub const fn is_unrevocable(self) -> bool {
        self.0 < 0 && (-(self.0 as i32)) % 100 == 11
    }

    /// Anyone may retrieve.
    #[must_use]
    pub const fn is_open_to_read(self) -> bool {
        self.is_public_outbox() || self.0 == Self::LEGACY_CLOSED_GROUP.0
    }

    /// Decimal, or nothing for 0: the form in message hashes and signed texts.
    #[must_use]
    pub fn signed_text(self) -> String {
        if self.0 == 0 { String::new() } else { self.0.to_string() }
    }
}

/// A message's identity: BLAKE2b-256 of account, namespace and data (`spec/node-rpc` §2.6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageHash(pub [u8; 32]);

impl MessageHash {
    /// Length of the text form.
    pub const TEXT_LEN: usize = 43;

    /// Of BLAKE2b.
    pub(crate) fn params() -> blake2b_simd::Params {
        let mut params = blake2b_simd::Params::new();
        params.hash_length(32);
        params
    }

    /// The hash of `data` stored for `account` in `namespace`.
    #[must_use]
    pub fn of(account: &AccountId, namespace: Namespace, data: &[u8]) -> Self {
        let mut state = Self::params().to_state();
        state.update(&account.0).update(namespace.signed_text().as_bytes()).update(data);
        let mut hash = [0; 32];
        hash.copy_from_slice(state.finalize().as_bytes());
        Self(hash)
    }

    /// From the 43 base64 characters that [`fmt::Display`] writes; any other spelling is no hash of ours.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let mut room = [0; Self::TEXT_LEN];
        if text.len() != room.len() {
            return None;
        }
        room.copy_from_slice(text.as_bytes());
        let bytes = base64_simd::STANDARD_NO_PAD.decode_inplace(&mut room).ok()?;
        let hash = Self((&*bytes).try_into().ok()?);
        (hash.text_in(&mut room) == text).then_some(hash)
    }

    /// The text form, in `room`.
    pub(crate) fn text_in<'a>(&self, room: &'a mut [u8; Self::TEXT_LEN]) -> &'a str {
        base64_simd::STANDARD_NO_PAD.encode_as_str(&self.0, base64_simd::Out::from_slice(room))
    }
}

impl fmt::Display for MessageHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text_in(&mut [0; Self::TEXT_LEN]))
    }
}

impl fmt::Debug for MessageHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageHash({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn both(text: &[u8]) -> (Option<[u8; 33]>, Option<[u8; 33]>) {
        let mut key = [0; 33];
        (decode_hex(text), hex::decode_to_slice(text, &mut key).ok().map(|()| key))
    }

    proptest! {
        #[test]
        fn hex_is_read_as_everybody_reads_it(bytes: [u8; 33], upper: bool, at in 0..66_usize, other: u8) {
            let mut text = if upper { hex::encode_upper(bytes) } else { hex::encode(bytes) }.into_bytes();
            prop_assert_eq!(both(&text), (Some(bytes), Some(bytes)));
            text[at] = other;
            let (ours, theirs) = both(&text);
            prop_assert_eq!(ours, theirs);
            prop_assert_eq!(both(&text[..at]), (None, None));
            let key = LegacyPublicKey(*bytes.first_chunk().unwrap());
            prop_assert_eq!(key.to_string(), hex::encode(key.0));
        }

        #[test]
        fn hashes_have_one_spelling(bytes: [u8; 32], text in "[A-Za-z0-9+/=]{42,44}") {
            let hash = MessageHash(bytes);
            let spelled = base64_simd::STANDARD_NO_PAD.encode_to_string(bytes);
            prop_assert_eq!(hash.to_string(), spelled.clone());
            prop_assert_eq!(MessageHash::from_text(&spelled), Some(hash));
            prop_assert!(MessageHash::from_text(&text).is_none_or(|hash| hash.to_string() == text));
        }
    }
}
