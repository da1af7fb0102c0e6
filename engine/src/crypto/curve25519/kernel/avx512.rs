//! Products of 52 bits on AVX-512 without IFMA: doubles multiply in its place.

use core::arch::x86_64::*;

use super::{
    doubles::{self, Doubles},
    eight::Eight,
    lanes::Madd52,
};

// SAFETY, of every block here: this is compiled into an object of its own, for processors that have these
// instructions, and called on no other.
impl Doubles for Eight {
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

impl Madd52 for Eight {
    const NATIVE: bool = false;

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
