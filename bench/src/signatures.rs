//! What Ed25519 signatures cost, without a node around them, against libsodium's one by one: made with one key, and
//! verified of keys that are new and of keys that have signed before.

use std::{cell::Cell, hint::black_box, ptr, rc::Rc};

use allium_engine::crypto::{Ed25519Secret, Proof, verify_many};
use anyhow::{Result, ensure};

use crate::crypto::{BATCHES, Case, backend, timed};

/// Bytes of what is signed: as much as an answer of a node.
const BYTES: usize = 150;
/// More keys than are remembered, so that each is new when its turn comes.
const NEW: u32 = 8192;
const KNOWN: usize = 64;

/// Everything there is of signatures.
pub(crate) fn cases() -> Vec<Case<'static>> {
    let proofs: Vec<Proof> = (0..NEW)
        .map(|number| {
            let mut seed = [7; 32];
            seed[..4].copy_from_slice(&number.to_le_bytes());
            let secret = Ed25519Secret::from_seed(&seed);
            Proof { key: secret.public().0, message: vec![7; BYTES], signature: secret.sign(&[7; BYTES]) }
        })
        .collect();
    let mut cases = vec![sodium_sign()];
    cases.extend(BATCHES.map(sign));
    for (what, proofs) in [("verify_known", &proofs[..KNOWN]), ("verify", &proofs[KNOWN..])] {
        cases.push(sodium_verify(what, proofs[0].clone()));
        let (proofs, next) = (Rc::<[Proof]>::from(proofs), Rc::new(Cell::new(0)));
        cases.extend(BATCHES.map(|batch| verify(what, &proofs, &next, batch)));
    }
    cases
}

fn case(
    what: &'static str,
    backend: &'static str,
    batch: usize,
    run: impl FnMut() -> Result<f64> + 'static,
) -> Case<'static> {
    Case { what, backend, cipher: None, bytes: BYTES, batch, run: Box::new(run), seconds: Vec::new() }
}

fn sign(batch: usize) -> Case<'static> {
    let secret = Ed25519Secret::from_seed(&[9; 32]);
    let texts = vec![[7; BYTES]; batch];
    case("sign", backend(), batch, move || Ok(timed(|| drop(black_box(secret.sign_many(black_box(&texts)))))))
}

/// Each batch is of the signatures that no batch of any size has had for the longest time.
fn verify(what: &'static str, proofs: &Rc<[Proof]>, next: &Rc<Cell<usize>>, batch: usize) -> Case<'static> {
    let (proofs, next) = (Rc::clone(proofs), Rc::clone(next));
    case(what, backend(), batch, move || {
        let start = if next.get() + batch > proofs.len() { 0 } else { next.get() };
        next.set(start + batch);
        let mut holding = Vec::new();
        let seconds = timed(|| holding = verify_many(black_box(&proofs[start..start + batch])));
        ensure!(holding.iter().all(|holds| *holds), "a signature does not hold");
        Ok(seconds)
    })
}

fn sodium_sign() -> Case<'static> {
    let (mut public, mut secret) = ([0; 32], [0; 64]);
    // SAFETY: as long as libsodium expects.
    unsafe { libsodium_sys::crypto_sign_seed_keypair(public.as_mut_ptr(), secret.as_mut_ptr(), [9; 32].as_ptr()) };
    let text = [7; BYTES];
    case("sign", "libsodium", 1, move || {
        let mut signature = [0; 64];
        Ok(timed(|| {
            // SAFETY: as long as libsodium expects, and as it is told.
            unsafe {
                let (to, none, length) = (signature.as_mut_ptr(), ptr::null_mut(), BYTES as u64);
                libsodium_sys::crypto_sign_detached(to, none, black_box(text.as_ptr()), length, secret.as_ptr());
            }
            black_box(&signature);
        }))
    })
}

fn sodium_verify(what: &'static str, proof: Proof) -> Case<'static> {
    case(what, "libsodium", 1, move || {
        let mut refused = 0;
        let seconds = timed(|| {
            // SAFETY: as long as libsodium expects, and as it is told.
            refused = unsafe {
                let (signature, text) = (proof.signature.as_ptr(), black_box(proof.message.as_ptr()));
                libsodium_sys::crypto_sign_verify_detached(signature, text, BYTES as u64, proof.key.as_ptr())
            };
        });
        ensure!(refused == 0, "libsodium does not verify a signature");
        Ok(seconds)
    })
}
