//! What peeling costs, without a node around it: X25519 alone, and whole layers (X25519, key derivation, cipher), against
//! libsodium's primitives one by one; and signatures.
//!
//! One process measures one backend; `crypto.py` alternates processes and shows them side by side. Cases alternate here,
//! and what is counted is the CPU time of the thread.

use std::hint::black_box;

use allium_engine::{
    crypto::{Backend, EncType, Side, X25519Secret, forced, layer_keys, measure, seal, x25519_many},
    types::X25519PublicKey,
};
use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::{constant_time, signatures};

pub(crate) const BATCHES: [usize; 6] = [1, 2, 4, 8, 16, 64];
const SIZES: [usize; 5] = [512, 1 << 10, 4 << 10, 16 << 10, 64 << 10];
const CIPHERS: [EncType; 3] = [EncType::AesGcm, EncType::XChaCha20, EncType::AesCbc];
/// Seconds of CPU time that one measurement takes at least.
const LEAST: f64 = 0.003;

/// Layers for one node.
struct Layers {
    secret: [u8; 32],
    node: X25519Secret,
    clients: Vec<X25519PublicKey>,
}

/// Something measured: what is done, and in how many at once.
pub(crate) struct Case<'a> {
    pub(crate) what: &'static str,
    pub(crate) backend: &'static str,
    pub(crate) cipher: Option<EncType>,
    pub(crate) bytes: usize,
    pub(crate) batch: usize,
    /// Does it once for the whole batch, and says how long it took, in seconds.
    pub(crate) run: Box<dyn FnMut() -> Result<f64> + 'a>,
    pub(crate) seconds: Vec<f64>,
}

/// Measures every case `rounds` times and prints the rows as JSON.
pub(crate) fn run(rounds: usize) -> Result<()> {
    // Without this, libsodium uses its portable code.
    // SAFETY: may be called at any time.
    ensure!(unsafe { libsodium_sys::sodium_init() } >= 0, "libsodium does not start");
    measure();
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)?;
    let clients = (0..64).map(|_| X25519Secret::random().map(|key| key.public())).collect::<Result<_, _>>()?;
    let layers = Layers { secret, node: X25519Secret::from_bytes(secret), clients };
    let mut cases = layers.cases()?;
    let mut clocks = Vec::new();
    for round in 0..=rounds {
        clocks.push(gigahertz());
        for case in &mut cases {
            let (mut done, mut took) = (0, 0.0);
            while took < LEAST {
                took += (case.run)()?;
                done += case.batch;
            }
            // The first round warms up.
            if round > 0 {
                #[expect(clippy::cast_precision_loss, reason = "a mean")]
                case.seconds.push(took / done as f64);
            }
        }
    }
    let clock = median(&mut clocks);
    let rows: Vec<_> = cases
        .iter_mut()
        .map(|case| {
            let seconds = median(&mut case.seconds);
            json!({
                "what": case.what, "backend": case.backend, "cipher": case.cipher.map(EncType::as_str),
                "bytes": case.bytes, "batch": case.batch, "seconds": seconds, "cycles_per_op": seconds * clock * 1e9,
            })
        })
        .collect();
    let t = constant_time::statistic()?;
    println!("{}", json!({"backend": backend(), "rows": rows, "constant_time_t": t}));
    Ok(())
}

/// What `ALLIUM_X25519` names, or else what is best of all.
pub(crate) fn backend() -> &'static str {
    forced().map_or("measured", Backend::as_str)
}

