//! The ciphers of one onion layer (`spec/onion` §3).

use std::{fmt, ops::Range, str::FromStr, sync::LazyLock};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey},
    cipher::{
        AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey,
        UnboundCipherKey,
    },
    hmac,
    iv::FixedLength,
};
use chacha20::{R20, hchacha};
use zeroize::Zeroizing;

use super::keys::{SharedSecret, X25519Secret};
use crate::types::X25519PublicKey;

/// How a layer is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EncType {
    /// AES-256-GCM under HMAC-SHA256("LOKI", shared secret). What layers without `enc_type` use.
    #[default]
    AesGcm,
    /// AES-256-CBC with PKCS#7 under the shared secret itself. Legacy, not authenticated.
    AesCbc,
    /// XChaCha20-Poly1305 under BLAKE2b-256(shared secret, client key, node key).
    XChaCha20,
}

/// The name of no cipher of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid encryption type {0}")]
pub struct UnknownEncType(pub String);

impl EncType {
    /// The name that nodes send each other.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AesGcm => "aes-gcm",
            Self::AesCbc => "aes-cbc",
            Self::XChaCha20 => "xchacha20",
        }
    }
}

impl FromStr for EncType {
    type Err = UnknownEncType;

    fn from_str(name: &str) -> Result<Self, UnknownEncType> {
        match name {
            "aes-gcm" | "gcm" => Ok(Self::AesGcm),
            "aes-cbc" | "cbc" => Ok(Self::AesCbc),
            "xchacha20" | "xchacha20-poly1305" => Ok(Self::XChaCha20),
            // An attacker's name may be of any length; an error text may not.
            _ => Err(UnknownEncType(name.chars().take(32).collect())),
        }
    }
}

/// Which end of the layer the holder of the secret key is. Key derivation puts the client's key first, both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The requester, with the ephemeral key.
    Client,
    /// The node.
    Node,
}

const TAG: usize = 16;
const GCM_NONCE: usize = 12;
const XCHACHA_NONCE: usize = 24;
const CBC_IV: usize = 16;

/// What opens one layer and seals the answer to it.
pub struct LayerKey {
    enc: EncType,
    key: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for LayerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LayerKey({})", self.enc.as_str())
    }
}

impl LayerKey {
    /// From what the keys of `client` and `node` have in common.
    #[must_use]
    pub fn new(enc: EncType, shared: &[u8; 32], client: &X25519PublicKey, node: &X25519PublicKey) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        match enc {
            EncType::AesCbc => *key = *shared,
            EncType::AesGcm => {
                static LOKI: LazyLock<hmac::Key> = LazyLock::new(|| hmac::Key::new(hmac::HMAC_SHA256, b"LOKI"));
                key.copy_from_slice(hmac::sign(&LOKI, shared).as_ref());
            }
            EncType::XChaCha20 => {
                let mut all = Zeroizing::new([0; 96]);
                for (to, from) in all.as_chunks_mut::<32>().0.iter_mut().zip([shared, &client.0, &node.0]) {
                    *to = *from;
                }
                let hash = blake2b_simd::Params::new().hash_length(32).hash(all.as_slice());
                key.copy_from_slice(hash.as_bytes());
            }
        }
        Self { enc, key }
    }

    /// The AEAD that it comes down to under `nonce`; `None` for the cipher that is none.
    fn aead(&self, nonce: &[u8]) -> Option<(LessSafeKey, Nonce)> {
        match self.enc {
            EncType::AesCbc => None,
            EncType::AesGcm => {
                let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
                Some((aead_key(&AES_256_GCM, self.key.as_slice())?, nonce))
            }
            EncType::XChaCha20 => {
                let (head, tail) = nonce.split_first_chunk::<16>()?;
                let subkey: Zeroizing<[u8; 32]> =
                    Zeroizing::new(hchacha::<R20>(&(*self.key).into(), &(*head).into()).into());
                let mut short = [0; 12];
                short.get_mut(4..)?.copy_from_slice(tail);
                Some((aead_key(&CHACHA20_POLY1305, subkey.as_ref())?, Nonce::assume_unique_for_key(short)))
            }
        }
    }

    const fn nonce_length(&self) -> usize {
        match self.enc {
            EncType::AesGcm => GCM_NONCE,
            EncType::XChaCha20 => XCHACHA_NONCE,
            EncType::AesCbc => CBC_IV,
        }
    }

    /// Decrypts `sealed` where it lies; where the plaintext is in it. `None` when it was not sealed with this key, or
    /// was changed on the way: what it holds then is of no use.
    #[must_use]
    pub fn open_in_place(&self, sealed: &mut [u8]) -> Option<Range<usize>> {
        let start = self.nonce_length();
        let (nonce, body) = sealed.split_at_mut_checked(start)?;
        let length = match self.aead(nonce) {
            Some((key, nonce)) => key.open_in_place(nonce, Aad::empty(), body).ok()?.len(),
            None => {
                let iv: [u8; CBC_IV] = (&*nonce).try_into().ok()?;
                let key = UnboundCipherKey::new(&AES_256, self.key.as_slice()).ok()?;
                let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?;
                key.decrypt(body, DecryptionContext::Iv128(FixedLength::from(&iv))).ok()?.len()
            }
        };
        Some(start..start + length)
    }

    /// `plaintext`, sealed; `None` when the system has no randomness.
    #[must_use]
    pub fn seal(&self, plaintext: &[u8]) -> Option<Vec<u8>> {
        self.seal_written(plaintext.len(), |out| out.extend_from_slice(plaintext))
    }

    /// What `write` puts behind what it is given, about `length` bytes, sealed where it lies; `None` when the system has no
    /// randomness.
    #[must_use]
    pub fn seal_written(&self, length: usize, write: impl FnOnce(&mut Vec<u8>)) -> Option<Vec<u8>> {
        let mut nonce = [0; XCHACHA_NONCE];
        let nonce = nonce.get_mut(..self.nonce_length())?;
        // Without a system call, unlike getrandom: each answer has one.
        aws_lc_rs::rand::fill(nonce).ok()?;
        self.seal_with(nonce, length, write)
    }

    fn seal_with(&self, nonce: &[u8], length: usize, write: impl FnOnce(&mut Vec<u8>)) -> Option<Vec<u8>> {
        let start = nonce.len();
        let mut out = Vec::with_capacity(start + length + TAG);
        out.extend_from_slice(nonce);
        write(&mut out);
        if let Some((key, nonce)) = self.aead(nonce) {
            let tag = key.seal_in_place_separate_tag(nonce, Aad::empty(), out.get_mut(start..)?).ok()?;
            out.extend_from_slice(tag.as_ref());
        } else {
            let iv: [u8; CBC_IV] = nonce.try_into().ok()?;
            let key = UnboundCipherKey::new(&AES_256, self.key.as_slice()).ok()?;
            let key = PaddedBlockEncryptingKey::cbc_pkcs7(key).ok()?;
            let mut body = out.split_off(start);
            key.less_safe_encrypt(&mut body, EncryptionContext::Iv128(FixedLength::from(&iv))).ok()?;
            out.append(&mut body);
        }
        Some(out)
    }
}

