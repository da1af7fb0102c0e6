//! Which code computes, chosen once for the process.

use std::{env, str::FromStr, sync::OnceLock};

use super::{MAX_BATCH, scalar};

/// Names a backend; what the process uses otherwise is the best that the processor has.
const CHOICE: &str = "ALLIUM_X25519";

/// Something that computes X25519.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// One public key after the other, on any processor.
    Scalar,
    /// Four at once.
    Avx2,
    /// Eight at once, with AVX-512 IFMA.
    Ifma,
}

/// The name of no backend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no X25519 backend is called {0:?}: scalar, avx2, ifma")]
pub struct UnknownBackend(String);

impl FromStr for Backend {
    type Err = UnknownBackend;

    fn from_str(name: &str) -> Result<Self, UnknownBackend> {
        let found = Self::ALL.into_iter().find(|backend| backend.as_str() == name);
        found.ok_or_else(|| UnknownBackend(name.to_owned()))
    }
}

impl Backend {
    /// From the slowest to the fastest.
    pub const ALL: [Self; 3] = [Self::Scalar, Self::Avx2, Self::Ifma];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Ifma => "ifma",
        }
    }

    /// Whether the processor can run it.
    #[must_use]
    pub fn is_supported(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(allium_vectors)]
            Self::Avx2 => super::vector::has_avx2(),
            #[cfg(allium_vectors)]
            Self::Ifma => super::vector::has_ifma(),
            #[cfg(not(allium_vectors))]
            Self::Avx2 | Self::Ifma => false,
        }
    }

    /// What this process uses: the one that `ALLIUM_X25519` names, if the processor can run it, or else the best.
    #[must_use]
    pub fn chosen() -> Self {
        static CHOSEN: OnceLock<Backend> = OnceLock::new();
        *CHOSEN.get_or_init(|| {
            let best = Self::ALL.into_iter().rev().find(|backend| backend.is_supported()).unwrap_or(Self::Scalar);
            let Ok(name) = env::var(CHOICE) else { return best };
            match name.parse::<Self>() {
                Ok(backend) if backend.is_supported() => backend,
                Ok(_) => {
                    tracing::warn!("this processor cannot do {CHOICE}={name}; using {}", best.as_str());
                    best
                }
                Err(error) => {
                    tracing::warn!("{CHOICE}: {error}; using {}", best.as_str());
                    best
                }
            }
        })
    }

    /// X25519 of `scalar` (clamped on the way) and each of `points`, into the same place of `shared`: zero for points
    /// of small order. Takes the same time for every scalar.
    ///
    /// Both are as long; what has no place in the other is passed over.
    pub fn x25519(self, scalar: &[u8; 32], points: &[[u8; 32]], shared: &mut [[u8; 32]]) {
        for (points, shared) in points.chunks(MAX_BATCH).zip(shared.chunks_mut(MAX_BATCH)) {
            let length = points.len().min(shared.len());
            // What is left over for a vector that would be almost empty costs less one by one.
            let together = self.together(length).min(length);
            let (points, alone) = points[..length].split_at(together);
            let (shared, of_alone) = shared[..length].split_at_mut(together);
            if !points.is_empty() {
                match self {
                    #[cfg(allium_vectors)]
                    Self::Avx2 => super::vector::avx2(scalar, points, shared),
                    #[cfg(allium_vectors)]
                    Self::Ifma => super::vector::ifma(scalar, points, shared),
                    _ => one_by_one(scalar, points, shared),
                }
            }
            one_by_one(scalar, alone, of_alone);
        }
    }

    /// How many of `count` are best done together (`make bench-crypto`; costs are those of a Zen 5 core, cycles).
    const fn together(self, count: usize) -> usize {
        match self {
            Self::Scalar => 0,
            // A vector costs 240,000 and the inversion 40,000; one alone 69,000.
            Self::Avx2 if count < 8 => 0,
            Self::Avx2 => count - count % 4,
            // A vector costs 75,000 and the inversion 13,000; one alone 69,000.
            Self::Ifma if count % 8 == 1 => count - 1,
            Self::Ifma => count,
        }
    }
}

fn one_by_one(scalar: &[u8; 32], points: &[[u8; 32]], shared: &mut [[u8; 32]]) {
    for (point, shared) in points.iter().zip(shared) {
        *shared = scalar::x25519(scalar, point);
    }
}
