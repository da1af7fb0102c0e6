//! Ed25519 verification's arithmetic (RFC 8032 §5.1), a signature in each lane. Everything here is public: its time may
//! depend on it. Points are calls: in one piece, the code would be four times as long for a tenth of the time.

use super::{
    batch::powers,
    field::Field,
    field52::{Field52, Limbs},
    lanes::Madd52,
};

type F<L> = Field52<L>;
type Number<L> = Limbs<L>;
type Bytes = [[u8; 32]; 8];

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
/// The base point: y is 4/5, x even.
const BASE: [u8; 32] = [
    0x58, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
    0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
];
/// Digits of a scalar to base 16, from -8 to 8.
const DIGITS: usize = 64;

#[inline(always)]
fn mul<L: Madd52>(a: &Number<L>, b: &Number<L>) -> Number<L> {
    F::carry(F::mul(a, b))
}

#[inline(always)]
fn square<L: Madd52>(a: &Number<L>) -> Number<L> {
    F::carry(F::square(a))
}

#[inline(always)]
fn add<L: Madd52>(a: &Number<L>, b: &Number<L>) -> Number<L> {
    F::carry(F::add(F::widen(a), F::widen(b)))
}

#[inline(always)]
fn sub<L: Madd52>(a: &Number<L>, b: &Number<L>) -> Number<L> {
    F::carry(F::sub(F::widen(a), F::widen(b)))
}