fn aead_key(algorithm: &'static Algorithm, key: &[u8]) -> Option<LessSafeKey> {
    UnboundKey::new(algorithm, key).ok().map(LessSafeKey::new)
}

/// The keys to layers that clients sealed for the node with `secret`: each layer's cipher and ephemeral key. `None` for
/// an ephemeral key of small order.
#[must_use]
pub fn layer_keys(secret: &X25519Secret, layers: &[(EncType, X25519PublicKey)]) -> Vec<Option<LayerKey>> {
    // Only one cipher needs it.
    let named = layers.iter().any(|(enc, _)| *enc == EncType::XChaCha20);
    let node = if named { secret.public() } else { X25519PublicKey([0; 32]) };
    let clients: Vec<X25519PublicKey> = layers.iter().map(|(_, client)| *client).collect();
    let shared = secret.shared_many(&clients);
    let key = |((enc, client), shared): (&(EncType, X25519PublicKey), Option<SharedSecret>)| {
        shared.map(|shared| LayerKey::new(*enc, &shared, client, &node))
    };
    layers.iter().zip(shared).map(key).collect()
}

/// The key between `own` and `their`; `None` when they share nothing.
fn key_between(enc: EncType, own: &X25519Secret, their: &X25519PublicKey, side: Side) -> Option<LayerKey> {
    let shared = own.shared(their)?;
    let own = own.public();
    let (client, node) = match side {
        Side::Client => (&own, their),
        Side::Node => (their, &own),
    };
    Some(LayerKey::new(enc, &shared, client, node))
}

/// `plaintext` for the owner of `their`; `None` when the keys share nothing or the system has no randomness.
#[must_use]
pub fn seal(
    enc: EncType,
    own: &X25519Secret,
    their: &X25519PublicKey,
    side: Side,
    plaintext: &[u8],
) -> Option<Vec<u8>> {
    key_between(enc, own, their, side)?.seal(plaintext)
}

