//! Points of the Edwards curve (RFC 8032 §5.1), one in each lane. Points are calls: in one piece, the code would be four
//! times as long for a tenth of the time.
//!
//! Coordinates of a point are as fresh as products are. What is added or subtracted once can be multiplied; what is
//! subtracted of that again goes through [`Field::sub_wide`].

use super::{
    batch::{invert, powers, wipe},
    field::Field,
    lanes::Lanes,
};

/// Numbers of the lanes, as bytes.
pub(crate) type Bytes = [[u8; 32]; 8];
/// x and y of a point.
pub(crate) type Affine = [[u8; 32]; 2];

/// The curve's constant d, as bytes like the others.
const D: [u8; 32] = [
    0xa3, 0x78, 0x59, 0x13, 0xca, 0x4d, 0xeb, 0x75, 0xab, 0xd8, 0x41, 0x41, 0x4d, 0x0a, 0x70, 0x00, 0x98, 0xe8, 0x79,
    0x77, 0x79, 0x40, 0xc7, 0x8c, 0x73, 0xfe, 0x6f, 0x2b, 0xee, 0x6c, 0x03, 0x52,
];
/// A square root of -1.
const ROOT: [u8; 32] = [
    0xb0, 0xa0, 0x0e, 0x4a, 0x27, 0x1b, 0xee, 0xc4, 0x78, 0xe4, 0x2f, 0xad, 0x06, 0x18, 0x43, 0x2f, 0xa7, 0xd7, 0xfb,
    0x3d, 0x99, 0x00, 0x4d, 0x2b, 0x0b, 0xdf, 0xc1, 0x4f, 0x80, 0x24, 0x83, 0x2b,
];
/// 1/2.
const HALF: [u8; 32] = [
    0xf7, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f,
];
/// The neutral element.
pub(crate) const NEUTRAL: Affine = {
    let mut one = [0; 32];
    one[0] = 1;
    [[0; 32], one]
};
/// Vectors of one call, with four lanes each.
const GROUPS: usize = super::batch::MAX / 4;

#[inline(always)]
fn mul<F: Field>(a: &F::Operand, b: &F::Operand) -> F::Operand {
    F::carry(F::mul(a, b))
}

#[inline(always)]
fn square<F: Field>(a: &F::Operand) -> F::Operand {
    F::carry(F::square(a))
}

#[inline(always)]
fn add<F: Field>(a: &F::Operand, b: &F::Operand) -> F::Operand {
    F::carry(F::add(F::widen(a), F::widen(b)))
}

#[inline(always)]
fn sub<F: Field>(a: &F::Operand, b: &F::Operand) -> F::Operand {
    F::carry(F::sub(F::widen(a), F::widen(b)))
}

/// The least representatives.
#[inline(always)]
fn bytes<F: Field>(a: &F::Operand) -> Bytes {
    let mut bytes = [[0; 32]; 8];
    F::store(a, &mut bytes);
    bytes
}

/// All ones in the lanes where `what` holds.
#[inline(always)]
fn lanes(what: impl Fn(usize) -> bool) -> [u64; 8] {
    let mut mask = [0; 8];
    for (lane, mask) in mask.iter_mut().enumerate() {
        *mask = if what(lane) { u64::MAX } else { 0 };
    }
    mask
}

/// As many as there are lanes, and `padding` in the rest.
#[inline(always)]
pub(crate) fn padded<T: Copy>(from: &[T], padding: T) -> [T; 8] {
    let mut to = [padding; 8];
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
    to
}

/// Extended coordinates: x = X/Z, y = Y/Z, xy = T/Z.
pub(crate) struct Point<F: Field> {
    pub(crate) x: F::Operand,
    pub(crate) y: F::Operand,
    pub(crate) z: F::Operand,
    pub(crate) t: F::Operand,
}

impl<F: Field> Clone for Point<F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: Field> Copy for Point<F> {}

