//! Five limbs of 52 bits. 2^260 = 608 modulo p, so the lower and upper halves of `vpmadd52` fall into the same columns.

use core::{array::from_fn, marker::PhantomData};

use super::{
    field::{self, Field, each},
    lanes::Madd52,
};

const LIMB: u64 = (1 << 52) - 1;
/// The topmost limb ends at bit 255.
const TOP: u64 = (1 << 47) - 1;
/// What the topmost limb is below once it was carried.
pub(crate) const TOP_CARRIED: u64 = TOP + (1 << 12) + 2;
/// Column 9 is the upper half of one product: times [`FOLD`] it is below 2^52.
const _: () = assert!(((TOP_CARRIED as u128 * TOP_CARRIED as u128) >> 52) * (FOLD as u128) < 1 << 52);
/// 2^260 modulo p.
const FOLD: u64 = 608;
/// A multiple of p with every limb above what a column of a fresh product can be.
const ABOVE: [u64; 5] = [(LIMB - 18) << 11, LIMB << 11, LIMB << 11, LIMB << 11, TOP << 11];

/// The field, in the lanes of `L`.
pub(crate) struct Field52<L>(PhantomData<L>);

/// Carried limbs. Bits 52 and up of all but the topmost were added to the next one and do not count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limbs<L>(pub(crate) [L; 5]);

/// Columns of a product, not carried: of a fresh one each below 2^63.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns<L>(pub(crate) [L; 5]);

/// Columns 0 to 4 and, times 2^260, columns 5 to 9.
#[inline(always)]
fn fold<L: Madd52>(low: [L; 5], high: [L; 5]) -> Columns<L> {
    let factor = L::splat(FOLD);
    if L::NATIVE {
        // 17 instructions, where a product of 64 bits is three, and one that takes long.
        let mut sum = low;
        for i in 0..4 {
            sum[i] = sum[i].madd_low(high[i], factor);
            sum[i + 1] = sum[i + 1].madd_high(high[i], factor).madd_small(high[i].shr::<52>(), factor);
        }
        sum[4] = sum[4].madd_low(high[4], factor);
        return Columns(sum);
    }
    let [u5, u6, u7, u8, u9] = high;
    let limb = L::splat(LIMB);
    // Two are carried, so that the products fit.
    let u6 = u6.add(u5.shr::<52>());
    let u7 = u7.add(u6.shr::<52>());
    let folded = [u5.and(limb).mul(factor), u6.and(limb).mul(factor), u7.mul(factor), u8.mul(factor), u9.mul(factor)];
    Columns(from_fn(|i| low[i].add(folded[i])))
}

impl<L: Madd52> Field for Field52<L> {
    type Lanes = L;
    type Operand = Limbs<L>;
    type Product = Columns<L>;
    type Table = [[u64; 16]; 5];

    #[inline(always)]
    fn small(value: u64) -> Limbs<L> {
        let zero = L::splat(0);
        Limbs([L::splat(value), zero, zero, zero, zero])
    }

    #[inline(always)]
    fn load(numbers: &[[u8; 32]; 8]) -> Limbs<L> {
        let mut words = [[0; 8]; 5];
        for lane in 0..L::COUNT {
            let limbs = field::limbs::<52>(&numbers[lane]);
            for i in 0..5 {
                words[i][lane] = limbs[i];
            }
        }
        Limbs(from_fn(|i| L::load(&words[i])))
    }

    #[inline(always)]
    fn store(number: &Limbs<L>, numbers: &mut [[u8; 32]; 8]) {
        let mut words = [[0; 8]; 5];
        for i in 0..5 {
            number.0[i].store(&mut words[i]);
        }
        for lane in 0..L::COUNT {
            let limbs = from_fn(|i| if i < 4 { words[i][lane] & LIMB } else { words[i][lane] });
            numbers[lane] = field::bytes::<52>(limbs);
        }
    }

    #[inline(always)]
    fn widen(number: &Limbs<L>) -> Columns<L> {
        let limb = L::splat(LIMB);
        Columns(from_fn(|i| if i < 4 { number.0[i].and(limb) } else { number.0[i] }))
    }

    /// From the top down and round, exactly: no value of the columns makes it fail.
    #[inline(always)]
    fn carry(product: Columns<L>) -> Limbs<L> {
        let [r0, r1, r2, r3, r4] = product.0;
        let over = r4.shr::<47>();
        let r4 = r4.and(L::splat(TOP));
        let r0 = r0.madd_small(over, L::splat(19));
        let r1 = r1.add(r0.shr::<52>());
        let r2 = r2.add(r1.shr::<52>());
        let r3 = r3.add(r2.shr::<52>());
        let r4 = r4.add(r3.shr::<52>());
        Limbs([r0, r1, r2, r3, r4])
    }