impl Layers {
    fn cases(&self) -> Result<Vec<Case<'_>>> {
        let backend = backend();
        let mut cases = vec![self.sodium_x25519()];
        cases.extend(BATCHES.map(|batch| self.x25519(batch)));
        cases.extend(signatures::cases());
        for cipher in CIPHERS {
            for bytes in SIZES {
                let sealed = self.sealed(cipher, bytes)?;
                if cipher != EncType::AesCbc {
                    let layer = sealed.first().context("no layer")?.clone();
                    cases.push(Case {
                        what: "peel",
                        backend: "libsodium",
                        cipher: Some(cipher),
                        bytes,
                        batch: 1,
                        run: Box::new(move || self.sodium_peel(cipher, &layer)),
                        seconds: Vec::new(),
                    });
                }
                for batch in BATCHES {
                    let sealed = sealed[..batch].to_vec();
                    cases.push(Case {
                        what: "peel",
                        backend,
                        cipher: Some(cipher),
                        bytes,
                        batch,
                        run: Box::new(move || self.peel(cipher, &sealed)),
                        seconds: Vec::new(),
                    });
                }
            }
        }
        Ok(cases)
    }

    /// A layer from each client.
    fn sealed(&self, cipher: EncType, bytes: usize) -> Result<Vec<Vec<u8>>> {
        // From this side: both have the same key.
        let seal = |client| seal(cipher, &self.node, client, Side::Node, &vec![7; bytes]);
        self.clients.iter().map(|client| seal(client).context("a layer could not be sealed")).collect()
    }

    fn x25519(&self, batch: usize) -> Case<'_> {
        let points: Vec<[u8; 32]> = self.clients[..batch].iter().map(|client| client.0).collect();
        let mut shared = vec![[0; 32]; batch];
        let run = move || Ok(timed(|| x25519_many(black_box(&self.secret), black_box(&points), &mut shared)));
        let backend = backend();
        Case { what: "x25519", backend, cipher: None, bytes: 32, batch, run: Box::new(run), seconds: Vec::new() }
    }

    fn sodium_x25519(&self) -> Case<'_> {
        let run = || {
            Ok(timed(|| {
                black_box(self.sodium_shared());
            }))
        };
        let run = Box::new(run);
        Case { what: "x25519", backend: "libsodium", cipher: None, bytes: 32, batch: 1, run, seconds: Vec::new() }
    }

    fn sodium_shared(&self) -> [u8; 32] {
        let mut shared = [0; 32];
        sodium_x25519(&mut shared, black_box(&self.secret), &self.clients[0].0);
        shared
    }

    /// Keys and ciphers as the engine does them, in place.
    fn peel(&self, cipher: EncType, sealed: &[Vec<u8>]) -> Result<f64> {
        let mut layers = sealed.to_vec();
        let keys: Vec<_> = self.clients[..sealed.len()].iter().map(|client| (cipher, *client)).collect();
        let mut opened = 0;
        let seconds = timed(|| {
            for (key, layer) in layer_keys(&self.node, &keys).iter().zip(&mut layers) {
                opened += usize::from(key.as_ref().is_some_and(|key| key.open_in_place(layer).is_some()));
            }
        });
        ensure!(opened == sealed.len(), "a layer did not open");
        Ok(seconds)
    }

    /// The same with libsodium's functions, for the first client.
    fn sodium_peel(&self, cipher: EncType, sealed: &[u8]) -> Result<f64> {
        let node = self.node.public();
        let mut plaintext = vec![0; sealed.len()];
        let mut failed = 0;
        let seconds = timed(|| {
            let shared = self.sodium_shared();
            let mut key = [0; 32];
            let mut length = 0;
            // SAFETY: the lengths are those of the slices; the plaintext is shorter than what was sealed.
            unsafe {
                if cipher == EncType::AesGcm {
                    let mut state = std::mem::MaybeUninit::uninit();
                    libsodium_sys::crypto_auth_hmacsha256_init(state.as_mut_ptr(), b"LOKI".as_ptr(), 4);
                    libsodium_sys::crypto_auth_hmacsha256_update(state.as_mut_ptr(), shared.as_ptr(), 32);
                    libsodium_sys::crypto_auth_hmacsha256_final(state.as_mut_ptr(), key.as_mut_ptr());
                    failed = libsodium_sys::crypto_aead_aes256gcm_decrypt(
                        plaintext.as_mut_ptr(),
                        &raw mut length,
                        std::ptr::null_mut(),
                        sealed[12..].as_ptr(),
                        sealed[12..].len() as u64,
                        std::ptr::null(),
                        0,
                        sealed.as_ptr(),
                        key.as_ptr(),
                    );
                } else {
                    let all = [shared, self.clients[0].0, node.0].concat();
                    libsodium_sys::crypto_generichash(key.as_mut_ptr(), 32, all.as_ptr(), 96, std::ptr::null(), 0);
                    failed = libsodium_sys::crypto_aead_xchacha20poly1305_ietf_decrypt(
                        plaintext.as_mut_ptr(),
                        &raw mut length,
                        std::ptr::null_mut(),
                        sealed[24..].as_ptr(),
                        sealed[24..].len() as u64,
                        std::ptr::null(),
                        0,
                        sealed.as_ptr(),
                        key.as_ptr(),
                    );
                }
            }
        });
        ensure!(failed == 0, "libsodium did not open a layer");
        Ok(seconds)
    }
}

/// X25519 as libsodium does it.
pub(crate) fn sodium_x25519(shared: &mut [u8; 32], scalar: &[u8; 32], point: &[u8; 32]) {
    // SAFETY: all are 32 bytes.
    unsafe {
        libsodium_sys::crypto_scalarmult_curve25519(shared.as_mut_ptr(), scalar.as_ptr(), point.as_ptr());
    }
}

/// Seconds of the thread's CPU time.
pub(crate) fn timed(what: impl FnOnce()) -> f64 {
    let before = cpu_time();
    what();
    cpu_time() - before
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds of one process")]
fn cpu_time() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The clock of the core now: additions that wait for each other take a cycle each.
fn gigahertz() -> f64 {
    const ADDITIONS: u32 = 4_000_000;
    let mut sum = 1_u64;
    let seconds = timed(|| {
        for _ in 0..ADDITIONS {
            sum = black_box_register(sum.wrapping_add(3));
        }
    });
    black_box(sum);
    f64::from(ADDITIONS) / seconds / 1e9
}

/// Keeps the compiler from joining additions, without a way through memory.
fn black_box_register(value: u64) -> u64 {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    {
        let mut value = value;
        // SAFETY: does nothing.
        unsafe { std::arch::asm!("/* {0} */", inout(reg) value, options(pure, nomem, nostack, preserves_flags)) };
        value
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    black_box(value)
}

pub(crate) fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
