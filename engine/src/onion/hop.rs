//! A layer between nodes: the bencoded dict of `sn.onion_request` (`spec/onion` §4.3).

use std::{borrow::Cow, ops::Range};

use bytes::Bytes;

use super::{
    control::{Layer, MAX_HOPS, OnionError},
    piece::Piece,
};
use crate::{
    bencode::{encode_bytes, encode_int, push_decimal},
    crypto::{EncType, UnknownEncType},
    types::X25519PublicKey,
};

/// Bytes that stand around a layer's ciphertext, at most.
const AROUND: usize = 160;

/// `layer` for the next node, one hop further: written around the ciphertext, where it lies.
#[must_use]
pub fn encode_hop(layer: Layer) -> Bytes {
    let mut around = Vec::with_capacity(AROUND);
    around.extend_from_slice(b"d4:data");
    push_decimal(layer.ciphertext.len() as u64, &mut around);
    around.push(b':');
    let before = around.len();
    around.extend_from_slice(b"8:enc_type");
    encode_bytes(layer.enc_type.as_str().as_bytes(), &mut around);
    around.extend_from_slice(b"13:ephemeral_key");
    encode_bytes(&layer.ephemeral_key.0, &mut around);
    around.extend_from_slice(b"6:hop_no");
    encode_int(layer.hop_no.saturating_add(1).into(), &mut around);
    around.push(b'e');
    let (before, after) = around.split_at(before);
    layer.ciphertext.between(before, after)
}

/// The layer that another node passed on.
///
/// # Errors
/// [`OnionError::Internal`] or [`OnionError::TooManyHops`].
pub fn decode_hop(body: impl Into<Piece>) -> Result<Layer, OnionError> {
    let body = body.into();
    let fields = Reader(&body).fields().map_err(OnionError::Internal)?;
    let Fields { data, enc_type, ephemeral_key, hop_no } = fields;
    let layer = Layer { ephemeral_key, enc_type, hop_no, ciphertext: body.narrow(data) };
    if layer.hop_no > MAX_HOPS { Err(OnionError::TooManyHops) } else { Ok(layer) }
}

/// What the dict says; of the ciphertext, where it is.
struct Fields {
    data: Range<usize>,
    enc_type: EncType,
    ephemeral_key: X25519PublicKey,
    hop_no: u32,
}

/// Reads the four keys in the order in which they must come; keys between them are passed over.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn fields(&mut self) -> Result<Fields, Cow<'static, str>> {
        let whole = self.0.len();
        self.0 = self.0.strip_prefix(b"d").ok_or("expected a dict")?;
        self.find(b"data").ok_or("data missing")?;
        let length = self.string().ok_or("data is not a string")?.len();
        let end = whole - self.0.len();
        self.find(b"enc_type").ok_or("enc_type missing")?;
        let enc_type = self.string().ok_or("enc_type is not a string")?;
        let enc_type = std::str::from_utf8(enc_type).map_err(|_| "enc_type is not a name")?;
        let enc_type: EncType = enc_type.parse().map_err(|error: UnknownEncType| error.to_string())?;
        self.find(b"ephemeral_key").ok_or("ephemeral_key missing")?;
        let key = self.string().ok_or("ephemeral_key is not a string")?;
        let key = key.try_into().map_err(|_| "ephemeral_key is not 32 bytes")?;
        self.find(b"hop_no").ok_or("hop_no missing")?;
        let hop_no = self.integer().ok_or("hop_no is not an integer")?.max(1);
        let hop_no = u32::try_from(hop_no).unwrap_or(u32::MAX);
        Ok(Fields { data: end - length..end, enc_type, ephemeral_key: X25519PublicKey(key), hop_no })
    }

    /// Moves to the value of `wanted`, over the keys before it.
    fn find(&mut self, wanted: &[u8]) -> Option<()> {
        loop {
            let key = self.string()?;
            match key.cmp(wanted) {
                std::cmp::Ordering::Equal => return Some(()),
                std::cmp::Ordering::Greater => return None,
                std::cmp::Ordering::Less => {
                    if self.0.first() == Some(&b'i') {
                        self.integer()?;
                    } else {
                        self.string()?;
                    }
                }
            }
        }
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        // A length of more digits than a message can have is no length.
        let colon = self.0.iter().take(9).position(|&byte| byte == b':')?;
        let (digits, rest) = self.0.split_at_checked(colon)?;
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let length = std::str::from_utf8(digits).ok()?.parse().ok()?;
        let (string, rest) = rest.get(1..)?.split_at_checked(length)?;
        self.0 = rest;
        Some(string)
    }

    fn integer(&mut self) -> Option<i64> {
        let rest = self.0.strip_prefix(b"i")?;
        let end = rest.iter().take(21).position(|&byte| byte == b'e')?;
        let (digits, rest) = rest.split_at_checked(end)?;
        let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
        self.0 = rest.get(1..)?;
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layer(hop_no: u32, ciphertext: Vec<u8>) -> Layer {
        let ciphertext = ciphertext.into();
        Layer { ephemeral_key: X25519PublicKey([9; 32]), enc_type: EncType::XChaCha20, hop_no, ciphertext }
    }

    #[test]
    fn keys_come_in_order() {
        let body = encode_hop(layer(0, b"abc".to_vec()));
        let want = [b"d4:data3:abc8:enc_type9:xchacha2013:ephemeral_key32:".as_slice(), &[9; 32], b"6:hop_noi1ee"];
        assert_eq!(body, want.concat());
    }

    #[test]
    fn hops_are_counted_and_limited() {
        for (sent, want) in [("-3", Some(1)), ("0", Some(1)), ("15", Some(15)), ("16", None), ("99999999999", None)] {
            let body = [
                b"d4:data0:8:enc_type3:gcm13:ephemeral_key32:".as_slice(),
                &[1; 32],
                format!("6:hop_noi{sent}ee").as_bytes(),
            ]
            .concat();
            match (decode_hop(body), want) {
                (Ok(layer), Some(hops)) => assert_eq!(layer.hop_no, hops),
                (Err(OnionError::TooManyHops), None) => {}
                other => panic!("{sent}: {other:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn round_trip(ciphertext: Vec<u8>, hop_no in 0u32..15) {
            let sent = layer(hop_no, ciphertext);
            let got = decode_hop(encode_hop(sent.clone())).unwrap();
            prop_assert_eq!(got, Layer { hop_no: hop_no + 1, ..sent });
        }

        #[test]
        fn anything_is_refused_without_a_panic(bytes: Vec<u8>, cut in 0usize..120) {
            prop_assert!(decode_hop(bytes).is_err());
            let whole = encode_hop(layer(1, vec![7; 40]));
            prop_assert!(decode_hop(whole.slice(..cut.min(whole.len() - 2))).is_err());
        }
    }
}
