//! Ed25519 signatures of many keys (RFC 8032 §5.1.7).
//!
//! Not the usual batch equation: a random sum of signatures accepts some that fail alone, of keys or nonces with a part of
//! small order. Here each is verified by itself, eight side by side, and so exactly as [`verify_ed25519`] does it.

#[cfg(any(allium_vectors, test))]
use aws_lc_rs::digest::{Context, SHA512};
#[cfg(any(allium_vectors, test))]
use curve25519_dalek::{Scalar, constants::EIGHT_TORSION};

use super::backend::Backend;
use crate::crypto::verify_ed25519;

/// A signature, and what it is said to be of.
#[derive(Clone, Debug)]
pub struct Proof {
    /// Whose it is said to be.
    pub key: [u8; 32],
    /// What it is said to be over.
    pub message: Vec<u8>,
    /// R and s.
    pub signature: [u8; 64],
}

impl Proof {
    /// Whether it holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        verify_ed25519(&self.key, &self.message, &self.signature)
    }

    /// R, s, and the hash of all modulo the order; `None` for an s that is not below the order.
    #[cfg(any(allium_vectors, test))]
    pub(super) fn parts(&self) -> Option<([u8; 32], [u8; 32], [u8; 32])> {
        let [r, s] = self.signature.as_chunks::<32>().0 else { return None };
        let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(*s))?;
        let mut hash = Context::new(&SHA512);
        hash.update(r);
        hash.update(&self.key);
        hash.update(&self.message);
        let k = Scalar::from_bytes_mod_order_wide(hash.finish().as_ref().try_into().ok()?);
        Some((*r, s.to_bytes(), k.to_bytes()))
    }
}

/// [`Proof::holds`] of each of `proofs`.
#[must_use]
pub fn verify_many(proofs: &[Proof]) -> Vec<bool> {
    verify_with(Backend::chosen(), proofs)
}

fn verify_with(backend: Backend, proofs: &[Proof]) -> Vec<bool> {
    // A vector of eight costs 40 µs (Zen 5), one alone 35.
    if backend != Backend::Ifma || proofs.len() < 2 {
        return proofs.iter().map(Proof::holds).collect();
    }
    side_by_side(proofs)
}

#[cfg(not(allium_vectors))]
fn side_by_side(proofs: &[Proof]) -> Vec<bool> {
    proofs.iter().map(Proof::holds).collect()
}

