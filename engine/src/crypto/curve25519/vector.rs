//! The way into the vector code, which the build script compiled for three kinds of processors.

use std::sync::OnceLock;

use curve25519_dalek::{EdwardsPoint, constants::ED25519_BASEPOINT_POINT};

use super::MAX_BATCH;

/// x and y of a point, in their least representatives.
pub(super) type Affine = [[u8; 32]; 2];

/// Digits of a scalar to base 32, and the odd multiples for each.
const DIGITS: usize = 51;
const ENTRIES: usize = 16;

/// Odd multiples of the base point, in a form of the vector code's own.
#[repr(C, align(64))]
struct Base([u8; DIGITS * 3 * 40 * ENTRIES]);

/// The vector code for one kind of processor. What is given to it is `count` values each, at most [`MAX_BATCH`], but
/// where it says so.
pub(super) struct Vectors {
    x25519: unsafe extern "C" fn(*const [u8; 32], *const [u8; 32], *mut [u8; 32], usize),
    decode: unsafe extern "C" fn(*const [u8; 32], *mut Affine, usize),
    prepare: unsafe extern "C" fn(*const [[Affine; ENTRIES]; DIGITS], *mut Base),
    base: unsafe extern "C" fn(*const Base, *const [u8; 32], *mut [u8; 32], usize),
    recompute: unsafe extern "C" fn(
        *const Base,
        *const Affine,
        *const Affine,
        usize,
        *const [u8; 32],
        *const [u8; 32],
        *mut [u8; 32],
        usize,
    ),
    multiples: OnceLock<Box<Base>>,
}

macro_rules! vectors {
    ($name:ident, $x25519:ident, $decode:ident, $prepare:ident, $base:ident, $recompute:ident) => {
        unsafe extern "C" {
            fn $x25519(scalar: *const [u8; 32], points: *const [u8; 32], shared: *mut [u8; 32], count: usize);
            fn $decode(keys: *const [u8; 32], points: *mut Affine, count: usize);
            fn $prepare(points: *const [[Affine; ENTRIES]; DIGITS], base: *mut Base);
            fn $base(base: *const Base, odd: *const [u8; 32], encoded: *mut [u8; 32], count: usize);
            fn $recompute(
                base: *const Base,
                low: *const Affine,
                high: *const Affine,
                highs: usize,
                odd: *const [u8; 32],
                k: *const [u8; 32],
                encoded: *mut [u8; 32],
                count: usize,
            );
        }

        pub(super) static $name: Vectors = Vectors {
            x25519: $x25519,
            decode: $decode,
            prepare: $prepare,
            base: $base,
            recompute: $recompute,
            multiples: OnceLock::new(),
        };
    };
}

vectors!(
    AVX2,
    allium_x25519_avx2,
    allium_ed25519_decode_avx2,
    allium_ed25519_prepare_avx2,
    allium_ed25519_base_avx2,
    allium_ed25519_recompute_avx2
);
vectors!(
    AVX512,
    allium_x25519_avx512,
    allium_ed25519_decode_avx512,
    allium_ed25519_prepare_avx512,
    allium_ed25519_base_avx512,
    allium_ed25519_recompute_avx512
);
vectors!(
    IFMA,
    allium_x25519_ifma,
    allium_ed25519_decode_ifma,
    allium_ed25519_prepare_ifma,
    allium_ed25519_base_ifma,
    allium_ed25519_recompute_ifma
);

/// Whether the processor has everything that the IFMA object may use.
pub(super) fn has_ifma() -> bool {
    macro_rules! all { ($($feature:tt)*) => { $(is_x86_feature_detected!($feature))&&* } }
    has_avx512()
        && all!("avx512ifma" "avx512vbmi" "avx512vbmi2" "avx512vnni" "avx512bitalg" "avx512vpopcntdq" "gfni" "vaes"
            "vpclmulqdq" "sha")
}

/// Whether the processor has everything that the AVX-512 object may use.
pub(super) fn has_avx512() -> bool {
    macro_rules! all { ($($feature:tt)*) => { $(is_x86_feature_detected!($feature))&&* } }
    has_avx2() && all!("avx512f" "avx512bw" "avx512cd" "avx512dq" "avx512vl" "adx" "rdseed" "aes" "pclmulqdq")
}

/// Whether the processor has everything that the AVX2 object may use.
pub(super) fn has_avx2() -> bool {
    macro_rules! all { ($($feature:tt)*) => { $(is_x86_feature_detected!($feature))&&* } }
    all!("avx2" "fma" "bmi1" "bmi2" "lzcnt" "movbe" "popcnt" "f16c" "rdrand")
}

