//! The code that there is for different processors.

use std::str::FromStr;

#[cfg(allium_vectors)]
use super::vector::{self, Vectors};
use super::{MAX_BATCH, scalar};

/// Something that computes X25519, and what Ed25519 needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// One public key after the other, on any processor.
    Scalar,
    /// Four at once, with AVX2.
    Avx2,
    /// Eight at once, with AVX-512 but without its IFMA.
    Avx512,
    /// Eight at once, with AVX-512 IFMA.
    Ifma,
}

/// The name of no backend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no X25519 backend is called {0:?}: scalar, avx2, avx512, ifma")]
pub struct UnknownBackend(String);

impl FromStr for Backend {
    type Err = UnknownBackend;

    fn from_str(name: &str) -> Result<Self, UnknownBackend> {
        let found = Self::ALL.into_iter().find(|backend| backend.as_str() == name);
        found.ok_or_else(|| UnknownBackend(name.to_owned()))
    }
}

impl Backend {
    /// The scalar one first.
    pub const ALL: [Self; 4] = [Self::Scalar, Self::Avx2, Self::Avx512, Self::Ifma];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Ifma => "ifma",
        }
    }

    /// Whether the processor can run it.
    #[must_use]
    pub fn is_supported(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(allium_vectors)]
            Self::Avx2 => vector::has_avx2(),
            #[cfg(allium_vectors)]
            Self::Avx512 => vector::has_avx512(),
            #[cfg(allium_vectors)]
            Self::Ifma => vector::has_ifma(),
            #[cfg(not(allium_vectors))]
            Self::Avx2 | Self::Avx512 | Self::Ifma => false,
        }
    }

    /// How many it does in one vector.
    pub(super) const fn lanes(self) -> usize {
        match self {
            Self::Scalar => 1,
            Self::Avx2 => 4,
            Self::Avx512 | Self::Ifma => 8,
        }
    }

    /// Its vector code, where the processor can run it.
    #[cfg(allium_vectors)]
    pub(super) fn vectors(self) -> Option<&'static Vectors> {
        let vectors = match self {
            Self::Scalar => return None,
            Self::Avx2 => &vector::AVX2,
            Self::Avx512 => &vector::AVX512,
            Self::Ifma => &vector::IFMA,
        };
        self.is_supported().then_some(vectors)
    }

    /// X25519 of `scalar` (clamped on the way) and each of `points`, into the same place of `shared`: zero for points
    /// of small order. Takes the same time for every scalar.
    ///
    /// Both are as long; what has no place in the other is passed over.
    pub fn x25519(self, scalar: &[u8; 32], points: &[[u8; 32]], shared: &mut [[u8; 32]]) {
        #[cfg(allium_vectors)]
        if let Some(vectors) = self.vectors() {
            for (points, shared) in points.chunks(MAX_BATCH).zip(shared.chunks_mut(MAX_BATCH)) {
                let length = points.len().min(shared.len());
                vectors.x25519(scalar, &points[..length], &mut shared[..length]);
            }
            return;
        }
        one_by_one(scalar, points, shared);
    }
}

/// The same with none at once.
pub(super) fn one_by_one(scalar: &[u8; 32], points: &[[u8; 32]], shared: &mut [[u8; 32]]) {
    for (point, shared) in points.iter().zip(shared) {
        *shared = scalar::x25519(scalar, point);
    }
}
