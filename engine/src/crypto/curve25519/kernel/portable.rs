//! The vector code in lanes of plain integers, where overflow is found, against another implementation.

use curve25519_dalek::{
    EdwardsPoint, Scalar,
    constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION},
};
use proptest::prelude::*;

use super::{
    batch::{self, batch},
    doubles::{self, Doubles},
    edwards::{NEUTRAL, decode_all},
    field::Field,
    field25::Field25,
    field52::Field52,
    lanes::{Lanes, Madd52, Mul32},
    signature::{BASE_DIGITS, Base, ENTRIES, Keys, multiply_base, prepare, recompute},
};
use crate::crypto::curve25519::{
    sign::odd,
    tests::{edge_cases, reference},
};

#[derive(Clone, Copy, Debug)]
struct Portable<const NATIVE: bool = true>([u64; 8]);

// Nothing of it is inlined: whole ladders of it, with every check, would be functions that take minutes to compile.
impl<const NATIVE: bool> Portable<NATIVE> {
    #[inline(never)]
    fn each(self, other: Self, what: impl Fn(u64, u64) -> u64) -> Self {
        Self(std::array::from_fn(|lane| what(self.0[lane], other.0[lane])))
    }
}

fn product52(a: u64, b: u64) -> u128 {
    let low = |x| u128::from(x & ((1 << 52) - 1));
    low(a) * low(b)
}

impl<const NATIVE: bool> Lanes for Portable<NATIVE> {
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

    #[inline(never)]
    fn blend(mask: Self, a: Self, b: Self) -> Self {
        assert!(mask.0.iter().all(|mask| [0, u64::MAX].contains(mask)));
        Self(std::array::from_fn(|lane| if mask.0[lane] == 0 { a.0[lane] } else { b.0[lane] }))
    }

    #[inline(never)]
    fn gather(vectors: [&Self; 8]) -> Self {
        Self(std::array::from_fn(|lane| vectors[lane].0[lane]))
    }
}

impl<const NATIVE: bool> Madd52 for Portable<NATIVE> {
    const NATIVE: bool = NATIVE;

    #[inline(never)]
    fn madd_low(self, a: Self, b: Self) -> Self {
        self.add(a.each(b, |a, b| product52(a, b) as u64 & ((1 << 52) - 1)))
    }

    #[inline(never)]
    fn madd_high(self, a: Self, b: Self) -> Self {
        self.add(a.each(b, |a, b| (product52(a, b) >> 52) as u64))
    }

    #[inline(never)]
    fn madd_small(self, a: Self, b: Self) -> Self {
        self.add(a.each(b, |a, b| {
            assert!(a >> 32 == 0 && b >> 32 == 0 && (a * b) >> 52 == 0);
            a * b
        }))
    }

    #[inline(never)]
    fn mul(self, other: Self) -> Self {
        self.each(other, |a, b| a.checked_mul(b).unwrap())
    }

    #[inline(never)]
    fn pick(table: &[u64; 16], index: Self) -> Self {
        Self(index.0.map(|index| table[index as usize]))
    }
}

impl<const NATIVE: bool> Mul32 for Portable<NATIVE> {
    #[inline(never)]
    fn mul32(self, other: Self) -> Self {
        self.each(other, |a, b| {
            assert!(a >> 32 == 0 && b >> 32 == 0);
            a * b
        })
    }

    #[inline(never)]
    fn pick(table: &[u32; 16], index: Self) -> Self {
        Self(index.0.map(|index| table[index as usize].into()))
    }
}

/// An integer as a double, which it must be.
fn exact(value: i128) -> f64 {
    let double = value as f64;
    assert_eq!(double as i128, value);
    double
}

impl<const NATIVE: bool> Doubles for Portable<NATIVE> {
    type Double = [f64; 8];

    fn double(value: f64) -> [f64; 8] {
        [value; 8]
    }

    fn double_of(self) -> [f64; 8] {
        self.0.map(f64::from_bits)
    }

    fn bits(value: [f64; 8]) -> Self {
        Self(value.map(f64::to_bits))
    }

    fn or(self, other: Self) -> Self {
        self.each(other, |a, b| a | b)
    }

    fn minus(a: [f64; 8], b: [f64; 8]) -> [f64; 8] {
        std::array::from_fn(|lane| exact(a[lane] as i128 - b[lane] as i128))
    }

    fn fused(a: [f64; 8], b: [f64; 8], c: [f64; 8]) -> [f64; 8] {
        std::array::from_fn(|lane| exact(a[lane] as i128 * b[lane] as i128 + c[lane] as i128))
    }

    fn fused_down(a: [f64; 8], b: [f64; 8], c: [f64; 8]) -> [f64; 8] {
        std::array::from_fn(|lane| {
            let sum = a[lane] as i128 * b[lane] as i128 + c[lane] as i128;
            let lost = (128 - sum.leading_zeros()).saturating_sub(f64::MANTISSA_DIGITS);
            exact(sum >> lost << lost)
        })
    }
}

