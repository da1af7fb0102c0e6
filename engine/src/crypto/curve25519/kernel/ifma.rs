//! Products of 52 bits with IFMA.

use core::arch::x86_64::*;

use super::{eight::Eight, lanes::Madd52};

// SAFETY, of every block here: this is compiled into an object of its own, for processors that have these
// instructions, and called on no other.
impl Madd52 for Eight {
    const NATIVE: bool = true;

    #[inline(always)]
    fn madd_low(self, a: Self, b: Self) -> Self {
        unsafe { Self(_mm512_madd52lo_epu64(self.0, a.0, b.0)) }
    }

    #[inline(always)]
    fn madd_high(self, a: Self, b: Self) -> Self {
        unsafe { Self(_mm512_madd52hi_epu64(self.0, a.0, b.0)) }
    }

    #[inline(always)]
    fn madd_small(self, a: Self, b: Self) -> Self {
        self.madd_low(a, b)
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
