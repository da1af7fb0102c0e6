//! Ten limbs of 26 and 25 bits in turn, for multipliers of 32 bits.

use core::{array::from_fn, marker::PhantomData};

use super::{
    field::{self, Field, each},
    lanes::{Lanes, Mul32},
};

/// Twice p: each limb is above what a limb of a fresh product can be.
const ABOVE: [u64; 10] = [
    2 * ((1 << 26) - 19),
    2 * ((1 << 25) - 1),
    2 * ((1 << 26) - 1),
    2 * ((1 << 25) - 1),
    2 * ((1 << 26) - 1),
    2 * ((1 << 25) - 1),
    2 * ((1 << 26) - 1),
    2 * ((1 << 25) - 1),
    2 * ((1 << 26) - 1),
    2 * ((1 << 25) - 1),
];

/// The field, in the lanes of `L`.
pub(crate) struct Field25<L>(PhantomData<L>);

/// Of a fresh product at most 26 and 25 bits each, and a few ones; sums and differences of two can be multiplied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limbs<L>(pub(crate) [L; 10]);

/// The limb that makes column `k` with limb `i`, and whether their product is beyond bit 255.
const fn partner(k: usize, i: usize) -> (usize, bool) {
    if i <= k { (k - i, false) } else { (k + 10 - i, true) }
}

/// Carries limb `I` of `BITS` bits into the next.
#[inline(always)]
fn pass<L: Lanes, const I: usize, const BITS: u32>(r: &mut [L; 10]) {
    r[I + 1] = r[I + 1].add(r[I].shr::<BITS>());
    r[I] = r[I].and(L::splat((1 << BITS) - 1));
}

/// Columns below 2^64 to limbs.
#[inline(always)]
fn reduce<L: Mul32>(mut r: [L; 10]) -> Limbs<L> {
    // Two chains at once.
    pass::<L, 0, 26>(&mut r);
    pass::<L, 4, 26>(&mut r);
    pass::<L, 1, 25>(&mut r);
    pass::<L, 5, 25>(&mut r);
    pass::<L, 2, 26>(&mut r);
    pass::<L, 6, 26>(&mut r);
    pass::<L, 3, 25>(&mut r);
    pass::<L, 7, 25>(&mut r);
    pass::<L, 4, 26>(&mut r);
    pass::<L, 8, 26>(&mut r);
    // 19 times what is above bit 255 could be too much for 32 bits: 16, 2 and 1.
    let over = r[9].shr::<25>();
    r[9] = r[9].and(L::splat((1 << 25) - 1));
    let twice = over.add(over);
    let eight = twice.add(twice);
    let eight = eight.add(eight);
    r[0] = r[0].add(over).add(twice).add(eight).add(eight);
    pass::<L, 0, 26>(&mut r);
    Limbs(r)
}

impl<L: Mul32> Field for Field25<L> {
    type Lanes = L;
    type Operand = Limbs<L>;
    type Product = Limbs<L>;
    type Table = [[u32; 16]; 10];

    #[inline(always)]
    fn small(value: u64) -> Limbs<L> {
        Limbs(from_fn(|i| L::splat(if i == 0 { value } else { 0 })))
    }

    #[inline(always)]
    fn load(numbers: &[[u8; 32]; 8]) -> Limbs<L> {
        let mut words = [[0; 8]; 10];
        for lane in 0..L::COUNT {
            let limbs = field::limbs::<51>(&numbers[lane]);
            for i in 0..5 {
                words[2 * i][lane] = limbs[i] & ((1 << 26) - 1);
                words[2 * i + 1][lane] = limbs[i] >> 26;
            }
        }
        Limbs(from_fn(|i| L::load(&words[i])))
    }

    #[inline(always)]
    fn store(number: &Limbs<L>, numbers: &mut [[u8; 32]; 8]) {
        let mut words = [[0; 8]; 10];
        for i in 0..10 {
            number.0[i].store(&mut words[i]);
        }
        for lane in 0..L::COUNT {
            numbers[lane] = field::bytes::<51>(from_fn(|i| words[2 * i][lane] + (words[2 * i + 1][lane] << 26)));
        }
    }

    #[inline(always)]
    fn widen(number: &Limbs<L>) -> Limbs<L> {
        *number
    }

    #[inline(always)]
    fn carry(product: Limbs<L>) -> Limbs<L> {
        product
    }

    #[inline(always)]
    fn add(a: Limbs<L>, b: Limbs<L>) -> Limbs<L> {
        Limbs(from_fn(|i| a.0[i].add(b.0[i])))
    }

