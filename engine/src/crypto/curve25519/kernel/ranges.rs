//! Proof that nothing in a ladder overflows: the same code, run on ranges of numbers instead of numbers.
//!
//! A step is run on the widest state that there may be; what it leaves must lie within that state again. So no number of
//! steps, and no input, leaves the ranges that were checked.

use super::{
    edwards::{Half, Point, choose},
    field::Field,
    field25::{self, Field25},
    field52::{self, Field52},
    ladder::LadderState,
    lanes::{Lanes, Madd52, Mul32},
};

const LIMB: u64 = (1 << 52) - 1;

/// All numbers from `low` to `high`.
#[derive(Clone, Copy, Debug)]
struct Range<const NATIVE: bool = true> {
    low: u64,
    high: u64,
}

const fn up_to<const NATIVE: bool>(high: u64) -> Range<NATIVE> {
    Range { low: 0, high }
}

impl<const NATIVE: bool> Range<NATIVE> {
    fn is_within(self, other: Self) -> bool {
        other.low <= self.low && self.high <= other.high
    }
}

impl<const NATIVE: bool> Lanes for Range<NATIVE> {
    const COUNT: usize = 1;

    #[inline(never)]
    fn splat(value: u64) -> Self {
        Self { low: value, high: value }
    }

    #[inline(never)]
    fn load(words: &[u64; 8]) -> Self {
        Self::splat(words[0])
    }

    #[inline(never)]
    fn store(self, _: &mut [u64; 8]) {
        unreachable!("ranges are not stored")
    }

    #[inline(never)]
    fn add(self, other: Self) -> Self {
        let sum = |a: u64, b| a.checked_add(b).unwrap();
        Self { low: sum(self.low, other.low), high: sum(self.high, other.high) }
    }

    #[inline(never)]
    fn sub(self, other: Self) -> Self {
        Self { low: self.low.checked_sub(other.high).unwrap(), high: self.high - other.low }
    }

    #[inline(never)]
    fn and(self, other: Self) -> Self {
        assert!(other.low == other.high && (other.low + 1).is_power_of_two(), "a mask of lower bits");
        if self.high <= other.high { self } else { up_to(other.high) }
    }

    #[inline(never)]
    fn shr<const N: u32>(self) -> Self {
        Self { low: self.low >> N, high: self.high >> N }
    }

    #[inline(never)]
    fn select(_: u8, clear: Self, set: Self) -> Self {
        Self { low: clear.low.min(set.low), high: clear.high.max(set.high) }
    }

    #[inline(never)]
    fn blend(_: Self, a: Self, b: Self) -> Self {
        Self::select(0, a, b)
    }

    #[inline(never)]
    fn gather([first, others @ ..]: [&Self; 8]) -> Self {
        others.iter().fold(*first, |all, other| Self::select(0, all, **other))
    }
}

impl<const NATIVE: bool> Madd52 for Range<NATIVE> {
    const NATIVE: bool = NATIVE;

    #[inline(never)]
    fn madd_low(self, a: Self, b: Self) -> Self {
        let most = u128::from(a.high.min(LIMB)) * u128::from(b.high.min(LIMB));
        self.add(up_to(most.min(LIMB.into()) as u64))
    }

    #[inline(never)]
    fn madd_high(self, a: Self, b: Self) -> Self {
        let most = u128::from(a.high.min(LIMB)) * u128::from(b.high.min(LIMB));
        self.add(up_to((most >> 52) as u64))
    }

    #[inline(never)]
    fn madd_small(self, a: Self, b: Self) -> Self {
        assert!(a.high >> 32 == 0 && b.high >> 32 == 0 && (a.high * b.high) >> 52 == 0);
        self.add(Self { low: a.low * b.low, high: a.high * b.high })
    }

    #[inline(never)]
    fn mul(self, other: Self) -> Self {
        Self { low: self.low * other.low, high: self.high.checked_mul(other.high).unwrap() }
    }

    #[inline(never)]
    fn pick(table: &[u64; 16], _: Self) -> Self {
        up_to(table.iter().copied().max().unwrap())
    }
}

impl<const NATIVE: bool> Mul32 for Range<NATIVE> {
    #[inline(never)]
    fn mul32(self, other: Self) -> Self {
        assert!(self.high >> 32 == 0 && other.high >> 32 == 0);
        Self { low: self.low * other.low, high: self.high * other.high }
    }

    #[inline(never)]
    fn pick(table: &[u32; 16], _: Self) -> Self {
        up_to(table.iter().copied().max().unwrap().into())
    }
}