    #[inline(always)]
    fn add(a: Columns<L>, b: Columns<L>) -> Columns<L> {
        Columns(from_fn(|i| a.0[i].add(b.0[i])))
    }

    #[inline(always)]
    fn sub(a: Columns<L>, b: Columns<L>) -> Columns<L> {
        Columns(from_fn(|i| a.0[i].add(L::splat(ABOVE[i])).sub(b.0[i])))
    }

    #[inline(always)]
    fn sub_wide(a: &Limbs<L>, b: &Limbs<L>) -> Limbs<L> {
        Self::carry(Self::sub(Self::widen(a), Self::widen(b)))
    }

    // In the lanes of tests it is very long.
    #[cfg_attr(not(test), inline(always))]
    #[cfg_attr(test, inline(never))]
    fn mul(a: &Limbs<L>, b: &Limbs<L>) -> Columns<L> {
        let (a, b) = (&a.0, &b.0);
        let zero = L::splat(0);
        let mut columns = [zero; 10];
        columns[5] = columns[5].madd_high(a[0], b[4]).madd_high(a[4], b[0]);
        // The upper ones first: they have a longer way to go.
        each!(I, 1 2 3 4, {
            each!(J, 1 2 3 4, {
                if I + J > 4 {
                    columns[I + J] = columns[I + J].madd_low(a[I], b[J]);
                    columns[I + J + 1] = columns[I + J + 1].madd_high(a[I], b[J]);
                }
            });
        });
        each!(I, 1 2 3, {
            columns[5] = columns[5].madd_high(a[I], b[4 - I]);
        });
        each!(I, 0 1 2 3 4, {
            each!(J, 0 1 2 3 4, {
                if I + J < 5 {
                    columns[I + J] = columns[I + J].madd_low(a[I], b[J]);
                }
                if I + J < 4 {
                    columns[I + J + 1] = columns[I + J + 1].madd_high(a[I], b[J]);
                }
            });
        });
        let [low @ .., r5, r6, r7, r8, r9] = columns;
        fold(low, [r5, r6, r7, r8, r9])
    }

    #[cfg_attr(not(test), inline(always))]
    #[cfg_attr(test, inline(never))]
    fn square(a: &Limbs<L>) -> Columns<L> {
        let a = &a.0;
        let zero = L::splat(0);
        // Products of two different limbs, once; they count twice.
        let mut mixed = [zero; 10];
        each!(I, 0 1 2 3 4, {
            each!(J, 1 2 3 4, {
                if I < J {
                    mixed[I + J] = mixed[I + J].madd_low(a[I], a[J]);
                    mixed[I + J + 1] = mixed[I + J + 1].madd_high(a[I], a[J]);
                }
            });
        });
        let twice = |k: usize| mixed[k].add(mixed[k]);
        let high = [
            twice(5).madd_high(a[2], a[2]),
            twice(6).madd_low(a[3], a[3]),
            twice(7).madd_high(a[3], a[3]),
            twice(8).madd_low(a[4], a[4]),
            zero.madd_high(a[4], a[4]),
        ];
        let low = [
            zero.madd_low(a[0], a[0]),
            twice(1).madd_high(a[0], a[0]),
            twice(2).madd_low(a[1], a[1]),
            twice(3).madd_high(a[1], a[1]),
            twice(4).madd_low(a[2], a[2]),
        ];
        fold(low, high)
    }

    #[inline(always)]
    fn times_a24_plus(a: &Limbs<L>, b: Columns<L>) -> Limbs<L> {
        let factor = L::splat(121_665);
        let mut sum = b.0;
        for i in 0..5 {
            sum[i] = sum[i].madd_low(a.0[i], factor);
            if i < 4 {
                sum[i + 1] = sum[i + 1].madd_high(a.0[i], factor);
            }
        }
        let over = L::splat(0).madd_high(a.0[4], factor);
        sum[0] = sum[0].madd_small(over, L::splat(FOLD));
        Self::carry(Columns(sum))
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
    fn table(numbers: &[[u8; 32]; 16]) -> [[u64; 16]; 5] {
        let limbs: [[u64; 5]; 16] = from_fn(|entry| field::limbs::<52>(&numbers[entry]));
        from_fn(|i| from_fn(|entry| limbs[entry][i]))
    }

    #[inline(always)]
    fn pick(table: &[[u64; 16]; 5], index: L) -> Limbs<L> {
        Limbs(from_fn(|i| L::pick(&table[i], index)))
    }
}
