//! A node's key pairs, and signatures by anyone.

use std::{fmt, sync::OnceLock};

use curve25519_dalek::{edwards::CompressedEdwardsY, montgomery::MontgomeryPoint};
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::curve25519::{Expanded, KnownKeys, plan, x25519_many};
use crate::types::{Ed25519PublicKey, LegacyPublicKey, X25519PublicKey};

/// An X25519 secret key.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct X25519Secret {
    secret: [u8; 32],
    /// Computed when it is first asked for: a node asks for its own with every layer.
    #[zeroize(skip)]
    public: OnceLock<X25519PublicKey>,
}

/// What an X25519 secret key and another's public key have in common. Zeroized when dropped.
pub type SharedSecret = Zeroizing<[u8; 32]>;

impl X25519Secret {
    /// From its 32 bytes; clamped when used.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self { secret: bytes, public: OnceLock::new() }
    }

    /// The secret itself, for a library that does its own arithmetic.
    pub(crate) const fn expose(&self) -> &[u8; 32] {
        &self.secret
    }

    /// The secret's bytes, for a key file.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.secret)
    }

    /// A fresh key from the system's randomness.
    ///
    /// # Errors
    /// When the system has none to give.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut())?;
        Ok(Self::from_bytes(*bytes))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> X25519PublicKey {
        *self.public.get_or_init(|| X25519PublicKey(MontgomeryPoint::mul_base_clamped(self.secret).0))
    }

    /// The secret shared with the owner of `other`; `None` when it is all zero (a point of small order).
    #[must_use]
    pub fn shared(&self, other: &X25519PublicKey) -> Option<SharedSecret> {
        self.shared_many(std::slice::from_ref(other)).pop().flatten()
    }

    /// [`Self::shared`] with each of `others`, which costs far less than one after the other where the processor has
    /// vectors for it.
    #[must_use]
    pub fn shared_many(&self, others: &[X25519PublicKey]) -> Vec<Option<SharedSecret>> {
        let points: Vec<[u8; 32]> = others.iter().map(|other| other.0).collect();
        let mut shared = Zeroizing::new(vec![[0; 32]; points.len()]);
        x25519_many(&self.secret, &points, &mut shared);
        let secret = |shared: &[u8; 32]| {
            let zero: bool = shared.ct_eq(&[0; 32]).into();
            (!zero).then(|| Zeroizing::new(*shared))
        };
        shared.iter().map(secret).collect()
    }
}

impl fmt::Debug for X25519Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("X25519Secret(…)")
    }
}

/// An Ed25519 secret key. Zeroized when dropped.
pub struct Ed25519Secret {
    key: SigningKey,
    expanded: Expanded,
}

impl Ed25519Secret {
    /// From the 32-byte seed (the first half of libsodium's 64-byte form).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self { key: SigningKey::from_bytes(seed), expanded: Expanded::from_seed(seed) }
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> Ed25519PublicKey {
        Ed25519PublicKey(*self.expanded.public())
    }

    /// Signature of `message`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.expanded.sign(message)
    }

    /// [`Self::sign`] of each of `messages`, which costs far less than one after the other where the processor has vectors
    /// for it.
    #[must_use]
    pub fn sign_many(&self, messages: &[impl AsRef<[u8]>]) -> Vec<[u8; 64]> {
        self.expanded.sign_many(plan(), messages)
    }

    /// PKCS #8 (RFC 8410), which TLS libraries read.
    #[must_use]
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        const HEAD: [u8; 16] =
            [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
        let mut der = Zeroizing::new(Vec::with_capacity(HEAD.len() + 32));
        der.extend_from_slice(&HEAD);
        der.extend_from_slice(Zeroizing::new(self.key.to_bytes()).as_slice());
        der
    }

    /// The X25519 key that belongs to this key (`spec/accounts` §1).
    #[must_use]
    pub fn x25519(&self) -> X25519Secret {
        X25519Secret::from_bytes(*Zeroizing::new(self.key.to_scalar_bytes()))
    }
}

impl fmt::Debug for Ed25519Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ed25519Secret(of {})", self.public())
    }
}

/// The keys of one node (`spec/transports` §0).
#[derive(Debug)]
pub struct Identity {
    /// Signs answers.
    pub ed25519: Ed25519Secret,
    /// Opens onion layers and OMQ connections; derived from the Ed25519 key, as clients assume.
    pub x25519: X25519Secret,
    /// The registered key. Its secret half is not needed here.
    pub legacy: LegacyPublicKey,
}

