//! Opens onion layers, together those that are ready together.

use std::sync::Arc;

use crate::{
    batch::{BatchSizes, Batcher, Full, Length, Source},
    crypto::Identity,
    metrics::Distribution,
    onion::{self, Layer, Opened},
};

/// A larger layer takes longer to decrypt than others may wait for.
const SMALL: usize = 16 << 10;

/// Opens layers.
pub struct Peeler(Batcher<Layer, Opened>);

impl Peeler {
    /// For a node of so many threads.
    #[must_use]
    pub fn new(identity: Arc<Identity>, threads: usize) -> Self {
        Self(Batcher::new(threads, move |layers| onion::peel_batch(&identity.x25519, layers)))
    }

    /// Opens `layer`.
    ///
    /// # Errors
    /// [`Full`].
    pub async fn peel(&self, from: Source, layer: Layer) -> Result<Opened, Full> {
        let length = if layer.ciphertext.len() <= SMALL { Length::Short } else { Length::Long };
        self.0.done(from, length, layer).await
    }

    /// Layers opened together, by number.
    #[must_use]
    pub fn batch_sizes(&self) -> BatchSizes {
        self.0.sizes()
    }

    /// Layers opened together.
    #[must_use]
    pub fn batches(&self) -> Distribution {
        self.0.batches()
    }

    /// Layers that wait, and how many may.
    #[must_use]
    pub fn queued(&self) -> (usize, usize) {
        self.0.queued()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crypto::EncType,
        onion::{
            Peeled,
            build::{Destination, Hop, build},
            parse_entry,
        },
        types::LegacyPublicKey,
    };

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn many_at_once_are_each_opened() {
        let identity = Identity::new(&[1; 32], LegacyPublicKey([1; 32]));
        let hop = Hop { ed25519: identity.ed25519.public(), x25519: identity.x25519.public() };
        let peeler = Arc::new(Peeler::new(Arc::new(identity), 1));
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..300_usize {
            let enc_type = [EncType::AesGcm, EncType::AesCbc, EncType::XChaCha20][number % 3];
            let size = if number.is_multiple_of(5) { 2 * SMALL } else { number };
            let (payload, _) = build(&[], &Destination::Node(hop), &vec![7; size], enc_type).unwrap();
            let mut layer = parse_entry(payload).unwrap();
            let broken = number.is_multiple_of(7);
            if broken {
                layer.ephemeral_key.0 = [0; 32];
            }
            let peeler = Arc::clone(&peeler);
            tasks.spawn(async move {
                match peeler.peel(Source::new(), layer).await.unwrap().peeled {
                    Ok(Peeled::Final { body, .. }) => assert!(!broken && *body == vec![7; size]),
                    other => assert!(broken, "{other:?}"),
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        let batches: u64 = peeler.batch_sizes().iter().sum();
        assert!((5..=300).contains(&batches), "{batches}");
    }
}
