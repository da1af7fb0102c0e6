//! Four lanes of AVX2.

use core::arch::x86_64::*;

use super::lanes::{Lanes, Mul32};

/// A register.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(__m256i);

// SAFETY, of every block here: this is compiled into an object of its own, for processors that have these
// instructions, and called on no other.
impl Lanes for Avx2 {
    const COUNT: usize = 4;

    #[inline(always)]
    fn splat(value: u64) -> Self {
        unsafe { Self(_mm256_set1_epi64x(value.cast_signed())) }
    }

    #[inline(always)]
    fn load(words: &[u64; 8]) -> Self {
        unsafe { Self(_mm256_loadu_si256(words.as_ptr().cast())) }
    }

    #[inline(always)]
    fn store(self, words: &mut [u64; 8]) {
        unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        unsafe { Self(_mm256_add_epi64(self.0, other.0)) }
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        unsafe { Self(_mm256_sub_epi64(self.0, other.0)) }
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        unsafe { Self(_mm256_and_si256(self.0, other.0)) }
    }

    #[inline(always)]
    fn shr<const N: u32>(self) -> Self {
        unsafe { Self(_mm256_srl_epi64(self.0, _mm_cvtsi32_si128(N.cast_signed()))) }
    }

    #[inline(always)]
    fn select(bit: u8, clear: Self, set: Self) -> Self {
        unsafe {
            let mask = _mm256_set1_epi64x(-i64::from(bit));
            Self(_mm256_blendv_epi8(clear.0, set.0, mask))
        }
    }

    #[inline(always)]
    fn blend(mask: Self, a: Self, b: Self) -> Self {
        unsafe { Self(_mm256_blendv_epi8(a.0, b.0, mask.0)) }
    }

    #[inline(always)]
    fn gather([a, b, c, d, ..]: [&Self; 8]) -> Self {
        unsafe {
            let word = |vector: &Self, lane| *core::ptr::from_ref(vector).cast::<i64>().add(lane);
            Self(_mm256_set_epi64x(word(d, 3), word(c, 2), word(b, 1), word(a, 0)))
        }
    }
}

impl Mul32 for Avx2 {
    #[inline(always)]
    fn mul32(self, other: Self) -> Self {
        unsafe { Self(_mm256_mul_epu32(self.0, other.0)) }
    }

    #[inline(always)]
    fn pick(table: &[u32; 16], index: Self) -> Self {
        unsafe {
            let half = |start| _mm256_loadu_si256(table.as_ptr().add(start).cast());
            let of = |half| _mm256_castsi256_ps(_mm256_permutevar8x32_epi32(half, index.0));
            // The sign says which half.
            let upper = _mm256_castsi256_ps(_mm256_slli_epi64::<28>(index.0));
            let words = _mm256_castps_si256(_mm256_blendv_ps(of(half(0)), of(half(8)), upper));
            // The upper halves have picked as well.
            Self(_mm256_and_si256(words, _mm256_set1_epi64x(0xffff_ffff)))
        }
    }
}
