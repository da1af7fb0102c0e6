//! The vector code as an object of its own. The build script compiles it three times, for one kind of processor each: the
//! compiler schedules the instructions of a ladder for the processor that it is told of, and what it schedules for any
//! processor is half as fast.

#![no_std]
#![allow(missing_docs, dead_code, private_interfaces, clippy::undocumented_unsafe_blocks)]

mod batch;
mod edwards;
mod field;
mod ladder;
mod lanes;
mod signature;

#[cfg(allium_avx2)]
mod avx2;
#[cfg(allium_avx512)]
mod avx512;
#[cfg(allium_avx512)]
mod doubles;
#[cfg(not(allium_avx2))]
mod eight;
#[cfg(allium_avx2)]
mod field25;
#[cfg(not(allium_avx2))]
mod field52;
#[cfg(allium_ifma)]
mod ifma;

#[cfg(allium_avx2)]
type Field = field25::Field25<avx2::Avx2>;
#[cfg(not(allium_avx2))]
type Field = field52::Field52<eight::Eight>;

/// Leaves nothing of secrets in vector registers.
#[inline(always)]
fn clear_registers() {
    // SAFETY: changes nothing but these registers.
    unsafe {
        #[cfg(not(allium_avx2))]
        core::arch::asm!(
            "vpxord zmm16, zmm16, zmm16", "vpxord zmm17, zmm17, zmm17", "vpxord zmm18, zmm18, zmm18",
            "vpxord zmm19, zmm19, zmm19", "vpxord zmm20, zmm20, zmm20", "vpxord zmm21, zmm21, zmm21",
            "vpxord zmm22, zmm22, zmm22", "vpxord zmm23, zmm23, zmm23", "vpxord zmm24, zmm24, zmm24",
            "vpxord zmm25, zmm25, zmm25", "vpxord zmm26, zmm26, zmm26", "vpxord zmm27, zmm27, zmm27",
            "vpxord zmm28, zmm28, zmm28", "vpxord zmm29, zmm29, zmm29", "vpxord zmm30, zmm30, zmm30",
            "vpxord zmm31, zmm31, zmm31",
            out("zmm16") _, out("zmm17") _, out("zmm18") _, out("zmm19") _, out("zmm20") _, out("zmm21") _,
            out("zmm22") _, out("zmm23") _, out("zmm24") _, out("zmm25") _, out("zmm26") _, out("zmm27") _,
            out("zmm28") _, out("zmm29") _, out("zmm30") _, out("zmm31") _, options(nomem, nostack),
        );
        core::arch::asm!(
            "vzeroall",
            out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _, out("ymm4") _, out("ymm5") _, out("ymm6") _,
            out("ymm7") _, out("ymm8") _, out("ymm9") _, out("ymm10") _, out("ymm11") _, out("ymm12") _,
            out("ymm13") _, out("ymm14") _, out("ymm15") _, options(nomem, nostack),
        );
    }
}

/// X25519 of `scalar` and `count` points.
///
/// # Safety
/// `points` and `shared` are `count` values each, and the processor is of the kind that this was compiled for.
#[cfg_attr(allium_ifma, unsafe(export_name = "allium_x25519_ifma"))]
#[cfg_attr(allium_avx512, unsafe(export_name = "allium_x25519_avx512"))]
#[cfg_attr(allium_avx2, unsafe(export_name = "allium_x25519_avx2"))]
pub unsafe extern "C" fn x25519(
    scalar: *const [u8; 32],
    points: *const [u8; 32],
    shared: *mut [u8; 32],
    count: usize,
) {
    // SAFETY: as above.
    unsafe {
        let points = core::slice::from_raw_parts(points, count);
        batch::batch::<Field>(&*scalar, points, core::slice::from_raw_parts_mut(shared, count));
    }
    clear_registers();
}

