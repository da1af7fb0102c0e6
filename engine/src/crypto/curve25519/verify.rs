//! Ed25519 signatures of many keys (RFC 8032 §5.1.7).
//!
//! Not the usual batch equation: a random sum of signatures accepts some that fail alone, of keys or nonces with a part of
//! small order. Here each is verified by itself, some side by side, and so exactly as [`verify_ed25519`] does it. What is
//! known of a key from signatures before saves most of its exponentiations.

use std::sync::LazyLock;

use curve25519_dalek::{EdwardsPoint, Scalar, constants::EIGHT_TORSION, edwards::CompressedEdwardsY};

use super::{
    MAX_BATCH,
    backend::Backend,
    current::plan,
    known::{Known, KnownKeys},
    plan::{Operation, Plan},
    sign::hash_to_scalar,
};
#[cfg(allium_vectors)]
use super::{sign::odd, vector::Signatures};
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
    pub(super) fn parts(&self) -> Option<([u8; 32], Scalar, Scalar)> {
        let [r, s] = self.signature.as_chunks::<32>().0 else { return None };
        let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(*s))?;
        Some((*r, s, hash_to_scalar(&[r, &self.key, &self.message])))
    }
}

/// What is checked: s B - k A is encoded as R.
struct Claim<'a> {
    key: &'a [u8; 32],
    /// Its place among all.
    index: usize,
    r: [u8; 32],
    s: Scalar,
    k: Scalar,
    known: Known,
    /// Something was found out about the key.
    learnt: bool,
}

/// [`Proof::holds`] of each of `proofs`.
#[must_use]
pub fn verify_many(proofs: &[Proof]) -> Vec<bool> {
    verify_with(plan(), Some(KnownKeys::shared()), proofs)
}

/// [`verify_many`] as `plan` says, with what `keys` know.
pub(super) fn verify_with(plan: &Plan, keys: Option<&KnownKeys>, proofs: &[Proof]) -> Vec<bool> {
    let mut holding = vec![false; proofs.len()];
    for (proofs, holding) in proofs.chunks(MAX_BATCH).zip(holding.chunks_mut(MAX_BATCH)) {
        let mut claims: Vec<_> = proofs.iter().enumerate().filter_map(|of| Claim::new(of, keys)).collect();
        if plan.most(Operation::VerifyKnown) != Backend::Scalar {
            raise(plan.most(Operation::VerifyKnown), &mut claims);
        }
        let (mut known, mut new): (Vec<_>, Vec<_>) = claims.into_iter().partition(|claim| claim.known.high.is_some());
        for (work, claims) in [(Operation::VerifyKnown, &mut known), (Operation::Verify, &mut new)] {
            let split = plan.split(work, claims.len());
            let (together, alone) = claims.split_at_mut(split.together.into());
            let points = [side_by_side(split.backend, together), one_by_one(alone)].concat();
            for (claim, point) in claims.iter().zip(points) {
                let holds = point.is_some_and(|point| claim.r == point);
                holding[claim.index] = holds;
                if let Some(keys) = keys.filter(|_| holds && claim.learnt) {
                    keys.put(claim.key, &claim.known);
                }
            }
        }
    }
    holding
}