impl Identity {
    /// From the Ed25519 seed and the registered public key.
    #[must_use]
    pub fn new(ed25519_seed: &[u8; 32], legacy: LegacyPublicKey) -> Self {
        let ed25519 = Ed25519Secret::from_seed(ed25519_seed);
        let x25519 = ed25519.x25519();
        Self { ed25519, x25519, legacy }
    }
}

/// Whether `signature` of `message` is by `key`. Keys and nonces of small order are refused, as libsodium refuses them.
#[must_use]
pub fn verify_ed25519(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
}

/// The X25519 key that belongs to the Ed25519 key `key`; `None` when that is no point of the curve or of small order.
#[must_use]
pub fn ed25519_to_x25519(key: &[u8; 32]) -> Option<[u8; 32]> {
    let keys = KnownKeys::shared();
    let Some(mut known) = keys.get(key) else {
        let point = CompressedEdwardsY(*key).decompress()?;
        return (!point.is_small_order()).then(|| point.to_montgomery().0);
    };
    if known.x25519.is_none() {
        let point = known.negated.or_else(|| CompressedEdwardsY(*key).decompress())?;
        // Of a point and its negative it is the same.
        known.x25519 = Some(point.to_montgomery().0);
        keys.put(key, &known);
    }
    known.x25519
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        hex::decode(hex).unwrap().try_into().unwrap()
    }

    /// `spec/accounts` §1.
    #[test]
    fn account_keys_match_the_reference() {
        for (entropy, ed25519, x25519) in [
            (
                "00000000000000000000000000000000",
                "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29",
                "5bf55c73b82ebe22be80f3430667af570fae2556a6415e6b30d4065300aa947d",
            ),
            (
                "000102030405060708090a0b0c0d0e0f",
                "65adc5bfb14b5363f1b50e63a431f6fe08ff5d4e8d362c1e3d4c56c9d044bfb0",
                "ca03b8e369aeeb69fd260c2957d37b232db17a60db7a39bca9f0c0a6be135c1a",
            ),
            (
                "ffffffffffffffffffffffffffffffff",
                "50a8a21fb13d4d2e03037e393e5c60ddb9f92d97b55c8aa77e95a0624215d7a1",
                "fbc4b8c9a80643a287c8d7747dd95ae5475acd97ecd5398ea0bfa85393d70e21",
            ),
        ] {
            let mut seed = [0; 32];
            seed[..16].copy_from_slice(&hex::decode(entropy).unwrap());
            let secret = Ed25519Secret::from_seed(&seed);
            assert_eq!(secret.public().to_string(), ed25519);
            assert_eq!(secret.x25519().public().to_string(), x25519);
            assert_eq!(ed25519_to_x25519(&secret.public().0), Some(bytes(x25519)));
        }
    }

    /// `spec/node-tests` §4: user U and answering node N.
    #[test]
    fn signatures_match_the_reference() {
        let user = Ed25519Secret::from_seed(&std::array::from_fn(|i| i as u8));
        let signature = user.sign(b"retrieve1700000000000");
        assert_eq!(
            hex::encode(signature),
            "4664422779cf85a16e838001f2320d5eeaf99324c6c073b56ec1c0edc5ebc4bc90e445db0c692b481dcb290cf299cbafb40c96fab964749c7ae945f6f0d9620f"
        );
        assert!(verify_ed25519(&user.public().0, b"retrieve1700000000000", &signature));
        assert!(!verify_ed25519(&user.public().0, b"retrieve1700000000001", &signature));
        let node = Ed25519Secret::from_seed(&std::array::from_fn(|i| 96 + i as u8));
        assert_eq!(
            node.x25519().public().to_string(),
            "e240f142b821efa128c8a1b1ee98c5c2d0d6186429edeedd3cccde89f7bf754a"
        );
    }

    #[test]
    fn small_order_points_are_refused() {
        let secret = X25519Secret::from_bytes([7; 32]);
        assert!(secret.shared(&X25519PublicKey([0; 32])).is_none());
        let mut one = [0; 32];
        one[0] = 1;
        assert!(secret.shared(&X25519PublicKey(one)).is_none());
        assert_eq!(ed25519_to_x25519(&one), None);
    }

    #[test]
    fn secrets_do_not_show() {
        assert_eq!(format!("{:?}", X25519Secret::from_bytes([7; 32])), "X25519Secret(…)");
        assert!(!format!("{:?}", Ed25519Secret::from_seed(&[7; 32])).contains("0707"));
    }
}
