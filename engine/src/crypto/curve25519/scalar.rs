//! One at a time: AWS-LC's, which has proven assembly with ADX on x86-64 and its like on aarch64.

/// X25519 of `scalar` and `point`; zero for a point of small order.
pub(super) fn x25519(scalar: &[u8; 32], point: &[u8; 32]) -> [u8; 32] {
    let mut shared = [0; 32];
    // What it returns says whether the result is all zero, which the caller asks of every backend's results.
    // SAFETY: all three are 32 bytes.
    let _ = unsafe { aws_lc_sys::X25519(shared.as_mut_ptr(), scalar.as_ptr(), point.as_ptr()) };
    shared
}
