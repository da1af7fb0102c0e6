//! Opens onion layers away from the threads that serve sockets: what has queued is opened together.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::fair::FairQueue;
use crate::{
    crypto::Identity,
    onion::{self, Layer, Opened},
    types::X25519PublicKey,
};

/// Layers that wait, at most.
const QUEUE: usize = 4096;
/// Layers opened together, at most.
const BATCH: usize = 64;
/// A larger layer takes longer to decrypt than to hand over.
const SMALL: usize = 16 << 10;
/// Sizes of batches that are counted together: up to 1, 2, 4, …, 64.
const SIZES: usize = 7;

/// How many batches of what size were opened: of one layer, of two, of up to 4, 8, 16, 32 and 64.
pub type BatchSizes = [u64; SIZES];

/// Whom a layer comes from: layers of one source wait for each other before they wait for those of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source(u64);

impl Source {
    /// The node with this key.
    #[must_use]
    pub fn node(key: &X25519PublicKey) -> Self {
        let [first, ..] = key.0.as_chunks::<8>().0 else { return Self::new() };
        Self(u64::from_le_bytes(*first))
    }

    /// Another one than all before.
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl Default for Source {
    fn default() -> Self {
        Self::new()
    }
}

/// As many layers wait as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

struct Waiting {
    layer: Layer,
    opened: oneshot::Sender<Opened>,
}

struct Queue {
    layers: FairQueue<Waiting>,
    closing: bool,
}

struct Shared {
    identity: Arc<Identity>,
    queue: Mutex<Queue>,
    filled: Condvar,
    /// Somebody is opening a layer on its own thread.
    alone: AtomicBool,
    sizes: [AtomicU64; SIZES],
}

impl Shared {
    fn count(&self, size: usize) {
        let bucket = size.max(1).next_power_of_two().trailing_zeros();
        if let Some(count) = self.sizes.get(bucket as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Opens what has queued, again and again: never waits for a batch to fill.
    fn work(&self) {
        loop {
            let waiting = {
                let mut queue = self.queue.lock();
                self.filled.wait_while(&mut queue, |queue| queue.layers.is_empty() && !queue.closing);
                queue.layers.take(BATCH)
            };
            if waiting.is_empty() {
                return;
            }
            self.count(waiting.len());
            let (layers, askers): (Vec<_>, Vec<_>) =
                waiting.into_iter().map(|Waiting { layer, opened }| (layer, opened)).unzip();
            for (opened, asker) in onion::peel_batch(&self.identity.x25519, layers).into_iter().zip(askers) {
                // Who has gone needs no answer.
                let _ = asker.send(opened);
            }
        }
    }
}

/// The threads that open layers, and the queue before them.
pub struct Peeler {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Peeler {
    /// With `threads` threads.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn start(identity: Arc<Identity>, threads: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            identity,
            queue: Mutex::new(Queue { layers: FairQueue::new(QUEUE), closing: false }),
            filled: Condvar::new(),
            alone: AtomicBool::new(false),
            sizes: Default::default(),
        });
        let mut peeler = Self { shared, threads: Vec::with_capacity(threads) };
        for _ in 0..threads.max(1) {
            let shared = Arc::clone(&peeler.shared);
            let thread = std::thread::Builder::new().name("allium-peel".to_owned());
            peeler.threads.push(thread.spawn(move || shared.work())?);
        }
        Ok(peeler)
    }

    /// Opens `layer`.
    ///
    /// One small layer while no other is on its way is opened on the spot: waking another thread for it takes longer
    /// than that.
    ///
    /// # Errors
    /// [`Full`].
    pub async fn peel(&self, from: Source, layer: Layer) -> Result<Opened, Full> {
        let shared = &self.shared;
        if layer.ciphertext.len() <= SMALL
            && shared.alone.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
        {
            let opened = onion::peel(&shared.identity.x25519, layer);
            shared.alone.store(false, Ordering::Release);
            shared.count(1);
            return Ok(opened);
        }
        let (opened, coming) = oneshot::channel();
        let waiting = Waiting { layer, opened };
        shared.queue.lock().layers.push(from.0, waiting).map_err(|_| Full)?;
        shared.filled.notify_one();
        // The threads end after the last request only.
        coming.await.map_err(|_| Full)
    }

    /// Batches opened so far, by their size.
    #[must_use]
    pub fn batch_sizes(&self) -> BatchSizes {
        std::array::from_fn(|size| self.shared.sizes[size].load(Ordering::Relaxed))
    }
}

impl Drop for Peeler {
    fn drop(&mut self) {
        self.shared.queue.lock().closing = true;
        self.shared.filled.notify_all();
        for thread in self.threads.drain(..) {
            // The last request may be the one that drops this, on any thread but these.
            if thread.join().is_err() {
                tracing::error!("a thread that opens layers has panicked");
            }
        }
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

    fn layer(identity: &Identity, size: usize, enc_type: EncType) -> Layer {
        let hop = Hop { ed25519: identity.ed25519.public(), x25519: identity.x25519.public() };
        let (payload, _) = build(&[], &Destination::Node(hop), &vec![7; size], enc_type).unwrap();
        parse_entry(payload).unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn many_at_once_are_each_opened_and_counted() {
        let identity = Arc::new(Identity::new(&[1; 32], LegacyPublicKey([1; 32])));
        let peeler = Arc::new(Peeler::start(Arc::clone(&identity), 1).unwrap());
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..300_usize {
            let enc_type = [EncType::AesGcm, EncType::AesCbc, EncType::XChaCha20][number % 3];
            let size = if number % 5 == 0 { 2 * SMALL } else { number };
            let mut layer = layer(&identity, size, enc_type);
            let broken = number % 7 == 0;
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
        let sizes = peeler.batch_sizes();
        assert!(sizes.iter().sum::<u64>() <= 300 && sizes.iter().sum::<u64>() >= 5, "{sizes:?}");
        assert!(sizes[0] > 0 || sizes[1..].iter().sum::<u64>() > 0);
    }

    /// Nothing takes from the queue: it fills, and says so.
    #[tokio::test]
    async fn a_full_queue_says_so() {
        let identity = Arc::new(Identity::new(&[1; 32], LegacyPublicKey([1; 32])));
        let peeler = Peeler::start(Arc::clone(&identity), 1).unwrap();
        let layer = layer(&identity, 10, EncType::AesGcm);
        peeler.shared.alone.store(true, Ordering::Release);
        // While this is held, the thread cannot look.
        let mut queue = peeler.shared.queue.lock();
        queue.layers = FairQueue::new(0);
        drop(queue);
        assert_eq!(peeler.peel(Source::new(), layer).await.err(), Some(Full));
    }
}
