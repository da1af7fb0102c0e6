//! Eight lanes of AVX-512, with IFMA or without.

use core::arch::x86_64::*;

use super::lanes::Lanes;

/// A register.
#[derive(Clone, Copy)]
pub(crate) struct Eight(pub(super) __m512i);

// SAFETY, of every block here: this is compiled into an object of its own, for processors that have these
// instructions, and called on no other.
impl Lanes for Eight {
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