#[cfg(allium_vectors)]
fn side_by_side(proofs: &[Proof]) -> Vec<bool> {
    /// The points of small order: no nonce.
    static SMALL: std::sync::LazyLock<[[u8; 32]; 8]> =
        std::sync::LazyLock::new(|| EIGHT_TORSION.map(|point| point.compress().0));
    let parts: Vec<_> = proofs.iter().map(Proof::parts).collect();
    let keys: Vec<_> = proofs.iter().map(|proof| proof.key).collect();
    let (mut s, mut k) = (Vec::with_capacity(parts.len()), Vec::with_capacity(parts.len()));
    for part in &parts {
        let (_, of_s, of_k) = part.unwrap_or_default();
        s.push(of_s);
        k.push(of_k);
    }
    let mut points = vec![[0; 32]; proofs.len()];
    super::vector::recompute(&keys, &s, &k, &mut points);
    let holds = |(part, point): (Option<([u8; 32], _, _)>, &[u8; 32])| {
        part.is_some_and(|(r, _, _)| r == *point && !SMALL.contains(point))
    };
    parts.into_iter().zip(&points).map(holds).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Ed25519Secret;
    use curve25519_dalek::EdwardsPoint;
    use proptest::prelude::*;

    fn proof(seed: u8, message: &[u8]) -> Proof {
        let secret = Ed25519Secret::from_seed(&[seed; 32]);
        Proof { key: secret.public().0, message: message.to_vec(), signature: secret.sign(message) }
    }

    /// Signatures that verifiers disagree about: keys and nonces with a part of small order, encodings that are not the
    /// least, s beyond the order.
    fn doubtful() -> Vec<Proof> {
        let mut proofs = Vec::new();
        let secret = Scalar::from_bytes_mod_order([9; 32]);
        let nonce = Scalar::from_bytes_mod_order([8; 32]);
        let base = curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
        let mut sign = |key: EdwardsPoint, r: EdwardsPoint, number: u8| {
            let mut proof = Proof { key: key.compress().0, message: vec![number], signature: [0; 64] };
            proof.signature[..32].copy_from_slice(&r.compress().0);
            let (_, _, k) = proof.parts().unwrap();
            let s = nonce + Scalar::from_bytes_mod_order(k) * secret;
            proof.signature[32..].copy_from_slice(&s.to_bytes());
            proofs.push(proof);
        };
        for (number, torsion) in (0_u8..).zip(EIGHT_TORSION) {
            sign(base * secret + torsion, base * nonce, number);
            sign(base * secret, base * nonce + torsion, number);
            sign(base * secret + torsion, base * nonce + torsion, number);
            sign(torsion, base * nonce, number);
            sign(base * secret, torsion, number);
            sign(torsion, torsion, number);
        }
        for low in 0..=255 {
            // Around p, and around 2^255.
            for high in [[0x7f], [0xff]] {
                let mut encoded = [0xff; 32];
                (encoded[0], encoded[31]) = (low, high[0]);
                let mut proof = proof(1, &[low]);
                proof.key = encoded;
                proofs.push(proof.clone());
                proof.signature[..32].copy_from_slice(&encoded);
                proofs.push(proof);
            }
        }
        // The zero signature of the neutral element, in both its encodings, is over anything.
        for (first, last) in [(1, 0), (1, 0x80), (0xee, 0x7f), (0xee, 0xff)] {
            let mut key = [if last & 0x7f == 0 { 0 } else { 0xff }; 32];
            (key[0], key[31]) = (first, last);
            let mut signature = [0; 64];
            signature[0] = 1;
            proofs.push(Proof { key, message: Vec::new(), signature });
        }
        let order = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let mut beyond = proof(3, b"x");
        let mut carry = 0;
        for (byte, order) in beyond.signature[32..].iter_mut().zip(order) {
            let sum = u16::from(*byte) + order + carry;
            (*byte, carry) = (sum as u8, sum >> 8);
        }
        proofs.push(beyond);
        proofs
    }

    #[test]
    fn what_is_doubtful_is_decided_as_alone() {
        let mut proofs = doubtful();
        let good = (0..40).map(|seed| proof(seed, b"retrieve1700000000000"));
        proofs.extend(good);
        let alone: Vec<bool> = proofs.iter().map(Proof::holds).collect();
        assert!(alone.iter().filter(|holds| **holds).count() >= 41);
        for backend in Backend::ALL.into_iter().filter(|backend| backend.is_supported()) {
            for size in [1, 2, 7, 8, 9, 64, proofs.len()] {
                let many: Vec<bool> = proofs.chunks(size).flat_map(|chunk| verify_with(backend, chunk)).collect();
                for ((proof, alone), many) in proofs.iter().zip(&alone).zip(many) {
                    assert_eq!(many, *alone, "{backend:?} {size} {}", hex::encode(proof.key));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_bad_one_is_named(seeds in prop::collection::vec(0_u8..20, 1..30), bad: usize, bit in 0_usize..768) {
            let mut proofs: Vec<Proof> = seeds.iter().map(|seed| proof(*seed, &[*seed; 30])).collect();
            let bad = bad % proofs.len();
            let Proof { key, signature, .. } = &mut proofs[bad];
            let byte = if bit < 256 { &mut key[bit / 8] } else { &mut signature[(bit - 256) / 8] };
            *byte ^= 1 << (bit % 8);
            let many = verify_many(&proofs);
            for (index, holds) in many.into_iter().enumerate() {
                prop_assert_eq!(holds, index != bad);
            }
        }
    }
}
