//! Verifies the signatures of requests, those that wait together. What was verified is not remembered.

use std::io;

use crate::{
    batch::{BatchSizes, Batcher, Full, Source},
    crypto::{Proof, verify_many},
    metrics::Distribution,
};

/// A longer text takes longer to hash than to hand over.
const SHORT: usize = 16 << 10;

/// The threads that verify.
pub struct Verifier(Batcher<Proof, bool>);

impl Verifier {
    /// With `threads` threads.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn start(threads: usize) -> io::Result<Self> {
        Batcher::start("allium-verify", threads, |proofs: Vec<Proof>| verify_many(&proofs)).map(Self)
    }

    /// Whether every one of `proofs` holds; a short one on the spot, when no other is.
    ///
    /// # Errors
    /// [`Full`].
    pub async fn all(&self, from: Source, proofs: Vec<Proof>) -> Result<bool, Full> {
        let short = proofs.iter().map(|proof| proof.message.len()).sum::<usize>() <= SHORT;
        if short && let Some(_alone) = self.0.alone() {
            return Ok(verify_many(&proofs).into_iter().all(|holds| holds));
        }
        let answers = futures_util::future::join_all(proofs.into_iter().map(|proof| self.0.done(from, proof))).await;
        answers.into_iter().try_fold(true, |all, holds| holds.map(|holds| all && holds))
    }

    /// Signatures verified together, by number.
    #[must_use]
    pub fn batch_sizes(&self) -> BatchSizes {
        self.0.sizes()
    }

    /// Signatures verified together.
    #[must_use]
    pub fn batches(&self) -> Distribution {
        self.0.batches()
    }

    /// Signatures that wait, and how many may.
    #[must_use]
    pub fn queued(&self) -> (usize, usize) {
        self.0.queued()
    }
}