/// What an addition needs of the second point.
pub(crate) struct Addend<F: Field> {
    pub(crate) sum: F::Operand,
    pub(crate) difference: F::Operand,
    pub(crate) twice_z: F::Operand,
    pub(crate) twice_dt: F::Operand,
}

impl<F: Field> Clone for Addend<F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: Field> Copy for Addend<F> {}

/// Half of what an addition needs of a point whose z is 1.
pub(crate) struct Half<F: Field> {
    pub(crate) sum: F::Operand,
    pub(crate) difference: F::Operand,
    pub(crate) dt: F::Operand,
}

/// [`Half`] of sixteen points.
pub(crate) type HalfTable<F> = [<F as Field>::Table; 3];

impl<F: Field> Half<F> {
    #[inline(always)]
    fn new([x, y]: &[F::Operand; 2]) -> Self {
        let half = F::load(&[HALF; 8]);
        Self {
            sum: mul::<F>(&add::<F>(y, x), &half),
            difference: mul::<F>(&sub::<F>(y, x), &half),
            dt: mul::<F>(&mul::<F>(x, y), &F::load(&[D; 8])),
        }
    }

    /// Of sixteen points, to pick from.
    #[inline(always)]
    pub(crate) fn table(points: &[Affine; 16]) -> HalfTable<F> {
        let mut numbers = [[[0; 32]; 16]; 3];
        for start in (0..16).step_by(F::Lanes::COUNT) {
            let some = padded(&points[start..], NEUTRAL);
            let half = Self::new(&[F::load(&some.map(|[x, _]| x)), F::load(&some.map(|[_, y]| y))]);
            for (numbers, number) in numbers.iter_mut().zip([half.sum, half.difference, half.dt]) {
                for (to, from) in numbers[start..].iter_mut().zip(bytes::<F>(&number)).take(F::Lanes::COUNT) {
                    *to = from;
                }
            }
        }
        [F::table(&numbers[0]), F::table(&numbers[1]), F::table(&numbers[2])]
    }

    /// The entry that each lane of `index` names, its negative where `negative` is all ones; in constant time.
    #[inline(always)]
    pub(crate) fn pick([sum, difference, dt]: &HalfTable<F>, index: &[u64; 8], negative: &[u64; 8]) -> Self {
        let index = F::Lanes::load(index);
        let (sum, difference, dt) = (F::pick(sum, index), F::pick(difference, index), F::pick(dt, index));
        Self {
            sum: F::blend(negative, &sum, &difference),
            difference: F::blend(negative, &difference, &sum),
            dt: F::blend(negative, &dt, &sub::<F>(&F::small(0), &dt)),
        }
    }
}

impl<F: Field> Point<F> {
    #[inline(always)]
    pub(crate) fn neutral() -> Self {
        let (zero, one) = (F::small(0), F::small(1));
        Self { x: zero, y: one, z: one, t: zero }
    }

    #[inline(always)]
    pub(crate) fn of(points: &[Affine; 8]) -> Self {
        let (x, y) = (F::load(&points.map(|[x, _]| x)), F::load(&points.map(|[_, y]| y)));
        Self { x, y, z: F::small(1), t: mul::<F>(&x, &y) }
    }

