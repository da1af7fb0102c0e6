//! The multiplier of 52 bits made of doubles, for vectors that have none of integers: a fused multiplication and addition
//! rounds once, so the product's upper half is what is left when a large number is added, and the lower half what that
//! lost.
//!
//! Every number here is zero or an integer far from the ends of a double's range, so that the time is always the same.

use super::lanes::Lanes;

/// 2^52: the last bit of the mantissa of what is added to it is worth 1.
const ONES: f64 = (1_u64 << 52) as f64;
/// 2^104: the same, worth 2^52.
const HIGHS: f64 = ONES * ONES;

/// Lanes that can be taken for doubles.
pub(crate) trait Doubles: Lanes {
    /// A vector of doubles.
    type Double: Copy;

    /// The same number in each lane.
    fn double(value: f64) -> Self::Double;
    /// The doubles that have these bits.
    fn double_of(self) -> Self::Double;
    /// Their bits.
    fn bits(value: Self::Double) -> Self;
    /// Bits set in either.
    fn or(self, other: Self) -> Self;
    /// Difference, which is a double.
    fn minus(a: Self::Double, b: Self::Double) -> Self::Double;
    /// `a b + c`, which is a double.
    fn fused(a: Self::Double, b: Self::Double, c: Self::Double) -> Self::Double;
    /// `a b + c`, cut off where a double ends.
    fn fused_down(a: Self::Double, b: Self::Double, c: Self::Double) -> Self::Double;
}

/// The lower 52 bits as a double.
#[inline(always)]
fn number<L: Doubles>(bits: L) -> L::Double {
    let low = bits.and(L::splat((1 << 52) - 1)).or(L::splat(ONES.to_bits()));
    L::minus(low.double_of(), L::double(ONES))
}

/// 2^104 and the product, cut off below bit 52.
#[inline(always)]
fn high<L: Doubles>(a: L::Double, b: L::Double) -> L::Double {
    L::fused_down(a, b, L::double(HIGHS))
}

/// `sum` plus the lower 52 bits of the product.
#[inline(always)]
pub(crate) fn madd_low<L: Doubles>(sum: L, a: L, b: L) -> L {
    let (a, b) = (number(a), number(b));
    // What the upper half lacks, and 2^52.
    let rest = L::fused(a, b, L::minus(L::double(HIGHS + ONES), high::<L>(a, b)));
    sum.add(L::bits(rest).sub(L::splat(ONES.to_bits())))
}

/// `sum` plus bits 52 to 103 of the product.
#[inline(always)]
pub(crate) fn madd_high<L: Doubles>(sum: L, a: L, b: L) -> L {
    sum.add(L::bits(high::<L>(number(a), number(b))).sub(L::splat(HIGHS.to_bits())))
}
