//! Signs answers, together those that are ready together.

use std::sync::Arc;

use futures_util::future::join_all;

use crate::{
    batch::{Batcher, Length, Source},
    crypto::Identity,
    metrics::Distribution,
};

/// Longer texts take longer to hash than others may wait for.
const SHORT: usize = 16 << 10;
/// So many do not wait for others: they fill what a processor signs side by side.
const MANY: usize = 8;

/// Signs with a node's key.
pub(super) struct Signer {
    identity: Arc<Identity>,
    batcher: Batcher<Vec<u8>, [u8; 64]>,
}

impl Signer {
    /// For a node of so many threads.
    pub(super) fn new(identity: Arc<Identity>, threads: usize) -> Self {
        let signing = Arc::clone(&identity);
        let batcher = Batcher::new(threads, move |texts: Vec<Vec<u8>>| signing.ed25519.sign_many(&texts));
        Self { identity, batcher }
    }

    /// Signature of `text`, in an answer to `asker`.
    pub(super) async fn sign(&self, asker: Source, text: &[u8]) -> [u8; 64] {
        let length = if text.len() <= SHORT { Length::Short } else { Length::Long };
        // What has been done is answered, however many wait.
        self.batcher.done(asker, length, text.to_vec()).await.unwrap_or_else(|_| self.identity.ed25519.sign(text))
    }

    /// Signatures of texts that are there together, in order, each in an answer to its asker. Few are signed with others.
    pub(super) async fn sign_all(&self, texts: Vec<(Source, Vec<u8>)>) -> Vec<[u8; 64]> {
        if texts.len() >= MANY && texts.iter().all(|(_, text)| text.len() <= SHORT) {
            return self.batcher.at_once(texts.into_iter().map(|(_, text)| text).collect());
        }
        join_all(texts.iter().map(|(asker, text)| self.sign(*asker, text))).await
    }

    /// Answers signed together.
    pub(super) fn batches(&self) -> Distribution {
        self.batcher.batches()
    }

    /// Answers that wait to be signed, and how many may.
    pub(super) fn queued(&self) -> (usize, usize) {
        self.batcher.queued()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{crypto::verify_ed25519, types::LegacyPublicKey};

    #[tokio::test]
    async fn what_is_signed_together_is_what_is_signed_alone() {
        let identity = Arc::new(Identity::new(&[1; 32], LegacyPublicKey([1; 32])));
        let signer = Arc::new(Signer::new(Arc::clone(&identity), 1));
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..100_usize {
            let text = vec![7; if number.is_multiple_of(20) { 2 * SHORT } else { number }];
            let signer = Arc::clone(&signer);
            tasks.spawn(async move { (signer.sign(Source::new(), &text).await, text) });
        }
        for (signature, text) in tasks.join_all().await {
            assert_eq!(signature, identity.ed25519.sign(&text));
            assert!(verify_ed25519(&identity.ed25519.public().0, &text, &signature));
        }
        assert!(signer.batches().counts.iter().sum::<u64>() < 50);
        assert_eq!(signer.queued().0, 0);
    }
}
