//! Readers that are functions by themselves.

use crate::{
    crypto::{self, EncType, Side, X25519Secret},
    onion::{Layer, PeelError, decode_hop, parse_entry, peel},
    replicate::transfer as blob,
};

/// What comes out of a layer that is opened.
#[allow(clippy::expect_used)]
pub(super) fn onion(bytes: &[u8]) -> usize {
    let (secret, ephemeral) = (X25519Secret::from_bytes([2; 32]), X25519Secret::from_bytes([3; 32]));
    let sealed = crypto::seal(EncType::AesGcm, &ephemeral, &secret.public(), Side::Client, bytes).expect("two keys");
    let layer =
        Layer { ephemeral_key: ephemeral.public(), enc_type: EncType::AesGcm, hop_no: 0, ciphertext: sealed.into() };
    assert_ne!(peel(&secret, layer).peeled, Err(PeelError::Ciphertext));
    0
}

/// A client's payload, and what another node passes on.
pub(super) fn hop(bytes: &[u8]) -> usize {
    let _ = parse_entry(bytes);
    let _ = decode_hop(bytes);
    0
}

/// Messages that another node sends.
pub(super) fn transfer(bytes: &[u8]) -> usize {
    if let Ok(messages) = blob::decode(bytes) {
        let blobs = blob::encode(&messages, usize::MAX, true);
        assert_eq!(blobs.len(), 1);
        assert_eq!(blob::decode(&blobs[0]), Ok(messages));
    }
    0
}
