//! Every backend against the standard's vectors, other implementations, and itself one by one.

use proptest::prelude::*;

use super::Backend;

fn bytes(hex: &str) -> [u8; 32] {
    hex::decode(hex).unwrap().try_into().unwrap()
}

fn backends() -> impl Iterator<Item = Backend> {
    Backend::ALL.into_iter().filter(|backend| backend.is_supported())
}

/// A program that is optimised as a whole (`lto = "fat"`) has no functions of the standard library for objects from elsewhere.
#[cfg(allium_vectors)]
#[test]
fn the_vector_code_needs_nothing_of_the_standard_library() {
    let objects: [&[u8]; 3] = [
        include_bytes!(concat!(env!("OUT_DIR"), "/ifma.o")),
        include_bytes!(concat!(env!("OUT_DIR"), "/avx512.o")),
        include_bytes!(concat!(env!("OUT_DIR"), "/avx2.o")),
    ];
    let has = |object: &[u8], name: &[u8]| object.windows(name.len()).any(|bytes| bytes == name);
    for object in objects {
        assert!(has(object, b"allium_x25519_"), "an object with its names");
        assert!(!has(object, b"panicking"));
    }
}

/// By curve25519-dalek.
pub(super) fn reference(scalar: &[u8; 32], point: &[u8; 32]) -> [u8; 32] {
    curve25519_dalek::montgomery::MontgomeryPoint(*point).mul_clamped(*scalar).0
}

/// By libsodium; zero where it refuses the point.
fn libsodium(scalar: &[u8; 32], point: &[u8; 32]) -> [u8; 32] {
    let mut shared = [0; 32];
    // SAFETY: all are 32 bytes.
    let refused =
        unsafe { libsodium_sys::crypto_scalarmult_curve25519(shared.as_mut_ptr(), scalar.as_ptr(), point.as_ptr()) };
    if refused == 0 { shared } else { [0; 32] }
}

/// Points of small order, multiples of p and their neighbours, limbs of all ones: each with and without bit 255.
pub(super) fn edge_cases() -> Vec<[u8; 32]> {
    let mut points: Vec<[u8; 32]> = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "efffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0900000000000000000000000000000000000000000000000000000000000000",
        "ffffffffffff0f00000000000000000000000000000000000000000000000000",
        "000000000000f0ffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ffffff03000000000000000000000000000000000000000000000000000000fc",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa2a",
    ]
    .map(bytes)
    .into();
    let high = points.clone();
    points.extend(high.into_iter().map(|mut point| {
        point[31] ^= 0x80;
        point
    }));
    points
}

/// A sequence that looks random and is always the same.
struct Sequence(u64);

impl Sequence {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn key(&mut self) -> [u8; 32] {
        let words: [[u8; 8]; 4] = std::array::from_fn(|_| self.next().to_le_bytes());
        words.concat().try_into().unwrap()
    }
}

/// RFC 7748 §5.2.
#[test]
fn vectors_of_the_standard() {
    for (scalar, point, want) in [
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ),
        (
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ),
    ] {
        for backend in backends() {
            for count in 1..20 {
                let mut shared = vec![[0; 32]; count];
                backend.x25519(&bytes(scalar), &vec![bytes(point); count], &mut shared);
                assert_eq!(shared, vec![bytes(want); count], "{backend:?} {count}");
            }
        }
    }
}

/// RFC 7748 §5.2: `k`, `u` = X25519(`k`, `u`), `k`, again and again; in a batch, so that vectors are used.
fn iterate(backend: Backend, count: usize) -> [u8; 32] {
    let mut scalar = bytes("0900000000000000000000000000000000000000000000000000000000000000");
    let mut point = scalar;
    let size = 2;
    for _ in 0..count {
        let mut shared = [[0; 32]; 8];
        backend.x25519(&scalar, &[point; 8][..size], &mut shared[..size]);
        (point, scalar) = (scalar, shared[size - 1]);
    }
    scalar
}

#[test]
fn a_thousand_iterations_of_the_standard() {
    let (once, thousand) = (
        "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079",
        "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51",
    );
    for backend in backends() {
        assert_eq!(iterate(backend, 1), bytes(once), "{backend:?}");
        assert_eq!(iterate(backend, 1000), bytes(thousand), "{backend:?}");
    }
}

#[test]
#[ignore = "takes minutes: make test-x25519"]
fn a_million_iterations_of_the_standard() {
    let want = bytes("7c3911e0ab2586fd864497297e575e6f3bc601c0883c30df5f4dd2d24f665424");
    for backend in backends() {
        assert_eq!(iterate(backend, 1_000_000), want, "{backend:?}");
    }
}

#[test]
fn a_hundred_thousand_inputs_as_libsodium_has_them() {
    let mut sequence = Sequence(7);
    let edges = edge_cases();
    let batches = 100_000_usize.div_ceil(64);
    for _ in 0..batches {
        let scalar = sequence.key();
        let points: [[u8; 32]; 64] = std::array::from_fn(|_| match sequence.next() % 8 {
            0 => edges[sequence.next() as usize % edges.len()],
            // Near p, below it and above.
            1 => {
                let mut point = bytes("00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
                point[0] = sequence.next() as u8;
                point
            }
            _ => sequence.key(),
        });
        let want = points.map(|point| libsodium(&scalar, &point));
        for backend in backends() {
            let mut shared = [[1; 32]; 64];
            backend.x25519(&scalar, &points, &mut shared);
            assert_eq!(shared, want, "{backend:?} {}", hex::encode(scalar));
        }
    }
}

#[test]
fn points_of_small_order_leave_the_others_alone() {
    let scalar = [77; 32];
    let edges = edge_cases();
    for bad in &edges[..8] {
        let zero = reference(&scalar, bad) == [0; 32];
        for at in 0..17 {
            let mut points: Vec<[u8; 32]> = (0..17).map(|i| [i + 2; 32]).collect();
            points[at] = *bad;
            for backend in backends() {
                let mut shared = vec![[1; 32]; points.len()];
                backend.x25519(&scalar, &points, &mut shared);
                assert_eq!(shared[at] == [0; 32], zero);
                for (point, shared) in points.iter().zip(&shared) {
                    assert_eq!(*shared, reference(&scalar, point), "{backend:?} {at}");
                }
            }
        }
    }
}

#[test]
fn names() {
    for backend in Backend::ALL {
        assert_eq!(backend.as_str().parse(), Ok(backend));
    }
    assert_eq!(
        "neon".parse::<Backend>().unwrap_err().to_string(),
        "no X25519 backend is called \"neon\": scalar, avx2, avx512, ifma"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_batch_is_its_members(scalar: [u8; 32], points in prop::collection::vec(any::<[u8; 32]>(), 0..140)) {
        for backend in backends() {
            let mut shared = vec![[0; 32]; points.len()];
            backend.x25519(&scalar, &points, &mut shared);
            for (point, shared) in points.iter().zip(&shared) {
                let mut alone = [[0; 32]];
                backend.x25519(&scalar, &[*point], &mut alone);
                prop_assert_eq!(shared, &alone[0]);
            }
        }
    }
}
