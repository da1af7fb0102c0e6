//! Verifies the signatures of requests, those that wait together. What was verified is not remembered.

use futures_util::future::join_all;

use crate::{
    batch::{BatchSizes, Batcher, Full, Length, Source},
    crypto::{Proof, verify_many},
    metrics::Distribution,
};

/// A longer text takes longer to hash than others may wait for.
const SHORT: usize = 16 << 10;

/// Verifies.
pub struct Verifier(Batcher<Proof, bool>);

impl Verifier {
    /// For a node of so many threads.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        Self(Batcher::new(threads, |proofs: Vec<Proof>| verify_many(&proofs)))
    }

    /// For how many threads.
    pub(super) fn threads(&self) -> usize {
        self.0.threads()
    }

    /// Whether every one of `proofs` holds.
    ///
    /// # Errors
    /// [`Full`].
    pub async fn all(&self, from: Source, proofs: Vec<Proof>) -> Result<bool, Full> {
        // Most requests have one signature.
        let proofs = match <[Proof; 1]>::try_from(proofs) {
            Ok([proof]) => return self.one(from, proof).await,
            Err(proofs) => proofs,
        };
        let answers = join_all(proofs.into_iter().map(|proof| self.one(from, proof))).await;
        answers.into_iter().try_fold(true, |all, holds| holds.map(|holds| all && holds))
    }

    async fn one(&self, from: Source, proof: Proof) -> Result<bool, Full> {
        let length = if proof.message.len() <= SHORT { Length::Short } else { Length::Long };
        self.0.done(from, length, proof).await
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