/// Signatures to recompute R of.
pub(super) struct Signatures<'a> {
    /// The keys' points, negated.
    pub(super) low: &'a [Affine],
    /// 2^128 times those; as many, or none.
    pub(super) high: &'a [Affine],
    /// Of each s what [`super::sign::odd`] makes of it.
    pub(super) s: &'a [[u8; 32]],
    /// The hashes, below the order.
    pub(super) k: &'a [[u8; 32]],
}

// SAFETY, of every call here: as many values of each as it is told of; and only a processor that can run it has the
// `Vectors` (`Backend::vectors`).
impl Vectors {
    /// X25519 of `scalar` and each of `points`; at most [`MAX_BATCH`], and as many `shared`.
    pub(super) fn x25519(&self, scalar: &[u8; 32], points: &[[u8; 32]], shared: &mut [[u8; 32]]) {
        assert!(points.len() == shared.len() && points.len() <= MAX_BATCH);
        // SAFETY: as above.
        unsafe { (self.x25519)(scalar, points.as_ptr(), shared.as_mut_ptr(), points.len()) };
        wipe_stack();
    }

    /// The points of any number of keys; `None` for what is none, or of small order.
    pub(super) fn decode(&self, keys: &[[u8; 32]]) -> Vec<Option<Affine>> {
        let mut points = vec![[[0; 32]; 2]; keys.len()];
        // SAFETY: as above.
        unsafe { (self.decode)(keys.as_ptr(), points.as_mut_ptr(), keys.len()) };
        // Of what is a point, x is below p.
        points.into_iter().map(|point| (point[0] != [0xff; 32]).then_some(point)).collect()
    }

    /// The table of the base point; made when it is first needed.
    fn multiples(&self) -> &Base {
        self.multiples.get_or_init(|| {
            let mut points = Vec::with_capacity(DIGITS * ENTRIES);
            let mut power = ED25519_BASEPOINT_POINT;
            for _ in 0..DIGITS {
                let twice = power + power;
                let mut multiple = power;
                for _ in 0..ENTRIES {
                    points.push(multiple);
                    multiple += twice;
                }
                // 32 times: the last was 31 times.
                power = multiple - power;
            }
            let encoded: Vec<_> =
                EdwardsPoint::compress_batch_alloc(&points).into_iter().map(|point| point.to_bytes()).collect();
            let mut table = Box::new([[[[0; 32]; 2]; ENTRIES]; DIGITS]);
            for (to, point) in table.as_flattened_mut().iter_mut().zip(self.decode(&encoded)) {
                *to = point.unwrap_or_default();
            }
            let mut base = Box::new(Base([0; DIGITS * 3 * 40 * ENTRIES]));
            // SAFETY: as above; the vector code's table is as large as `Base`.
            unsafe { (self.prepare)(&raw const *table, &raw mut *base) };
            base
        })
    }

    /// Multiples of the base point, encoded, in constant time; `odd` are the scalars as [`super::sign::odd`] makes them. At
    /// most [`MAX_BATCH`].
    pub(super) fn multiply_base(&self, odd: &[[u8; 32]]) -> Vec<[u8; 32]> {
        assert!(odd.len() <= MAX_BATCH);
        let mut encoded = vec![[0; 32]; odd.len()];
        // SAFETY: as above.
        unsafe { (self.base)(self.multiples(), odd.as_ptr(), encoded.as_mut_ptr(), odd.len()) };
        wipe_stack();
        encoded
    }

    /// s B - k A of each of `signatures`, encoded. At most [`MAX_BATCH`].
    pub(super) fn recompute(&self, signatures: &Signatures<'_>) -> Vec<[u8; 32]> {
        let Signatures { low, high, s, k } = signatures;
        let count = low.len();
        assert!(s.len() == count && k.len() == count && count <= MAX_BATCH);
        assert!(high.len() == count || high.is_empty());
        let mut encoded = vec![[0; 32]; count];
        // SAFETY: as above.
        unsafe {
            (self.recompute)(
                self.multiples(),
                low.as_ptr(),
                high.as_ptr(),
                high.len(),
                s.as_ptr(),
                k.as_ptr(),
                encoded.as_mut_ptr(),
                count,
            );
        }
        encoded
    }
}

/// Writes over the stack below the caller, where the vector code kept what did not fit into registers.
#[inline(never)]
fn wipe_stack() {
    // More than the frames of any function: four arrays of vectors, points and the spills.
    let mut frame = [0_u8; 48 << 10];
    std::hint::black_box(&mut frame);
}
