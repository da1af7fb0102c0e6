//! Numbers modulo p = 2^255 - 19, one in each lane.

use super::lanes::Lanes;

/// Arithmetic modulo p in vectors of lanes.
pub(crate) trait Field {
    /// The vectors.
    type Lanes: Lanes;
    /// What can be multiplied.
    type Operand: Copy;
    /// What a multiplication leaves; two can be added or subtracted before [`Self::carry`].
    type Product: Copy;
    /// Sixteen numbers to pick from.
    type Table: Copy;

    /// The same number of at most 32 bits in each lane.
    fn small(value: u64) -> Self::Operand;
    /// From the little-endian bytes of each lane's number; bit 255 is not looked at.
    fn load(numbers: &[[u8; 32]; 8]) -> Self::Operand;
    /// The least representatives, as bytes.
    fn store(number: &Self::Operand, numbers: &mut [[u8; 32]; 8]);
    /// As a product is.
    fn widen(number: &Self::Operand) -> Self::Product;
    /// So that it can be multiplied again.
    fn carry(product: Self::Product) -> Self::Operand;
    /// Sum of two fresh products.
    fn add(a: Self::Product, b: Self::Product) -> Self::Product;
    /// Difference of two fresh products.
    fn sub(a: Self::Product, b: Self::Product) -> Self::Product;
    /// Difference of two operands that may be sums or differences, as fresh as a product.
    fn sub_wide(a: &Self::Operand, b: &Self::Operand) -> Self::Operand;
    /// Product.
    fn mul(a: &Self::Operand, b: &Self::Operand) -> Self::Product;
    /// Square.
    fn square(a: &Self::Operand) -> Self::Product;
    /// `121665 a + b`, to be multiplied; `b` is a fresh product.
    fn times_a24_plus(a: &Self::Operand, b: Self::Product) -> Self::Operand;
    /// `clear` or `set`, in constant time.
    fn select(bit: u8, clear: &Self::Operand, set: &Self::Operand) -> Self::Operand;
    /// `a` in the lanes where `mask` is 0, `b` in those where it is all ones; in constant time.
    fn blend(mask: &[u64; 8], a: &Self::Operand, b: &Self::Operand) -> Self::Operand;
    /// Each lane from a number of its own; which ones may show in the time.
    fn gather(numbers: [&Self::Operand; 8]) -> Self::Operand;
    /// From the little-endian bytes of sixteen numbers.
    fn table(numbers: &[[u8; 32]; 16]) -> Self::Table;
    /// The number that each lane of `index` names, below 16; in constant time.
    fn pick(table: &Self::Table, index: Self::Lanes) -> Self::Operand;
}

/// Once for each number, which is a constant there, as straight code: the compiler leaves loops of many products as they
/// are.
macro_rules! each {
    ($index:ident, $($value:literal)*, $body:block) => {
        $({
            const $index: usize = $value;
            $body
        })*
    };
}
pub(crate) use each;

/// `bytes` in five limbs of `BITS` bits.
#[inline(always)]
pub(crate) fn limbs<const BITS: u32>(bytes: &[u8; 32]) -> [u64; 5] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    let mask = (1 << BITS) - 1;
    let [a, b, c, d] = words;
    [
        a & mask,
        (a >> BITS | b << (64 - BITS)) & mask,
        (b >> (2 * BITS - 64) | c << (128 - 2 * BITS)) & mask,
        (c >> (3 * BITS - 128) | d << (192 - 3 * BITS)) & mask,
        d << 1 >> (4 * BITS - 191),
    ]
}

/// The least representative of a number in five limbs of `BITS` bits, each with room to spare.
#[inline(always)]
pub(crate) fn bytes<const BITS: u32>(mut limbs: [u64; 5]) -> [u8; 32] {
    let mask: u64 = (1 << BITS) - 1;
    let top = 255 - 4 * BITS;
    // Twice: what the first round puts in at the bottom may carry through to the top once more.
    for _ in 0..2 {
        limbs[0] += 19 * (limbs[4] >> top);
        limbs[4] &= (1 << top) - 1;
        for i in 0..4 {
            limbs[i + 1] += limbs[i] >> BITS;
            limbs[i] &= mask;
        }
    }
    // p or more is what carries out of bit 255 once 19 is added.
    let mut over = limbs;
    over[0] += 19;
    for i in 0..4 {
        over[i + 1] += over[i] >> BITS;
        over[i] &= mask;
    }
    let reduce = 0u64.wrapping_sub(over[4] >> top);
    over[4] &= (1 << top) - 1;
    let mut words = [0; 4];
    let mut v = [0; 5];
    for i in 0..5 {
        v[i] = limbs[i] & !reduce | over[i] & reduce;
    }
    words[0] = v[0] | v[1] << BITS;
    words[1] = v[1] >> (64 - BITS) | v[2] << (2 * BITS - 64);
    words[2] = v[2] >> (128 - 2 * BITS) | v[3] << (3 * BITS - 128);
    words[3] = v[3] >> (192 - 3 * BITS) | v[4] << (4 * BITS - 192);
    let mut out = [0; 32];
    for (bytes, word) in out.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    out
}