/// The points that `count` keys are: x and y; x of all ones for what is none, or of small order.
///
/// # Safety
/// Both are `count` values, and the processor is of the kind that this was compiled for.
#[cfg_attr(allium_ifma, unsafe(export_name = "allium_ed25519_decode_ifma"))]
#[cfg_attr(allium_avx512, unsafe(export_name = "allium_ed25519_decode_avx512"))]
#[cfg_attr(allium_avx2, unsafe(export_name = "allium_ed25519_decode_avx2"))]
pub unsafe extern "C" fn decode(keys: *const [u8; 32], points: *mut edwards::Affine, count: usize) {
    // SAFETY: as above.
    unsafe {
        let keys = core::slice::from_raw_parts(keys, count);
        edwards::decode_all::<Field>(keys, core::slice::from_raw_parts_mut(points, count));
    }
}

/// The table of the base point's multiples, from 1, 3, ..., 31 times 32^i times it.
///
/// # Safety
/// 51 times sixteen points, room for [`signature::Base`], and the processor is of the kind that this was compiled for.
#[cfg_attr(allium_ifma, unsafe(export_name = "allium_ed25519_prepare_ifma"))]
#[cfg_attr(allium_avx512, unsafe(export_name = "allium_ed25519_prepare_avx512"))]
#[cfg_attr(allium_avx2, unsafe(export_name = "allium_ed25519_prepare_avx2"))]
pub unsafe extern "C" fn prepare(
    points: *const [[edwards::Affine; signature::ENTRIES]; signature::BASE_DIGITS],
    base: *mut signature::Base<Field>,
) {
    // SAFETY: as above.
    unsafe { signature::prepare::<Field>(&*points, &mut *base) }
}

/// `count` multiples of the base point, encoded.
///
/// # Safety
/// `odd` and `encoded` are `count` values each, at most 64; `base` is of [`prepare`]; and the processor is of the kind
/// that this was compiled for.
#[cfg_attr(allium_ifma, unsafe(export_name = "allium_ed25519_base_ifma"))]
#[cfg_attr(allium_avx512, unsafe(export_name = "allium_ed25519_base_avx512"))]
#[cfg_attr(allium_avx2, unsafe(export_name = "allium_ed25519_base_avx2"))]
pub unsafe extern "C" fn multiply_base(
    base: *const signature::Base<Field>,
    odd: *const [u8; 32],
    encoded: *mut [u8; 32],
    count: usize,
) {
    // SAFETY: as above.
    unsafe {
        let odd = core::slice::from_raw_parts(odd, count);
        signature::multiply_base::<Field>(&*base, odd, core::slice::from_raw_parts_mut(encoded, count));
    }
    clear_registers();
}

/// s B - k A for `count` signatures, encoded. `low` and `high` are points, the negatives of the keys and 2^128 times those;
/// `highs` of the latter, which is `count` or 0.
///
/// # Safety
/// All others are `count` values, at most 64; `base` is of [`prepare`]; and the processor is of the kind that this was
/// compiled for.
#[cfg_attr(allium_ifma, unsafe(export_name = "allium_ed25519_recompute_ifma"))]
#[cfg_attr(allium_avx512, unsafe(export_name = "allium_ed25519_recompute_avx512"))]
#[cfg_attr(allium_avx2, unsafe(export_name = "allium_ed25519_recompute_avx2"))]
pub unsafe extern "C" fn recompute(
    base: *const signature::Base<Field>,
    low: *const edwards::Affine,
    high: *const edwards::Affine,
    highs: usize,
    odd: *const [u8; 32],
    k: *const [u8; 32],
    encoded: *mut [u8; 32],
    count: usize,
) {
    // SAFETY: as above.
    unsafe {
        let of = |pointer| core::slice::from_raw_parts(pointer, count);
        let keys = signature::Keys {
            low: core::slice::from_raw_parts(low, count),
            high: core::slice::from_raw_parts(high, highs),
        };
        let encoded = core::slice::from_raw_parts_mut(encoded, count);
        signature::recompute::<Field>(&*base, &keys, of(odd), of(k), encoded);
    }
}