/// The plaintext of a layer that the owner of `their` sealed; `None` when it was not, or was changed on the way.
#[must_use]
pub fn open(
    enc: EncType,
    own: &X25519Secret,
    their: &X25519PublicKey,
    side: Side,
    ciphertext: &[u8],
) -> Option<Vec<u8>> {
    let mut body = ciphertext.to_vec();
    let plaintext = key_between(enc, own, their, side)?.open_in_place(&mut body)?;
    body.truncate(plaintext.end);
    body.drain(..plaintext.start);
    Some(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [EncType; 3] = [EncType::AesGcm, EncType::AesCbc, EncType::XChaCha20];

    fn secret(hex: &str) -> X25519Secret {
        X25519Secret::from_bytes(hex::decode(hex).unwrap().try_into().unwrap())
    }

    fn alice() -> X25519Secret {
        secret("7d446468c186d6fb3c83365ab77a37b1f9fa3e59eb9788a40ae2e9560f196f30")
    }

    fn bob() -> X25519Secret {
        secret("f512f68e81a932aa2ff6d8723baa260a43a6f789d61c91b71f73e4f284e3600a")
    }

    /// `spec/node-tests` §3.1.
    #[test]
    fn ciphertexts_match_the_reference() {
        let nonce: [u8; XCHACHA_NONCE] = std::array::from_fn(|i| i as u8);
        for (enc, want) in [
            (
                EncType::AesGcm,
                "000102030405060708090a0b254141d0fb10f0f25e1e316f3f47bf675d49eb6c238bd3c18b86df3fc8d5687cc64c7a",
            ),
            (
                EncType::AesCbc,
                "000102030405060708090a0b0c0d0e0f80d66ce43084f282f4df7277fa443af269dcb556f3a7886f2c1d248076915cc7",
            ),
            (
                EncType::XChaCha20,
                "000102030405060708090a0b0c0d0e0f101112131415161743bd01f11b8bad57f5bfa27b8099befc22decd241a149281a9ded1f14697c78bfb3c5d",
            ),
        ] {
            let key = key_between(enc, &alice(), &bob().public(), Side::Client).unwrap();
            let sealed = key
                .seal_with(&nonce[..key.nonce_length()], 0, |out| out.extend_from_slice(b"Grumpy cat says no!"))
                .unwrap();
            assert_eq!(hex::encode(&sealed), want, "{enc:?}");
        }
    }

    /// `spec/node-tests` §3.2, set 1.
    #[test]
    fn libsession_ciphertexts_open() {
        let client = secret("ccc335912da8939e2b44816728a5a4773063efa82bf7ae2d42a0abfa2caa452d").public();
        let node = secret("8fcd8ad3a15c76f76f1c56dff0c529999f8c59b4acda79e05666e54d5727dca1");
        for (enc, sealed) in [
            (EncType::AesGcm, "1eb6ae1cd72f60999486365749bd5dc15cc0b6a2a44d7d063daa5e93722f0c025fd00306403b61"),
            (
                EncType::XChaCha20,
                "9e1a3abe60eff3ea5c23556cc7e225b6f94355315f7281f66ecf4dbb06e7899a52b863e03cde3b287d1638d765db75de02b032",
            ),
        ] {
            let sealed = hex::decode(sealed).unwrap();
            assert_eq!(open(enc, &node, &client, Side::Node, &sealed).unwrap(), b"Hello world");
            for bit in 0..sealed.len() * 8 {
                let mut broken = sealed.clone();
                broken[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(open(enc, &node, &client, Side::Node, &broken), None, "{enc:?} bit {bit}");
            }
        }
    }

    #[test]
    fn xchacha_knows_who_is_the_client() {
        let sealed = seal(EncType::XChaCha20, &alice(), &bob().public(), Side::Client, b"x").unwrap();
        assert!(open(EncType::XChaCha20, &bob(), &alice().public(), Side::Client, &sealed).is_none());
        assert!(open(EncType::XChaCha20, &bob(), &alice().public(), Side::Node, &sealed).is_some());
    }

    #[test]
    fn names_are_case_sensitive() {
        for enc in ALL {
            assert_eq!(enc.as_str().parse(), Ok(enc));
        }
        assert!("AES-GCM".parse::<EncType>().is_err());
        assert_eq!("x".repeat(500).parse::<EncType>().unwrap_err().0.len(), 32);
    }

    proptest! {
        #[test]
        fn both_ways_and_never_a_panic(plaintext: Vec<u8>, cut in 0usize..200, which in 0usize..3) {
            let enc = ALL[which];
            let sealed = seal(enc, &alice(), &bob().public(), Side::Client, &plaintext).unwrap();
            let opened = open(enc, &bob(), &alice().public(), Side::Node, &sealed);
            prop_assert_eq!(opened.as_deref(), Some(plaintext.as_slice()));
            let reply = seal(enc, &bob(), &alice().public(), Side::Node, &plaintext).unwrap();
            let opened = open(enc, &alice(), &bob().public(), Side::Client, &reply);
            prop_assert_eq!(opened.as_deref(), Some(plaintext.as_slice()));
            let cut = &sealed[..cut.min(sealed.len() - 1)];
            let opened = open(enc, &bob(), &alice().public(), Side::Node, cut);
            prop_assert!(enc == EncType::AesCbc || opened.is_none());
        }
    }
}
