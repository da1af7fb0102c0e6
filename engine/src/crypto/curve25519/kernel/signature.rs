//! Ed25519's multiplications (RFC 8032 §5.1.6 and §5.1.7), a signature in each lane.
//!
//! Multiples of the base point take the same time for every scalar, because some are nonces. The rest is of signatures to
//! verify, and public: its time may depend on it.

use super::{
    batch::wipe,
    edwards::{Addend, Affine, Bytes, Encoder, Half, HalfTable, NEUTRAL, Point, choose, padded},
    field::Field,
    lanes::Lanes,
};

/// Digits of a scalar to base 16.
const DIGITS: usize = 64;
/// Digits to base 32 of what the base point is multiplied with.
pub(crate) const BASE_DIGITS: usize = 51;
/// Multiples for each of those.
pub(crate) const ENTRIES: usize = 16;

/// 1, 3, ..., 31 times 32^i times the base point, for each i below [`BASE_DIGITS`].
pub(crate) type Base<F> = [HalfTable<F>; BASE_DIGITS];

/// [`Base`], from those points.
#[inline(always)]
pub(crate) fn prepare<F: Field>(points: &[[Affine; ENTRIES]; BASE_DIGITS], base: &mut Base<F>) {
    for (points, table) in points.iter().zip(base) {
        *table = Half::<F>::table(points);
    }
}

/// Adds to `sum` a multiple of the base point: each digit v of `odd` stands for 2v - 31. In constant time.
#[inline(always)]
fn add_base<F: Field>(base: &Base<F>, odd: &Bytes, sum: &mut Point<F>) {
    for (place, table) in base.iter().enumerate() {
        let (mut index, mut negative) = ([0; 8], [0; 8]);
        for ((index, negative), odd) in index.iter_mut().zip(&mut negative).zip(odd) {
            let (byte, bit) = (5 * place / 8, 5 * place % 8);
            let bytes = [odd[byte], if byte < 31 { odd[byte + 1] } else { 0 }];
            let digit = u64::from(u16::from_le_bytes(bytes)) >> bit & 31;
            *negative = (digit >> 4).wrapping_sub(1);
            *index = (digit ^ *negative) & 15;
        }
        sum.add_half(&Half::<F>::pick(table, &index, &negative));
    }
}

/// Multiples of the base point, encoded; at most as many as `batch::MAX`. In constant time.
#[inline(always)]
pub(crate) fn multiply_base<F: Field>(base: &Base<F>, odd: &[[u8; 32]], encoded: &mut [[u8; 32]]) {
    let mut encoder = Encoder::<F>::new();
    for odd in odd.chunks(F::Lanes::COUNT) {
        let mut sum = Point::neutral();
        add_base(base, &padded(odd, [0; 32]), &mut sum);
        encoder.push(&sum);
        wipe(&mut sum, Point::neutral());
    }
    encoder.finish(encoded);
}

/// `scalars`, each below 2^253, in digits from -8 to 8, the lowest first.
#[inline(always)]
fn digits(scalars: &Bytes) -> [[i8; 8]; DIGITS] {
    let mut digits = [[0; 8]; DIGITS];
    for lane in 0..8 {
        let mut carry = 0;
        for (place, digits) in digits.iter_mut().enumerate() {
            let digit = (scalars[lane][place / 2] >> (4 * (place % 2)) & 15).cast_signed() + carry;
            carry = (digit + 8) >> 4;
            digits[lane] = digit - (carry << 4);
        }
    }
    digits
}

/// Keys to verify signatures of.
pub(crate) struct Keys<'a> {
    /// The points, negated.
    pub(crate) low: &'a [Affine],
    /// 2^128 times those; empty where they are not known.
    pub(crate) high: &'a [Affine],
}

/// s B - k A of each signature, encoded: what R must be. Of each s its digits as in [`multiply_base`]; at most as many as
/// `batch::MAX`.
#[inline(always)]
pub(crate) fn recompute<F: Field>(
    base: &Base<F>,
    keys: &Keys<'_>,
    odd: &[[u8; 32]],
    k: &[[u8; 32]],
    encoded: &mut [[u8; 32]],
) {
    let count = F::Lanes::COUNT;
    let mut encoder = Encoder::<F>::new();
    for (group, (odd, k)) in odd.chunks(count).zip(k.chunks(count)).enumerate() {
        let of = |points: &[Affine]| {
            let start = (group * count).min(points.len());
            Point::<F>::of(&padded(&points[start..], NEUTRAL)).multiples()
        };
        let k = digits(&padded(k, [0; 32]));
        let mut sum = Point::neutral();
        let (low, high) = (of(keys.low), (!keys.high.is_empty()).then(|| of(keys.high)));
        add_multiple(&low, high.as_ref(), &k, &mut sum);
        add_base(base, &padded(odd, [0; 32]), &mut sum);
        encoder.push(&sum);
    }
    encoder.finish(encoded);
}

/// Makes of `sum`, which is neutral, the digits' sum: all times the point of `low`, or the upper half of them times that of
/// `high`.
#[inline(always)]
fn add_multiple<F: Field>(
    low: &[Addend<F>; 9],
    high: Option<&[Addend<F>; 9]>,
    digits: &[[i8; 8]; DIGITS],
    sum: &mut Point<F>,
) {
    let (lower, upper) = digits.split_at(DIGITS / 2);
    let shift = |sum: &mut Point<F>| (0..4).for_each(|doubling| sum.double(doubling == 3));
    if let Some(high) = high {
        for (of_low, of_high) in lower.iter().zip(upper).rev() {
            shift(sum);
            sum.add(&choose(low, of_low));
            sum.add(&choose(high, of_high));
        }
    } else {
        for of_low in digits.iter().rev() {
            shift(sum);
            sum.add(&choose(low, of_low));
        }
    }
}
