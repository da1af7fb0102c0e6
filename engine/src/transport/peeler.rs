//! Opens onion layers, those that wait together.

use std::{io, sync::Arc};

use crate::{
    batch::{BatchSizes, Batcher, Full, Source},
    crypto::Identity,
    metrics::Distribution,
    onion::{self, Layer, Opened},
};

/// A larger layer takes longer to decrypt than to hand over.
const SMALL: usize = 16 << 10;

/// The threads that open layers.
pub struct Peeler {
    identity: Arc<Identity>,
    batcher: Batcher<Layer, Opened>,
}

impl Peeler {
    /// With `threads` threads.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn start(identity: Arc<Identity>, threads: usize) -> io::Result<Self> {
        let own = Arc::clone(&identity);
        let batcher = Batcher::start("allium-peel", threads, move |layers| onion::peel_batch(&own.x25519, layers))?;
        Ok(Self { identity, batcher })
    }

    /// Opens `layer`; a small one on the spot, when no other is.
    ///
    /// # Errors
    /// [`Full`].
    pub async fn peel(&self, from: Source, layer: Layer) -> Result<Opened, Full> {
        if layer.ciphertext.len() <= SMALL
            && let Some(_alone) = self.batcher.alone()
        {
            return Ok(onion::peel(&self.identity.x25519, layer));
        }
        self.batcher.done(from, layer).await
    }

    /// Layers opened together, by number.
    #[must_use]
    pub fn batch_sizes(&self) -> BatchSizes {
        self.batcher.sizes()
    }

    /// Layers opened together.
    #[must_use]
    pub fn batches(&self) -> Distribution {
        self.batcher.batches()
    }

    /// Layers that wait, and how many may.
    #[must_use]
    pub fn queued(&self) -> (usize, usize) {
        self.batcher.queued()
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
        let identity = Arc::new(Identity::new(&[1; 32], LegacyPublicKey([1; 32])));
        let hop = Hop { ed25519: identity.ed25519.public(), x25519: identity.x25519.public() };
        let peeler = Arc::new(Peeler::start(identity, 1).unwrap());
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