/// The least representatives.
#[inline(always)]
fn bytes<L: Madd52>(a: &Number<L>) -> Bytes {
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

/// Extended coordinates: x = X/Z, y = Y/Z, xy = T/Z.
#[derive(Clone, Copy)]
struct Point<L> {
    x: Number<L>,
    y: Number<L>,
    z: Number<L>,
    t: Number<L>,
}

/// What an addition needs of the second point.
#[derive(Clone, Copy)]
struct Addend<L> {
    sum: Number<L>,
    difference: Number<L>,
    twice_z: Number<L>,
    twice_dt: Number<L>,
}

impl<L: Madd52> Point<L> {
    #[inline(always)]
    fn identity() -> Self {
        let (zero, one) = (F::small(0), F::small(1));
        Self { x: zero, y: one, z: one, t: zero }
    }

    /// The points that `encoded` are, their negatives where `negate`; which of them are none.
    #[inline(never)]
    fn decode(encoded: &Bytes, negate: bool) -> (Self, [u64; 8]) {
        let one = F::small(1);
        let y = F::load(encoded);
        let yy = square(&y);
        let u = sub(&yy, &one);
        let v = add(&mul(&F::load(&[D; 8]), &yy), &one);
        // The candidate for the square root of u/v.
        let v3 = mul(&square(&v), &v);
        let uv7 = mul(&mul(&square(&v3), &v), &u);
        let (e250, _) = powers::<F<L>>(&uv7);
        let power = mul(&square(&square(&e250)), &uv7);
        let x = mul(&mul(&u, &v3), &power);
        let vxx = mul(&v, &square(&x));
        let (right, opposite) = (bytes(&sub(&vxx, &u)), bytes(&add(&vxx, &u)));
        let turned = mul(&x, &F::load(&[ROOT; 8]));
        let x = F::blend(&lanes(|lane| right[lane] != [0; 32]), &x, &turned);
        let parity = bytes(&x);
        let flip = lanes(|lane| (parity[lane][0] & 1 == encoded[lane][31] >> 7) == negate);
        let x = F::blend(&flip, &x, &sub(&F::small(0), &x));
        let none = lanes(|lane| right[lane] != [0; 32] && opposite[lane] != [0; 32]);
        (Self { x, y, z: one, t: mul(&x, &y) }, none)
    }

    #[inline(never)]
    fn double(&self) -> Self {
        let (xx, yy, zz) = (F::square(&self.x), F::square(&self.y), F::square(&self.z));
        let square = square(&add(&self.x, &self.y));
        let sum = F::carry(F::add(yy, xx));
        let difference = F::carry(F::sub(yy, xx));
        let x = sub(&square, &sum);
        let t = sub(&F::carry(F::add(zz, zz)), &difference);
        Self { x: mul(&x, &t), y: mul(&sum, &difference), z: mul(&difference, &t), t: mul(&x, &sum) }
    }

    /// Complete: right for any two points.
    #[inline(never)]
    fn plus(&self, other: &Addend<L>) -> Self {
        let a = F::mul(&sub(&self.y, &self.x), &other.difference);
        let b = F::mul(&add(&self.y, &self.x), &other.sum);
        let c = F::mul(&self.t, &other.twice_dt);
        let d = F::mul(&self.z, &other.twice_z);
        let (x, y) = (F::carry(F::sub(b, a)), F::carry(F::add(b, a)));
        let (z, t) = (F::carry(F::add(d, c)), F::carry(F::sub(d, c)));
        Self { x: mul(&x, &t), y: mul(&y, &z), z: mul(&z, &t), t: mul(&x, &y) }
    }

    #[inline(always)]
    fn addend(&self) -> Addend<L> {
        let d = F::load(&[D; 8]);
        Addend {
            sum: add(&self.y, &self.x),
            difference: sub(&self.y, &self.x),
            twice_z: add(&self.z, &self.z),
            twice_dt: mul(&self.t, &add(&d, &d)),
        }
    }

    /// 0 to 8 times the point.
    #[inline(never)]
    fn multiples(&self) -> [Addend<L>; 9] {
        let own = self.addend();
        let mut table = [Self::identity().addend(); 9];
        let mut multiple = *self;
        for entry in &mut table[1..] {
            *entry = multiple.addend();
            multiple = multiple.plus(&own);
        }
        table
    }

    #[inline(never)]
    fn encode(&self) -> Bytes {
        let (e250, z11) = powers::<F<L>>(&self.z);
        let mut inverse = e250;
        for _ in 0..5 {
            inverse = square(&inverse);
        }
        let inverse = mul(&inverse, &z11);
        let x = bytes(&mul(&self.x, &inverse));
        let mut encoded = bytes(&mul(&self.y, &inverse));
        for (encoded, x) in encoded.iter_mut().zip(&x) {
            encoded[31] |= x[0] << 7;
        }
        encoded
    }
}

/// The entry of each lane's digit, negated for negative ones.
#[inline(never)]
fn choose<L: Madd52>(table: &[Addend<L>; 9], digits: &[i8; 8]) -> Addend<L> {
    let mut chosen = table[0];
    for (value, entry) in table.iter().enumerate().skip(1) {
        let mask = lanes(|lane| usize::from(digits[lane].unsigned_abs()) == value);
        chosen = Addend {
            sum: F::blend(&mask, &chosen.sum, &entry.sum),
            difference: F::blend(&mask, &chosen.difference, &entry.difference),
            twice_z: F::blend(&mask, &chosen.twice_z, &entry.twice_z),
            twice_dt: F::blend(&mask, &chosen.twice_dt, &entry.twice_dt),
        };
    }
    let negative = lanes(|lane| digits[lane] < 0);
    Addend {
        sum: F::blend(&negative, &chosen.sum, &chosen.difference),
        difference: F::blend(&negative, &chosen.difference, &chosen.sum),
        twice_dt: F::blend(&negative, &chosen.twice_dt, &sub(&F::small(0), &chosen.twice_dt)),
        ..chosen
    }
}

/// `scalars`, each below 2^253, to base 16, the lowest digits first.
#[inline(always)]
fn digits(scalars: &Bytes) -> [[i8; 8]; DIGITS] {
    let mut digits = [[0; 8]; DIGITS];
    for lane in 0..8 {
        let mut carry = 0;
        for (place, digits) in digits.iter_mut().enumerate() {
            let digit = (scalars[lane][place / 2] >> (4 * (place % 2)) & 15).cast_signed() + carry;
            carry = (digit + 8) >> 4;
            digits[lane] = digit - (carry << 4);
        }
    }
    digits
}

/// s B - k A of each lane, encoded, in which `keys` are the A: what R must be. And all ones where A is no point, or one of
/// small order.
#[inline(always)]
pub(crate) fn recompute<L: Madd52>(keys: &Bytes, s: &Bytes, k: &Bytes) -> (Bytes, [u64; 8]) {
    let (a, none) = Point::<L>::decode(keys, true);
    let order = bytes(&a.double().double().double().x);
    let bad = lanes(|lane| none[lane] != 0 || order[lane] == [0; 32]);
    let (base, _) = Point::<L>::decode(&[BASE; 8], false);
    let (of_base, of_key) = (base.multiples(), a.multiples());
    let (s, k) = (digits(s), digits(k));
    let mut sum = Point::identity();
    for (s, k) in s.iter().zip(&k).rev() {
        for _ in 0..4 {
            sum = sum.double();
        }
        sum = sum.plus(&choose(&of_base, s)).plus(&choose(&of_key, k));
    }
    (sum.encode(), bad)
}

/// [`recompute`] for any number: into `points`, or nothing like a point where the key is bad.
#[inline(always)]
pub(crate) fn recompute_all<L: Madd52>(keys: &[[u8; 32]], s: &[[u8; 32]], k: &[[u8; 32]], points: &mut [[u8; 32]]) {
    for (((keys, s), k), points) in keys.chunks(8).zip(s.chunks(8)).zip(k.chunks(8)).zip(points.chunks_mut(8)) {
        let eight = |from: &[[u8; 32]]| {
            let mut to = [[0; 32]; 8];
            for (to, from) in to.iter_mut().zip(from) {
                *to = *from;
            }
            to
        };
        let (found, bad) = recompute::<L>(&eight(keys), &eight(s), &eight(k));
        for ((to, found), bad) in points.iter_mut().zip(found).zip(bad) {
            // y of all ones is above p: no encoding that is compared with.
            *to = if bad == 0 { found } else { [0xff; 32] };
        }
    }
}