fn check_doubles(a: [u64; 8], b: [u64; 8]) {
    let (sum, a, b) = (Portable::<true>([7; 8]), Portable(a), Portable(b));
    assert_eq!(doubles::madd_low(sum, a, b).0, sum.madd_low(a, b).0);
    assert_eq!(doubles::madd_high(sum, a, b).0, sum.madd_high(a, b).0);
}

#[test]
fn doubles_multiply_the_least_and_the_largest() {
    let edges = [0, 1, 2, (1 << 26) - 1, 1 << 26, (1 << 51) + 1, (1 << 52) - 2, u64::MAX];
    for a in edges {
        check_doubles([a; 8], edges);
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
            check::<Field52<Portable<false>>>(&scalar, points);
            check::<Field25<Portable>>(&scalar, points);
        }
    }
}

/// The base point's multiples that signatures are made with.
fn base<F: Field>() -> Box<Base<F>> {
    let mut points = Box::new([[NEUTRAL; ENTRIES]; BASE_DIGITS]);
    let mut power = ED25519_BASEPOINT_POINT;
    for points in points.iter_mut() {
        let odd: [EdwardsPoint; ENTRIES] = std::array::from_fn(|entry| power * Scalar::from(2 * entry as u64 + 1));
        decode_all::<Field52<Portable>>(&odd.map(|point| point.compress().0), points);
        decode_all::<Field52<Portable<false>>>(&odd.map(|point| point.compress().0), points);
        power *= Scalar::from(32_u8);
    }
    let mut base = Box::new([[F::table(&[[0; 32]; ENTRIES]); 3]; BASE_DIGITS]);
    prepare::<F>(&points, &mut base);
    base
}

/// Of some scalars, the smallest and largest among them.
fn check_signatures<F: Field>() {
    let base = base::<F>();
    let mut scalars = vec![Scalar::ZERO, Scalar::ONE, -Scalar::ONE];
    scalars.extend((0..6).map(|seed| Scalar::from_bytes_mod_order([seed * 41 + 3; 32])));
    let odd: Vec<_> = scalars.iter().map(odd).collect();
    let mut encoded = vec![[0; 32]; scalars.len()];
    multiply_base::<F>(&base, &odd, &mut encoded);
    for (scalar, encoded) in scalars.iter().zip(&encoded) {
        assert_eq!(EdwardsPoint::mul_base(scalar).compress().0, *encoded);
    }
    // Keys with a part of small order, too.
    let keys: Vec<_> = scalars
        .iter()
        .zip(EIGHT_TORSION.iter().cycle())
        .map(|(scalar, small)| EdwardsPoint::mul_base(&(scalar + Scalar::from(7_u8))) + small)
        .collect();
    let half = Scalar::from(1_u128 << 127);
    let affine = |points: Vec<EdwardsPoint>| {
        let encoded: Vec<_> = points.iter().map(|point| point.compress().0).collect();
        let mut affine = vec![NEUTRAL; points.len()];
        decode_all::<F>(&encoded, &mut affine);
        affine
    };
    let low = affine(keys.iter().map(|key| -key).collect());
    let high = affine(keys.iter().map(|key| -(key * half + key * half)).collect());
    let k: Vec<_> = scalars.iter().rev().map(Scalar::to_bytes).collect();
    for high in [&[][..], &high] {
        recompute::<F>(&base, &Keys { low: &low, high }, &odd, &k, &mut encoded);
        for (place, key) in keys.iter().enumerate() {
            let want = EdwardsPoint::mul_base(&scalars[place]) - key * scalars[scalars.len() - 1 - place];
            assert_eq!(want.compress().0, encoded[place], "{place}");
        }
    }
    let mut points = [NEUTRAL; 2];
    decode_all::<F>(&[[2; 32], [0; 32]], &mut points);
    assert_eq!(points.map(|[x, _]| x), [[0xff; 32]; 2], "no point, and one of small order");
}

#[test]
fn signatures_in_plain_lanes() {
    check_signatures::<Field52<Portable>>();
    check_signatures::<Field52<Portable<false>>>();
    check_signatures::<Field25<Portable>>();
}

proptest! {
    #[test]
    fn doubles_multiply_as_integers_do(a: [u64; 8], b: [u64; 8]) {
        check_doubles(a, b);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn anything_in_plain_lanes(scalar: [u8; 32], points in prop::collection::vec(any::<[u8; 32]>(), 0..12)) {
        check::<Field52<Portable>>(&scalar, &points);
        check::<Field52<Portable<false>>>(&scalar, &points);
        check::<Field25<Portable>>(&scalar, &points);
    }
}