/// Limbs that were carried: of all but the topmost only 52 bits count, so those may be anything.
const fn carried52<const NATIVE: bool>() -> field52::Limbs<Range<NATIVE>> {
    let any = up_to(u64::MAX);
    field52::Limbs([any, any, any, any, up_to(field52::TOP_CARRIED - 1)])
}

/// Sums of points whose coordinates are `fresh` have such coordinates again.
fn points_stay<F: Field>(fresh: &F::Operand, is_fresh: impl Fn(&F::Operand) -> bool) {
    let start = Point::<F> { x: *fresh, y: *fresh, z: *fresh, t: *fresh };
    let check = |step: &dyn Fn(&mut Point<F>)| {
        let mut point = start;
        step(&mut point);
        for number in [point.x, point.y, point.z, point.t] {
            assert!(is_fresh(&number));
        }
        let entry = point.addend();
        assert!(is_fresh(&entry.twice_dt));
    };
    check(&|point| point.double(true));
    check(&|point| {
        let table = [start.addend(); 9];
        point.add(&choose(&table, &[-3; 8]));
    });
    let table = [F::table(&[[0xff; 32]; 16]); 3];
    check(&|point| point.add_half(&Half::pick(&table, &[3; 8], &[u64::MAX; 8])));
}

#[test]
fn steps_in_52_bits_stay_in_their_ranges() {
    steps_in_52_bits::<true>();
    steps_in_52_bits::<false>();
}

fn steps_in_52_bits<const NATIVE: bool>() {
    type F<const NATIVE: bool> = Field52<Range<NATIVE>>;
    let carried = carried52::<NATIVE>();
    let within = |limbs: &field52::Limbs<Range<NATIVE>>| limbs.0.iter().zip(&carried.0).all(|(a, b)| a.is_within(*b));
    let u = field52::Limbs([up_to(LIMB), up_to(LIMB), up_to(LIMB), up_to(LIMB), up_to((1 << 47) - 1)]);
    assert!(within(&u), "a point as it is read");
    let state = LadderState::<F<NATIVE>> { doubled: (carried, carried), added: (carried, carried) };
    let LadderState { doubled, added } = state.step(&u, 1);
    assert!(within(&doubled.0) && within(&doubled.1) && within(&added.0) && within(&added.1));
    // Sums and differences of carried numbers, of which the formulas of Edwards curves consist beside products.
    let widened = F::<NATIVE>::widen(&carried);
    assert!(within(&F::<NATIVE>::carry(F::<NATIVE>::add(widened, widened))));
    assert!(within(&F::<NATIVE>::carry(F::<NATIVE>::sub(widened, widened))));
    points_stay::<F<NATIVE>>(&carried, within);
    // Every carry leaves the same, whatever a product is made of: inversion and batch are products and squares.
    for product in [F::<NATIVE>::mul(&carried, &carried), F::<NATIVE>::square(&carried)] {
        assert!(product.0.iter().all(|column| column.high < 1 << 63));
        assert!(within(&F::<NATIVE>::carry(product)));
    }
}

#[test]
fn steps_in_25_bits_stay_in_their_ranges() {
    type F = Field25<Range>;
    // A fresh product; two limbs have what the last carries left.
    let fresh: [Range; 10] = std::array::from_fn(|i| match i {
        1 | 5 => up_to((1 << 25) + (1 << 15)),
        _ if i % 2 == 1 => up_to((1 << 25) - 1),
        _ => up_to((1 << 26) - 1),
    });
    let fresh = field25::Limbs(fresh);
    let wide = {
        let (sum, difference) = (F::add(fresh, fresh), F::sub(fresh, fresh));
        F::select(0, &sum, &difference)
    };
    let is_within = |limbs: &field25::Limbs<Range>, of: &field25::Limbs<Range>| {
        limbs.0.iter().zip(&of.0).all(|(a, b)| a.is_within(*b))
    };
    for product in [F::mul(&wide, &wide), F::square(&wide), F::times_a24_plus(&wide, fresh), F::sub_wide(&wide, &wide)]
    {
        assert!(is_within(&product, &fresh), "{product:?}");
    }
    points_stay::<F>(&fresh, |number| is_within(number, &fresh));
    let state = LadderState::<F> { doubled: (wide, wide), added: (wide, wide) };
    let LadderState { doubled, added } = state.step(&fresh, 1);
    for of in [doubled.0, doubled.1, added.0, added.1] {
        assert!(is_within(&of, &wide), "{of:?}");
    }
}
