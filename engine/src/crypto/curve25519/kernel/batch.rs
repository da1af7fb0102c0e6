//! Many public keys and one scalar: ladders side by side, one inversion for all.

use core::sync::atomic::{Ordering, compiler_fence};

use super::{field::Field, ladder::ladder, lanes::Lanes};

/// Public keys of one call, at most.
pub(crate) const MAX: usize = 64;
/// Vectors that they take, with four lanes each.
const GROUPS: usize = MAX / 4;

/// `a`, squared `count` times.
#[inline(always)]
fn squares<F: Field>(a: &F::Operand, count: u32) -> F::Operand {
    let mut a = *a;
    for _ in 0..count {
        a = F::carry(F::square(&a));
    }
    a
}

/// z^(2^250 - 1) and z^11.
#[inline(always)]
pub(crate) fn powers<F: Field>(z: &F::Operand) -> (F::Operand, F::Operand) {
    let mul = |a: &F::Operand, b: &F::Operand| F::carry(F::mul(a, b));
    let squares = squares::<F>;
    // Named after the exponent: e5 is z^(2^5 - 1).
    let z2 = squares(z, 1);
    let z9 = mul(&squares(&z2, 2), z);
    let z11 = mul(&z9, &z2);
    let e5 = mul(&squares(&z11, 1), &z9);
    let e10 = mul(&squares(&e5, 5), &e5);
    let e20 = mul(&squares(&e10, 10), &e10);
    let e40 = mul(&squares(&e20, 20), &e20);
    let e50 = mul(&squares(&e40, 10), &e10);
    let e100 = mul(&squares(&e50, 50), &e50);
    let e200 = mul(&squares(&e100, 100), &e100);
    (mul(&squares(&e200, 50), &e50), z11)
}

/// z^(p-2).
#[inline(always)]
pub(crate) fn invert<F: Field>(z: &F::Operand) -> F::Operand {
    let (e250, z11) = powers::<F>(z);
    F::carry(F::mul(&squares::<F>(&e250, 5), &z11))
}

/// All ones where the number is zero.
#[inline(always)]
fn zeros<F: Field>(number: &F::Operand) -> [u64; 8] {
    let mut numbers = [[1; 32]; 8];
    F::store(number, &mut numbers);
    let mut mask = [0; 8];
    for (mask, bytes) in mask.iter_mut().zip(&numbers) {
        let any = bytes.iter().fold(0, |any, byte| any | byte);
        *mask = 0u64.wrapping_sub(u64::from(any).wrapping_sub(1) >> 63);
    }
    mask
}

/// Writes over what `value` was, whatever the compiler thinks of it.
#[inline(always)]
pub(crate) fn wipe<T: Copy>(value: &mut T, with: T) {
    // SAFETY: a valid, exclusive reference.
    unsafe { core::ptr::write_volatile(value, with) };
    compiler_fence(Ordering::SeqCst);
}

/// X25519 of `scalar` and each of `points`, into `shared`; zero for points of small order. Nothing beyond [`MAX`].
#[inline(always)]
pub(crate) fn batch<F: Field>(scalar: &[u8; 32], points: &[[u8; 32]], shared: &mut [[u8; 32]]) {
    let lanes = F::Lanes::COUNT;
    let (zero, one) = (F::small(0), F::small(1));
    let mut x = [zero; GROUPS];
    let mut z = [zero; GROUPS];
    // Products of all z before.
    let mut before = [zero; GROUPS];
    let mut product = one;
    let mut buffer = [[0; 32]; 8];
    let groups = points.chunks(lanes).zip(&mut x).zip(&mut z).zip(&mut before);
    for (((points, x), z), before) in groups {
        for (to, point) in buffer.iter_mut().zip(points) {
            *to = *point;
        }
        let (of_x, of_z) = ladder::<F>(scalar, &F::load(&buffer));
        // A lane without an inverse becomes 0/1, so that the others have theirs.
        let none = zeros::<F>(&of_z);
        *x = F::blend(&none, &of_x, &zero);
        *z = F::blend(&none, &of_z, &one);
        *before = product;
        product = F::carry(F::mul(&product, z));
    }
    let mut inverse = invert::<F>(&product);
    // Backwards: each time the inverse of the product up to here.
    for group in (0..GROUPS).rev() {
        let Some(shared) = shared.get_mut(group * lanes..) else { continue };
        if shared.is_empty() {
            continue;
        }
        let (x, z, before) = (&x[group], &z[group], &before[group]);
        let of_z = F::carry(F::mul(&inverse, before));
        inverse = F::carry(F::mul(&inverse, z));
        F::store(&F::carry(F::mul(x, &of_z)), &mut buffer);
        for (to, bytes) in shared.iter_mut().zip(&buffer).take(lanes) {
            *to = *bytes;
        }
    }
    for vectors in [&mut x, &mut z, &mut before] {
        vectors.iter_mut().for_each(|vector| wipe(vector, zero));
    }
    wipe(&mut product, zero);
    wipe(&mut inverse, zero);
    wipe(&mut buffer, [[0; 32]; 8]);
}