    /// The points that `encoded` are, and which of them are none.
    #[inline(never)]
    pub(crate) fn decode(encoded: &Bytes) -> (Self, [u64; 8]) {
        let one = F::small(1);
        let y = F::load(encoded);
        let yy = square::<F>(&y);
        let u = sub::<F>(&yy, &one);
        let v = add::<F>(&mul::<F>(&F::load(&[D; 8]), &yy), &one);
        // The candidate for the square root of u/v.
        let v3 = mul::<F>(&square::<F>(&v), &v);
        let uv7 = mul::<F>(&mul::<F>(&square::<F>(&v3), &v), &u);
        let (e250, _) = powers::<F>(&uv7);
        let power = mul::<F>(&square::<F>(&square::<F>(&e250)), &uv7);
        let x = mul::<F>(&mul::<F>(&u, &v3), &power);
        let vxx = mul::<F>(&v, &square::<F>(&x));
        let (right, opposite) = (bytes::<F>(&F::sub_wide(&vxx, &u)), bytes::<F>(&add::<F>(&vxx, &u)));
        let turned = mul::<F>(&x, &F::load(&[ROOT; 8]));
        let x = F::blend(&lanes(|lane| right[lane] != [0; 32]), &x, &turned);
        let parity = bytes::<F>(&x);
        let flip = lanes(|lane| parity[lane][0] & 1 != encoded[lane][31] >> 7);
        let x = F::blend(&flip, &x, &F::sub_wide(&F::small(0), &x));
        let none = lanes(|lane| right[lane] != [0; 32] && opposite[lane] != [0; 32]);
        (Self { x, y, z: one, t: mul::<F>(&x, &y) }, none)
    }

    /// Doubles it; T is right only where `for_sum` says that an addition follows.
    #[inline(never)]
    pub(crate) fn double(&mut self, for_sum: bool) {
        let (xx, yy, zz) = (F::square(&self.x), F::square(&self.y), F::square(&self.z));
        let square = square::<F>(&add::<F>(&self.x, &self.y));
        let sum = F::carry(F::add(yy, xx));
        let difference = F::carry(F::sub(yy, xx));
        let x = F::sub_wide(&square, &sum);
        let t = F::sub_wide(&F::carry(F::add(zz, zz)), &difference);
        self.x = mul::<F>(&x, &t);
        self.y = mul::<F>(&sum, &difference);
        self.z = mul::<F>(&difference, &t);
        if for_sum {
            self.t = mul::<F>(&x, &sum);
        }
    }

    /// Adds `other`; complete: right for any two points.
    #[inline(never)]
    pub(crate) fn add(&mut self, other: &Addend<F>) {
        let d = F::mul(&self.z, &other.twice_z);
        self.sum(&other.sum, &other.difference, &other.twice_dt, d);
    }

    /// The same.
    #[inline(never)]
    pub(crate) fn add_half(&mut self, other: &Half<F>) {
        self.sum(&other.sum, &other.difference, &other.dt, F::widen(&self.z));
    }

    #[inline(always)]
    fn sum(&mut self, sum: &F::Operand, difference: &F::Operand, dt: &F::Operand, d: F::Product) {
        let a = F::mul(&sub::<F>(&self.y, &self.x), difference);
        let b = F::mul(&add::<F>(&self.y, &self.x), sum);
        let c = F::mul(&self.t, dt);
        let (x, y) = (F::carry(F::sub(b, a)), F::carry(F::add(b, a)));
        let (z, t) = (F::carry(F::add(d, c)), F::carry(F::sub(d, c)));
        self.x = mul::<F>(&x, &t);
        self.y = mul::<F>(&y, &z);
        self.z = mul::<F>(&z, &t);
        self.t = mul::<F>(&x, &y);
    }

    #[inline(always)]
    pub(crate) fn addend(&self) -> Addend<F> {
        let d = F::load(&[D; 8]);
        Addend {
            sum: add::<F>(&self.y, &self.x),
            difference: sub::<F>(&self.y, &self.x),
            twice_z: add::<F>(&self.z, &self.z),
            twice_dt: mul::<F>(&self.t, &add::<F>(&d, &d)),
        }
    }

    /// 0 to 8 times the point.
    #[inline(never)]
    pub(crate) fn multiples(&self) -> [Addend<F>; 9] {
        let own = self.addend();
        let mut table = [Self::neutral().addend(); 9];
        let mut multiple = *self;
        table[1] = own;
        for entry in &mut table[2..] {
            multiple.add(&own);
            *entry = multiple.addend();
        }
        table
    }
}

