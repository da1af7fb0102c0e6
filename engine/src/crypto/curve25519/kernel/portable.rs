//! The vector code in lanes of plain integers, where overflow is found, against another implementation.

use proptest::prelude::*;

use super::{
    batch::{self, batch},
    edwards::recompute_all,
    field::Field,
    field25::Field25,
    field52::Field52,
    lanes::{Lanes, Madd52, Mul32},
};
use crate::crypto::{
    Ed25519Secret, Proof,
    curve25519::tests::{edge_cases, reference},
};

#[derive(Clone, Copy, Debug)]
struct Portable([u64; 8]);

// Nothing of it is inlined: whole ladders of it, with every check, would be functions that take minutes to compile.
impl Portable {
    #[inline(never)]
    fn each(self, other: Self, what: impl Fn(u64, u64) -> u64) -> Self {
        Self(std::array::from_fn(|lane| what(self.0[lane], other.0[lane])))
    }
}

fn product52(a: u64, b: u64) -> u128 {
    let low = |x| u128::from(x & ((1 << 52) - 1));
    low(a) * low(b)
}

impl Lanes for Portable {
    const COUNT: usize = 8;

    #[inline(never)]
    fn splat(value: u64) -> Self {
        Self([value; 8])
    }

    #[inline(never)]
    fn load(words: &[u64; 8]) -> Self {
        Self(*words)
    }

    #[inline(never)]
    fn store(self, words: &mut [u64; 8]) {
        *words = self.0;
    }

    #[inline(never)]
    fn add(self, other: Self) -> Self {
        self.each(other, |a, b| a.checked_add(b).unwrap())
    }

    #[inline(never)]
    fn sub(self, other: Self) -> Self {
        self.each(other, |a, b| a.checked_sub(b).unwrap())
    }

    #[inline(never)]
    fn and(self, other: Self) -> Self {
        self.each(other, |a, b| a & b)
    }

    #[inline(never)]
    fn shr<const N: u32>(self) -> Self {
        Self(self.0.map(|a| a >> N))
    }

    #[inline(never)]
    fn select(bit: u8, clear: Self, set: Self) -> Self {
        if bit == 0 { clear } else { set }
    }
}

impl Madd52 for Portable {
    #[inline(never)]
    fn madd_low(self, a: Self, b: Self) -> Self {
        self.add(a.each(b, |a, b| product52(a, b) as u64 & ((1 << 52) - 1)))
    }

    #[inline(never)]
    fn madd_high(self, a: Self, b: Self) -> Self {
        self.add(a.each(b, |a, b| (product52(a, b) >> 52) as u64))
    }

    #[inline(never)]
    fn mul(self, other: Self) -> Self {
        self.each(other, |a, b| a.checked_mul(b).unwrap())
    }
}

impl Mul32 for Portable {
    #[inline(never)]
    fn mul32(self, other: Self) -> Self {
        self.each(other, |a, b| {
            assert!(a >> 32 == 0 && b >> 32 == 0);
            a * b
        })
    }
}

fn check<F: Field>(scalar: &[u8; 32], points: &[[u8; 32]]) {
    let mut shared = vec![[0; 32]; points.len()];
    batch::<F>(scalar, points, &mut shared);
    for (point, shared) in points.iter().zip(&shared) {
        assert_eq!(*shared, reference(scalar, point), "{}", hex::encode(point));
    }
}

#[test]
fn edge_cases_in_plain_lanes() {
    let scalar = std::array::from_fn(|i| (i * 31 + 7) as u8);
    let points = edge_cases();
    for points in [&points[..], &points[..1], &points[1..9]] {
        for points in points.chunks(batch::MAX) {
            check::<Field52<Portable>>(&scalar, points);
            check::<Field25<Portable>>(&scalar, points);
        }
    }
}

/// What is recomputed of true signatures is their R.
#[test]
fn signatures_in_plain_lanes() {
    let proofs: Vec<Proof> = (0..9)
        .map(|seed| {
            let secret = Ed25519Secret::from_seed(&[seed; 32]);
            Proof { key: secret.public().0, message: vec![seed; 50], signature: secret.sign(&[seed; 50]) }
        })
        .collect();
    let (mut keys, mut s, mut k, mut r) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for proof in &proofs {
        let (of_r, of_s, of_k) = proof.parts().unwrap();
        keys.push(proof.key);
        s.push(of_s);
        k.push(of_k);
        r.push(of_r);
    }
    // No point, and one of small order.
    (keys[2], keys[4]) = ([2; 32], [0; 32]);
    (r[2], r[4]) = ([0xff; 32], [0xff; 32]);
    let mut points = vec![[0; 32]; keys.len()];
    recompute_all::<Portable>(&keys, &s, &k, &mut points);
    assert_eq!(points, r);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn anything_in_plain_lanes(scalar: [u8; 32], points in prop::collection::vec(any::<[u8; 32]>(), 0..12)) {
        check::<Field52<Portable>>(&scalar, &points);
        check::<Field25<Portable>>(&scalar, &points);
    }
}
