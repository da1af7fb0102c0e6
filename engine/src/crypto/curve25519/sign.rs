//! Ed25519 signatures of many texts with one key (RFC 8032 §5.1.6): the same as one by one, with the multiples of the base
//! point side by side. Time tells nothing of the key or of nonces.

use std::sync::LazyLock;

use aws_lc_rs::{
    digest::{Context, SHA512},
    signature::Ed25519KeyPair,
};
use curve25519_dalek::{EdwardsPoint, Scalar, scalar::clamp_integer};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{
    MAX_BATCH,
    plan::{Operation, Plan},
};

/// A secret key as signing uses it.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(in crate::crypto) struct Expanded {
    scalar: Scalar,
    prefix: [u8; 32],
    #[zeroize(skip)]
    public: [u8; 32],
    /// The same key in AWS-LC, which is the fastest with one text.
    #[zeroize(skip)]
    alone: Option<Ed25519KeyPair>,
}

/// SHA-512 of `parts`, modulo the order.
pub(super) fn hash_to_scalar(parts: &[&[u8]]) -> Scalar {
    let mut hash = Context::new(&SHA512);
    parts.iter().for_each(|part| hash.update(part));
    let mut wide = Zeroizing::new([0; 64]);
    wide.copy_from_slice(hash.finish().as_ref());
    Scalar::from_bytes_mod_order_wide(&wide)
}

/// A scalar whose 51 digits v to base 32 stand for 2v - 31, which is never zero: (`scalar` + 2^255 - 1) / 2, modulo the
/// order.
#[cfg(any(allium_vectors, test))]
pub(super) fn odd(scalar: &Scalar) -> [u8; 32] {
    static HALF: LazyLock<[Scalar; 2]> = LazyLock::new(|| {
        let half = Scalar::from(2_u8).invert();
        [half, (Scalar::from(1_u128 << 127) * Scalar::from(1_u128 << 127) * Scalar::from(2_u8) - Scalar::ONE) * half]
    });
    let [half, ones] = &*HALF;
    (scalar * half + ones).to_bytes()
}

impl Expanded {
    /// Of the 32-byte seed.
    pub(in crate::crypto) fn from_seed(seed: &[u8; 32]) -> Self {
        let mut hash = Context::new(&SHA512);
        hash.update(seed);
        let mut halves = Zeroizing::new([0; 64]);
        halves.copy_from_slice(hash.finish().as_ref());
        let (mut scalar, mut prefix) = (Zeroizing::new([0; 32]), [0; 32]);
        scalar.copy_from_slice(&halves[..32]);
        prefix.copy_from_slice(&halves[32..]);
        let scalar = Scalar::from_bytes_mod_order(*Zeroizing::new(clamp_integer(*scalar)));
        let public = EdwardsPoint::mul_base(&scalar).compress().0;
        Self { scalar, prefix, public, alone: Ed25519KeyPair::from_seed_unchecked(seed).ok() }
    }

    /// The public half.
    pub(in crate::crypto) const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// Signature of `text`.
    pub(in crate::crypto) fn sign(&self, text: &[u8]) -> [u8; 64] {
        let signature = self.alone.as_ref().and_then(|alone| alone.sign(text).as_ref().try_into().ok());
        signature.unwrap_or_else(|| self.sign_alone(text))
    }

    /// The same, without AWS-LC.
    fn sign_alone(&self, text: &[u8]) -> [u8; 64] {
        let multiply =
            |nonces: &[Scalar]| nonces.iter().map(|nonce| EdwardsPoint::mul_base(nonce).compress().0).collect();
        self.sign_with(&[text], multiply).first().copied().unwrap_or([0; 64])
    }

    /// Signatures of `texts`, as many at once as `plan` says.
    pub(in crate::crypto) fn sign_many<T: AsRef<[u8]>>(&self, plan: &Plan, texts: &[T]) -> Vec<[u8; 64]> {
        let mut signatures = Vec::with_capacity(texts.len());
        for texts in texts.chunks(MAX_BATCH) {
            let split = plan.split(Operation::Sign, texts.len());
            let (together, alone) = texts.split_at(split.together.into());
            #[cfg(allium_vectors)]
            if let Some(vectors) = split.backend.vectors().filter(|_| !together.is_empty()) {
                signatures.extend(self.sign_with(together, |nonces| {
                    let odd = Zeroizing::new(nonces.iter().map(odd).collect::<Vec<_>>());
                    vectors.multiply_base(&odd)
                }));
            }
            #[cfg(not(allium_vectors))]
            signatures.extend(together.iter().map(|text| self.sign(text.as_ref())));
            signatures.extend(alone.iter().map(|text| self.sign(text.as_ref())));
        }
        signatures
    }