impl<'a> Claim<'a> {
    /// `None` when it cannot hold.
    fn new((index, proof): (usize, &'a Proof), keys: Option<&KnownKeys>) -> Option<Self> {
        /// The points of small order: no nonce.
        static SMALL: LazyLock<[[u8; 32]; 8]> = LazyLock::new(|| EIGHT_TORSION.map(|point| point.compress().0));
        let (r, s, k) = proof.parts()?;
        if SMALL.contains(&r) {
            return None;
        }
        let known = keys.and_then(|keys| keys.get(&proof.key)).unwrap_or_default();
        Some(Self { key: &proof.key, index, r, s, k, known, learnt: false })
    }

    /// The key's point, negated; `None` where it is none, or of small order.
    fn negated(&mut self) -> Option<EdwardsPoint> {
        if self.known.negated.is_none() {
            let point = CompressedEdwardsY(*self.key).decompress().filter(|point| !point.is_small_order())?;
            self.known.negated = Some(-point);
            self.learnt = true;
        }
        self.known.negated
    }
}

/// s B - k A of each, encoded, with one inversion for all.
fn one_by_one(claims: &mut [Claim<'_>]) -> Vec<Option<[u8; 32]>> {
    let points: Vec<_> = claims
        .iter_mut()
        .map(|claim| {
            let negated = claim.negated()?;
            Some(EdwardsPoint::vartime_double_scalar_mul_basepoint(&claim.k, &negated, &claim.s))
        })
        .collect();
    let good: Vec<_> = points.iter().filter_map(|point| *point).collect();
    let mut encoded = match good.as_slice() {
        [] => Vec::new(),
        [one] => vec![one.compress()],
        many => EdwardsPoint::compress_batch_alloc(many),
    }
    .into_iter();
    points.iter().map(|point| point.and_then(|_| encoded.next()).map(|point| point.to_bytes())).collect()
}

#[cfg(not(allium_vectors))]
fn raise(_: Backend, _: &mut [Claim<'_>]) {}

#[cfg(not(allium_vectors))]
fn side_by_side(_: Backend, claims: &mut [Claim<'_>]) -> Vec<Option<[u8; 32]>> {
    one_by_one(claims)
}

/// Finds 2^128 times the points of keys that come again and again.
#[cfg(allium_vectors)]
fn raise(backend: Backend, claims: &mut [Claim<'_>]) {
    /// Uses before it is worth it: it costs as much as half a signature.
    const USES: u8 = 2;
    let Some(vectors) = backend.vectors() else { return };
    let mut wanted: Vec<_> =
        claims.iter_mut().filter(|claim| claim.known.high.is_none() && claim.known.uses >= USES).collect();
    let half = Scalar::from(1_u128 << 127);
    let points: Vec<_> = wanted
        .iter_mut()
        .filter_map(|claim| {
            let point = claim.negated()?;
            Some(EdwardsPoint::vartime_double_scalar_mul_basepoint(&(half + half), &point, &Scalar::ZERO))
        })
        .collect();
    if points.len() != wanted.len() || points.is_empty() {
        return;
    }
    let encoded: Vec<_> =
        EdwardsPoint::compress_batch_alloc(&points).into_iter().map(|point| point.to_bytes()).collect();
    for (claim, high) in wanted.into_iter().zip(vectors.decode(&encoded)) {
        claim.known.high = high;
        claim.learnt = true;
    }
}

/// s B - k A of each, encoded.
#[cfg(allium_vectors)]
fn side_by_side(backend: Backend, claims: &mut [Claim<'_>]) -> Vec<Option<[u8; 32]>> {
    let Some(vectors) = backend.vectors() else { return one_by_one(claims) };
    let mut missing: Vec<_> = claims.iter_mut().filter(|claim| claim.known.low.is_none()).collect();
    let keys: Vec<_> = missing
        .iter()
        .map(|claim| {
            // The encoding of the negative.
            let mut key = *claim.key;
            key[31] ^= 0x80;
            key
        })
        .collect();
    for (claim, point) in missing.iter_mut().zip(vectors.decode(&keys)) {
        claim.known.low = point;
        claim.learnt = true;
    }
    let good: Vec<_> = claims.iter().filter(|claim| claim.known.low.is_some()).collect();
    let mut encoded = vectors
        .recompute(&Signatures {
            low: &good.iter().filter_map(|claim| claim.known.low).collect::<Vec<_>>(),
            high: &if good.iter().all(|claim| claim.known.high.is_some()) {
                good.iter().filter_map(|claim| claim.known.high).collect::<Vec<_>>()
            } else {
                Vec::new()
            },
            s: &good.iter().map(|claim| odd(&claim.s)).collect::<Vec<_>>(),
            k: &good.iter().map(|claim| claim.k.to_bytes()).collect::<Vec<_>>(),
        })
        .into_iter();
    claims.iter().map(|claim| claim.known.low.and_then(|_| encoded.next())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{Ed25519Secret, ed25519_to_x25519};
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
            let s = nonce + k * secret;
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
            let (plan, known) = (Plan::all(backend), KnownKeys::new());
            // Again and again, so that more and more is known of the keys.
            for (round, size) in [1, 2, 7, 8, 9, 64, proofs.len()].into_iter().enumerate() {
                for keys in [None, Some(&known)] {
                    let many = proofs.chunks(size).flat_map(|chunk| verify_with(&plan, keys, chunk));
                    for ((proof, alone), many) in proofs.iter().zip(&alone).zip(many.collect::<Vec<_>>()) {
                        assert_eq!(many, *alone, "{backend:?} {round} {size} {}", hex::encode(proof.key));
                    }
                }
            }
            for (proof, alone) in proofs.iter().zip(&alone) {
                let found = known.get(&proof.key);
                assert!(!alone || found.is_some(), "known once it has signed");
                let raised = found.is_some_and(|found| found.high.is_some());
                assert!(raised == found.is_some() || backend == Backend::Scalar);
                let x25519 = CompressedEdwardsY(proof.key).decompress().map(|point| point.to_montgomery().0);
                assert!(found.is_none() || x25519 == ed25519_to_x25519(&proof.key));
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
