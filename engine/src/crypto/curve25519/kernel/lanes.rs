//! What field arithmetic needs of a vector of 64-bit lanes.

/// Some lanes side by side; every operation is done in each of them.
pub(crate) trait Lanes: Copy {
    /// Lanes in one vector, at most eight.
    const COUNT: usize;

    /// The same number in each lane.
    fn splat(value: u64) -> Self;
    /// The first [`Self::COUNT`] words.
    fn load(words: &[u64; 8]) -> Self;
    /// Into the first [`Self::COUNT`] words.
    fn store(self, words: &mut [u64; 8]);
    /// Sum modulo 2^64.
    fn add(self, other: Self) -> Self;
    /// Difference modulo 2^64.
    fn sub(self, other: Self) -> Self;
    /// Bits set in both.
    fn and(self, other: Self) -> Self;
    /// Shifted right by `N` bits.
    fn shr<const N: u32>(self) -> Self;
    /// `clear` when `bit` is 0, `set` when it is 1; in constant time.
    fn select(bit: u8, clear: Self, set: Self) -> Self;
    /// `a` in the lanes where `mask` is 0, `b` in those where it is all ones; in constant time.
    fn blend(mask: Self, a: Self, b: Self) -> Self;
    /// Each lane from a vector of its own. Which vectors these are may show in the time.
    fn gather(vectors: [&Self; 8]) -> Self;
}

/// Lanes with the multiplier of AVX-512 IFMA, or what does the same. Of both factors the lower 52 bits count.
pub(crate) trait Madd52: Lanes {
    /// Whether `madd_low` and `madd_high` are an instruction each.
    const NATIVE: bool;

    /// `self` plus the lower 52 bits of the product.
    fn madd_low(self, a: Self, b: Self) -> Self;
    /// `self` plus bits 52 to 103 of the product.
    fn madd_high(self, a: Self, b: Self) -> Self;
    /// `self` plus the product, which is below 2^52, of factors below 2^32.
    fn madd_small(self, a: Self, b: Self) -> Self;
    /// The lower 64 bits of the product.
    fn mul(self, other: Self) -> Self;
    /// The word of `table` that each lane of `index` names, below 16; in constant time.
    fn pick(table: &[u64; 16], index: Self) -> Self;
}

/// Lanes with a multiplier of 32 by 32 bits. Of both factors the lower 32 bits count.
pub(crate) trait Mul32: Lanes {
    /// The whole product.
    fn mul32(self, other: Self) -> Self;
    /// The word of `table` that each lane of `index` names, below 16; in constant time.
    fn pick(table: &[u32; 16], index: Self) -> Self;
}