    /// Signatures of `texts`; `multiply` encodes multiples of the base point.
    fn sign_with(&self, texts: &[impl AsRef<[u8]>], multiply: impl Fn(&[Scalar]) -> Vec<[u8; 32]>) -> Vec<[u8; 64]> {
        let nonces = texts.iter().map(|text| hash_to_scalar(&[&self.prefix, text.as_ref()]));
        let nonces = Zeroizing::new(nonces.collect::<Vec<_>>());
        let points = multiply(&nonces);
        let signed = texts.iter().zip(nonces.iter()).zip(&points).map(|((text, nonce), r)| {
            let k = hash_to_scalar(&[r, &self.public, text.as_ref()]);
            let s = nonce + k * self.scalar;
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(r);
            signature[32..].copy_from_slice(s.as_bytes());
            signature
        });
        signed.collect()
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::curve25519::backend::Backend;

    /// By libsodium.
    fn libsodium(seed: &[u8; 32], text: &[u8]) -> [u8; 64] {
        let (mut public, mut secret, mut signature) = ([0; 32], [0; 64], [0; 64]);
        // SAFETY: as long as libsodium expects.
        unsafe {
            libsodium_sys::crypto_sign_seed_keypair(public.as_mut_ptr(), secret.as_mut_ptr(), seed.as_ptr());
            let length = text.len() as u64;
            let none = std::ptr::null_mut();
            libsodium_sys::crypto_sign_detached(signature.as_mut_ptr(), none, text.as_ptr(), length, secret.as_ptr());
        }
        signature
    }

    /// RFC 8032 §7.1.
    #[test]
    fn vectors_of_the_standard() {
        for (seed, public, text, signature) in [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                "72",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            ),
        ] {
            let key = Expanded::from_seed(&hex::decode(seed).unwrap().try_into().unwrap());
            let text = hex::decode(text).unwrap();
            assert_eq!(hex::encode(key.public()), public);
            assert_eq!(hex::encode(key.sign(&text)), signature);
            assert_eq!(hex::encode(key.sign_alone(&text)), signature);
            for backend in Backend::ALL.into_iter().filter(|backend| backend.is_supported()) {
                for signed in key.sign_many(&Plan::all(backend), &[&text; 9]) {
                    assert_eq!(hex::encode(signed), signature, "{backend:?}");
                }
            }
        }
    }

    #[test]
    fn digits_are_odd() {
        let ten = Scalar::from(32_u8);
        for scalar in [Scalar::ZERO, Scalar::ONE, -Scalar::ONE, Scalar::from_bytes_mod_order([0x5a; 32])] {
            let bytes = odd(&scalar);
            let bit = |index: usize| bytes[index / 8] >> (index % 8) & 1;
            let digits = (0..51).rev().map(|place| (0..5).map(|index| bit(5 * place + index) << index).sum::<u8>());
            let sum = digits.fold(Scalar::ZERO, |sum, digit| sum * ten + Scalar::from(2 * digit) - Scalar::from(31_u8));
            assert_eq!(sum, scalar);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_batch_is_signed_as_others_sign_each(
            seed: [u8; 32],
            texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..70),
        ) {
            let (key, other) = (Expanded::from_seed(&seed), SigningKey::from_bytes(&seed));
            prop_assert_eq!(*key.public(), other.verifying_key().to_bytes());
            let want: Vec<_> = texts.iter().map(|text| other.sign(text).to_bytes()).collect();
            for (text, want) in texts.iter().zip(&want) {
                prop_assert_eq!(&libsodium(&seed, text), want);
                prop_assert_eq!(&key.sign(text), want);
            }
            for backend in Backend::ALL.into_iter().filter(|backend| backend.is_supported()) {
                for plan in [Plan::all(backend), Plan::forced(backend)] {
                    prop_assert_eq!(&key.sign_many(&plan, &texts), &want);
                }
            }
        }
    }
}
