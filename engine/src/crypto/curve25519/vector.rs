//! The way into the vector code, which the build script compiled for two kinds of processors.

use super::MAX_BATCH;

unsafe extern "C" {
    fn allium_x25519_ifma(scalar: *const [u8; 32], points: *const [u8; 32], shared: *mut [u8; 32], count: usize);
    fn allium_ed25519_ifma(
        keys: *const [u8; 32],
        s: *const [u8; 32],
        k: *const [u8; 32],
        points: *mut [u8; 32],
        count: usize,
    );
    fn allium_x25519_avx2(scalar: *const [u8; 32], points: *const [u8; 32], shared: *mut [u8; 32], count: usize);
}

/// Whether the processor has everything that the IFMA object may use.
pub(super) fn has_ifma() -> bool {
    macro_rules! all { ($($feature:tt)*) => { $(is_x86_feature_detected!($feature))&&* } }
    has_avx2()
        && all!("avx512f" "avx512bw" "avx512cd" "avx512dq" "avx512vl" "avx512ifma" "avx512vbmi" "avx512vbmi2"
            "avx512vnni" "avx512bitalg" "avx512vpopcntdq" "gfni" "vaes" "vpclmulqdq" "adx" "sha" "rdseed" "aes"
            "pclmulqdq")
}

/// Whether the processor has everything that the AVX2 object may use.
pub(super) fn has_avx2() -> bool {
    macro_rules! all { ($($feature:tt)*) => { $(is_x86_feature_detected!($feature))&&* } }
    all!("avx2" "fma" "bmi1" "bmi2" "lzcnt" "movbe" "popcnt" "f16c" "rdrand")
}

/// X25519 of `scalar` and each of `points` in eight lanes. At most [`MAX_BATCH`] points, as many as `shared`, and only
/// where [`has_ifma`].
pub(super) fn ifma(scalar: &[u8; 32], points: &[[u8; 32]], shared: &mut [[u8; 32]]) {
    assert!(points.len() == shared.len() && points.len() <= MAX_BATCH);
    // SAFETY: as many points as results; the caller has asked the processor.
    unsafe { allium_x25519_ifma(scalar, points.as_ptr(), shared.as_mut_ptr(), points.len()) };
    wipe_stack();
}

/// The same in four lanes, only where [`has_avx2`].
pub(super) fn avx2(scalar: &[u8; 32], points: &[[u8; 32]], shared: &mut [[u8; 32]]) {
    assert!(points.len() == shared.len() && points.len() <= MAX_BATCH);
    // SAFETY: as many points as results; the caller has asked the processor.
    unsafe { allium_x25519_avx2(scalar, points.as_ptr(), shared.as_mut_ptr(), points.len()) };
    wipe_stack();
}

/// s B - k A of signatures in eight lanes, encoded; no encoding where the key A is no point, or one of small order. As many
/// of each, and only where [`has_ifma`].
pub(super) fn recompute(keys: &[[u8; 32]], s: &[[u8; 32]], k: &[[u8; 32]], points: &mut [[u8; 32]]) {
    let count = points.len();
    assert!(keys.len() == count && s.len() == count && k.len() == count);
    // SAFETY: as many of each; the caller has asked the processor.
    unsafe { allium_ed25519_ifma(keys.as_ptr(), s.as_ptr(), k.as_ptr(), points.as_mut_ptr(), count) }
}

/// Writes over the stack below the caller, where the vector code kept what did not fit into registers.
#[inline(never)]
fn wipe_stack() {
    // More than the frame of either function: three arrays of vectors and the spills.
    let mut frame = [0_u8; 32 << 10];
    std::hint::black_box(&mut frame);
}
