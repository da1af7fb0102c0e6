//! The Montgomery ladder (RFC 7748 §5) with one scalar for all lanes.

use core::hint::black_box;

use super::field::Field;

/// Both points of the ladder, each as x + z and x - z. `doubled` is the one that the last step doubled.
pub(crate) struct LadderState<F: Field> {
    pub(crate) doubled: (F::Operand, F::Operand),
    pub(crate) added: (F::Operand, F::Operand),
}

impl<F: Field> Clone for LadderState<F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: Field> Copy for LadderState<F> {}

/// x + z and x - z, of products.
#[inline(always)]
fn sum_and_difference<F: Field>(x: F::Product, z: F::Product) -> (F::Operand, F::Operand) {
    (F::carry(F::add(x, z)), F::carry(F::sub(x, z)))
}

/// x and z of twice a point.
#[inline(always)]
fn double<F: Field>((sum, difference): &(F::Operand, F::Operand)) -> (F::Product, F::Product) {
    let (aa, bb) = (F::square(sum), F::square(difference));
    let e = F::carry(F::sub(aa, bb));
    (F::mul(&F::carry(aa), &F::carry(bb)), F::mul(&e, &F::times_a24_plus(&e, aa)))
}

impl<F: Field> LadderState<F> {
    /// After the topmost bit, which is always one: the point and its double.
    #[inline(always)]
    fn start(u: &F::Operand) -> Self {
        let added = sum_and_difference::<F>(F::widen(u), F::widen(&F::small(1)));
        let (x, z) = double::<F>(&added);
        Self { doubled: sum_and_difference::<F>(x, z), added }
    }

    /// One bit. `changed`: whether it differs from the bit before, so that the other point is doubled now.
    ///
    /// The products for the sum of the points stay the same when the points change places, but for a sign that is
    /// squared away: only what is doubled has to be chosen.
    #[inline(always)]
    pub(crate) fn step(&self, u: &F::Operand, changed: u8) -> Self {
        let ((a, b), (c, d)) = (&self.doubled, &self.added);
        let aa = F::square(&F::select(changed, a, c));
        let da = F::mul(d, a);
        let bb = F::square(&F::select(changed, b, d));
        let cb = F::mul(c, b);
        let e = F::carry(F::sub(aa, bb));
        let difference = F::carry(F::sub(da, cb));
        let f = F::times_a24_plus(&e, aa);
        let sum = F::carry(F::add(da, cb));
        let square = F::carry(F::square(&difference));
        let x2 = F::mul(&F::carry(aa), &F::carry(bb));
        let x3 = F::square(&sum);
        let z2 = F::mul(&e, &f);
        let z3 = F::mul(u, &square);
        Self { doubled: sum_and_difference::<F>(x2, z2), added: sum_and_difference::<F>(x3, z3) }
    }
}

#[inline(always)]
fn bit(scalar: &[u8; 32], index: usize) -> u8 {
    scalar[index / 8 % 32] >> (index % 8) & 1
}

/// x and z of `scalar` times the points at `u`. Bit 254 is taken as one, bits 255, 2, 1 and 0 as zero (clamping).
#[inline(always)]
pub(crate) fn ladder<F: Field>(scalar: &[u8; 32], u: &F::Operand) -> (F::Operand, F::Operand) {
    let mut state = LadderState::<F>::start(u);
    let mut last = 1;
    for index in (3..254).rev() {
        let now = bit(scalar, index);
        // The compiler is not to know that this is a bit, and so has nothing to branch on.
        state = state.step(u, black_box(now ^ last));
        last = now;
    }
    let changed = black_box(last);
    let ((a, b), (c, d)) = (&state.doubled, &state.added);
    let mut point = (F::select(changed, a, c), F::select(changed, b, d));
    for _ in 0..2 {
        let (x, z) = double::<F>(&point);
        point = sum_and_difference::<F>(x, z);
    }
    let (x, z) = double::<F>(&point);
    (F::carry(x), F::carry(z))
}
