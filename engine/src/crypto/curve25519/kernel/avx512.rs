//! Eight lanes of AVX-512 without IFMA: doubles multiply in its place.

use core::arch::x86_64::*;

use super::{
    doubles::{self, Doubles},
    lanes::{Lanes, Madd52},
};

/// A register.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(__m512i);

// SAFETY, of every block here: this is compiled into an object of its own, for processors that have these
// instructions, and called on no other.
impl Lanes for Avx512 {
    const COUNT: usize = 8;

    #[inline(always)]
    fn splat(value: u64) -> Self {
        unsafe { Self(_mm512_set1_epi64(value.cast_signed())) }
    }

    #[inline(always)]
    fn load(words: &[u64; 8]) -> Self {
        unsafe { Self(_mm512_loadu_si512(words.as_ptr().cast())) }
    }

    #[inline(always)]
    fn store(self, words: &mut [u64; 8]) {
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        unsafe { Self(_mm512_add_epi64(self.0, other.0)) }
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        unsafe { Self(_mm512_sub_epi64(self.0, other.0)) }
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        unsafe { Self(_mm512_and_si512(self.0, other.0)) }
    }

    #[inline(always)]
    fn shr<const N: u32>(self) -> Self {
        unsafe { Self(_mm512_srli_epi64::<N>(self.0)) }
    }

    #[inline(always)]
    fn select(bit: u8, clear: Self, set: Self) -> Self {
        unsafe { Self(_mm512_mask_blend_epi64(0u8.wrapping_sub(bit), clear.0, set.0)) }
    }

    #[inline(always)]
    fn blend(mask: Self, a: Self, b: Self) -> Self {
        unsafe { Self(_mm512_mask_blend_epi64(_mm512_movepi64_mask(mask.0), a.0, b.0)) }
    }

    #[inline(always)]
    fn gather([a, b, c, d, e, f, g, h]: [&Self; 8]) -> Self {
        unsafe {
            let word = |vector: &Self, lane| *core::ptr::from_ref(vector).cast::<i64>().add(lane);
            let (low, high) = ([word(d, 3), word(c, 2), word(b, 1), word(a, 0)], [word(h, 7), word(g, 6), word(f, 5), word(e, 4)]);
            Self(_mm512_set_epi64(high[0], high[1], high[2], high[3], low[0], low[1], low[2], low[3]))
        }
    }
}

impl Doubles for Avx512 {
    type Double = __m512d;

    #[inline(always)]
    fn double(value: f64) -> __m512d {
        unsafe { _mm512_set1_pd(value) }
    }

    #[inline(always)]
    fn double_of(self) -> __m512d {
        unsafe { _mm512_castsi512_pd(self.0) }
    }

    #[inline(always)]
    fn bits(value: __m512d) -> Self {
        unsafe { Self(_mm512_castpd_si512(value)) }
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        unsafe { Self(_mm512_or_si512(self.0, other.0)) }
    }

    #[inline(always)]
    fn minus(a: __m512d, b: __m512d) -> __m512d {
        unsafe { _mm512_sub_pd(a, b) }
    }

    #[inline(always)]
    fn fused(a: __m512d, b: __m512d, c: __m512d) -> __m512d {
        unsafe { _mm512_fmadd_pd(a, b, c) }
    }

    #[inline(always)]
    fn fused_down(a: __m512d, b: __m512d, c: __m512d) -> __m512d {
        unsafe { _mm512_fmadd_round_pd::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(a, b, c) }
    }
}

impl Madd52 for Avx512 {
    #[inline(always)]
    fn madd_low(self, a: Self, b: Self) -> Self {
        doubles::madd_low(self, a, b)
    }

    #[inline(always)]
    fn madd_high(self, a: Self, b: Self) -> Self {
        doubles::madd_high(self, a, b)
    }

    #[inline(always)]
    fn madd_small(self, a: Self, b: Self) -> Self {
        unsafe { Self(_mm512_add_epi64(self.0, _mm512_mul_epu32(a.0, b.0))) }
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        unsafe { Self(_mm512_mullo_epi64(self.0, other.0)) }
    }

    #[inline(always)]
    fn pick(table: &[u64; 16], index: Self) -> Self {
        unsafe {
            let half = |start| _mm512_loadu_si512(table.as_ptr().add(start).cast());
            Self(_mm512_permutex2var_epi64(half(0), index.0, half(8)))
        }
    }
}