/// The entry of each lane's digit, its negative for negative ones.
#[inline(never)]
pub(crate) fn choose<F: Field>(table: &[Addend<F>; 9], digits: &[i8; 8]) -> Addend<F> {
    let entries = digits.map(|digit| &table[usize::from(digit.unsigned_abs()).min(8)]);
    let mut swapped = entries.map(|entry| (&entry.sum, &entry.difference));
    for (pair, digit) in swapped.iter_mut().zip(digits) {
        if *digit < 0 {
            *pair = (pair.1, pair.0);
        }
    }
    let twice_dt = F::gather(entries.map(|entry| &entry.twice_dt));
    let negative = lanes(|lane| digits[lane] < 0);
    Addend {
        sum: F::gather(swapped.map(|(sum, _)| sum)),
        difference: F::gather(swapped.map(|(_, difference)| difference)),
        twice_z: F::gather(entries.map(|entry| &entry.twice_z)),
        twice_dt: F::blend(&negative, &twice_dt, &sub::<F>(&F::small(0), &twice_dt)),
    }
}

/// Encodings of one point a lane of many vectors, with one inversion for all.
pub(crate) struct Encoder<F: Field> {
    x: [F::Operand; GROUPS],
    y: [F::Operand; GROUPS],
    z: [F::Operand; GROUPS],
    /// Products of all z before.
    before: [F::Operand; GROUPS],
    product: F::Operand,
    count: usize,
}

impl<F: Field> Encoder<F> {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        let zero = [F::small(0); GROUPS];
        Self { x: zero, y: zero, z: zero, before: zero, product: F::small(1), count: 0 }
    }

    /// Takes a point of the curve in every lane; nothing beyond [`GROUPS`].
    #[inline(always)]
    pub(crate) fn push(&mut self, point: &Point<F>) {
        let at = self.count;
        if at < GROUPS {
            (self.x[at], self.y[at], self.z[at], self.before[at]) = (point.x, point.y, point.z, self.product);
            self.product = mul::<F>(&self.product, &point.z);
            self.count += 1;
        }
    }

    /// Writes the encodings of all, and over what was kept of them.
    #[inline(never)]
    pub(crate) fn finish(mut self, encoded: &mut [[u8; 32]]) {
        let mut inverse = invert::<F>(&self.product);
        for at in (0..self.count.min(GROUPS)).rev() {
            let of_z = mul::<F>(&inverse, &self.before[at]);
            inverse = mul::<F>(&inverse, &self.z[at]);
            let (x, y) = (bytes::<F>(&mul::<F>(&self.x[at], &of_z)), bytes::<F>(&mul::<F>(&self.y[at], &of_z)));
            let to = encoded.iter_mut().skip(at * F::Lanes::COUNT).take(F::Lanes::COUNT);
            for ((to, x), y) in to.zip(&x).zip(&y) {
                *to = *y;
                to[31] |= x[0] << 7;
            }
        }
        let zero = F::small(0);
        for numbers in [&mut self.x, &mut self.y, &mut self.z, &mut self.before] {
            numbers.iter_mut().for_each(|number| wipe(number, zero));
        }
        wipe(&mut self.product, zero);
        wipe(&mut inverse, zero);
    }
}

/// Points of `keys`; x of all ones where it is none, or one of small order.
#[inline(always)]
pub(crate) fn decode_all<F: Field>(keys: &[[u8; 32]], points: &mut [Affine]) {
    let count = F::Lanes::COUNT;
    for (keys, points) in keys.chunks(count).zip(points.chunks_mut(count)) {
        let (mut point, none) = Point::<F>::decode(&padded(keys, [0; 32]));
        let (x, y) = (bytes::<F>(&point.x), bytes::<F>(&point.y));
        for _ in 0..3 {
            point.double(false);
        }
        let order = bytes::<F>(&point.x);
        for (lane, to) in points.iter_mut().enumerate().take(8) {
            let good = none[lane] == 0 && order[lane] != [0; 32];
            *to = if good { [x[lane], y[lane]] } else { [[0xff; 32], y[lane]] };
        }
    }
}