    #[inline(always)]
    fn sub(a: Limbs<L>, b: Limbs<L>) -> Limbs<L> {
        Limbs(from_fn(|i| a.0[i].add(L::splat(ABOVE[i])).sub(b.0[i])))
    }

    #[inline(always)]
    fn sub_wide(a: &Limbs<L>, b: &Limbs<L>) -> Limbs<L> {
        reduce(from_fn(|i| a.0[i].add(L::splat(2 * ABOVE[i])).sub(b.0[i])))
    }

    /// A call, as is [`Self::square`]: a step of the ladder in one piece is 26 KiB of code, which processors do not
    /// keep decoded, and half as fast.
    #[inline(never)]
    fn mul(a: &Limbs<L>, b: &Limbs<L>) -> Limbs<L> {
        let (a, b) = (&a.0, &b.0);
        let nineteen = L::splat(19);
        let b19: [L; 10] = from_fn(|j| b[j].mul32(nineteen));
        // Two limbs of odd places fall half a bit short of their column.
        let a2: [L; 10] = from_fn(|i| if i % 2 == 1 { a[i].add(a[i]) } else { a[i] });
        let mut r = [L::splat(0); 10];
        each!(I, 0 1 2 3 4 5 6 7 8 9, {
            each!(J, 0 1 2 3 4 5 6 7 8 9, {
                const K: usize = (I + J) % 10;
                let left = if J % 2 == 1 { a2[I] } else { a[I] };
                r[K] = r[K].add(left.mul32(if I + J > 9 { b19[J] } else { b[J] }));
            });
        });
        reduce(r)
    }

    #[inline(never)]
    fn square(a: &Limbs<L>) -> Limbs<L> {
        let a = &a.0;
        let nineteen = L::splat(19);
        let a2: [L; 10] = from_fn(|i| a[i].add(a[i]));
        let a19: [L; 10] = from_fn(|i| if i > 4 { a[i].mul32(nineteen) } else { a[i] });
        let mut r = [L::splat(0); 10];
        each!(K, 0 1 2 3 4 5 6 7 8 9, {
            // Pairs of odd places count twice more.
            each!(I, 0 1 2 3 4 5 6 7 8 9, {
                const J: (usize, bool) = partner(K, I);
                if I <= J.0 && I % 2 == 1 && J.0 % 2 == 1 {
                    let left = if I == J.0 { a[I] } else { a2[I] };
                    r[K] = r[K].add(left.mul32(if J.1 { a19[J.0] } else { a[J.0] }));
                }
            });
            r[K] = r[K].add(r[K]);
            each!(I, 0 1 2 3 4 5 6 7 8 9, {
                const J: (usize, bool) = partner(K, I);
                if I <= J.0 && (I % 2 == 0 || J.0 % 2 == 0) {
                    let left = if I == J.0 { a[I] } else { a2[I] };
                    r[K] = r[K].add(left.mul32(if J.1 { a19[J.0] } else { a[J.0] }));
                }
            });
        });
        reduce(r)
    }

    #[inline(always)]
    fn times_a24_plus(a: &Limbs<L>, b: Limbs<L>) -> Limbs<L> {
        let factor = L::splat(121_665);
        reduce(from_fn(|i| a.0[i].mul32(factor).add(b.0[i])))
    }

    #[inline(always)]
    fn select(bit: u8, clear: &Limbs<L>, set: &Limbs<L>) -> Limbs<L> {
        Limbs(from_fn(|i| L::select(bit, clear.0[i], set.0[i])))
    }

    #[inline(always)]
    fn blend(mask: &[u64; 8], a: &Limbs<L>, b: &Limbs<L>) -> Limbs<L> {
        let mask = L::load(mask);
        Limbs(from_fn(|i| L::blend(mask, a.0[i], b.0[i])))
    }

    #[inline(always)]
    fn gather(numbers: [&Limbs<L>; 8]) -> Limbs<L> {
        Limbs(from_fn(|i| L::gather(numbers.map(|number| &number.0[i]))))
    }

    #[inline(always)]
    fn table(numbers: &[[u8; 32]; 16]) -> [[u32; 16]; 10] {
        let limbs: [[u64; 5]; 16] = from_fn(|entry| field::limbs::<51>(&numbers[entry]));
        let half = |limb: u64, odd: bool| (if odd { limb >> 26 } else { limb & ((1 << 26) - 1) }) as u32;
        from_fn(|i| from_fn(|entry| half(limbs[entry][i / 2], i % 2 == 1)))
    }

    #[inline(always)]
    fn pick(table: &[[u32; 16]; 10], index: L) -> Limbs<L> {
        Limbs(from_fn(|i| L::pick(&table[i], index)))
    }
}
