//! What a node pays for BLS: one signature, one verification, and a whole network's sums.

use std::hint::black_box;

use allium_engine::crypto::bls::{BlsDomain, BlsPublicKey, BlsSecretKey, BlsSignature, hash_to_g2_bytes};
use criterion::{Criterion, criterion_group, criterion_main};

/// A network of mainnet's size.
const NODES: usize = 1500;

fn bls(c: &mut Criterion) {
    let domain = BlsDomain::new(42161, &[7; 20]);
    let tag = domain.hash_to_g2;
    let message = domain.reward_message(&[9; 20], 123_456_789_012_345);
    let secrets: Vec<BlsSecretKey> = std::iter::repeat_with(BlsSecretKey::random).take(NODES).flatten().collect();
    let keys: Vec<BlsPublicKey> = secrets.iter().map(BlsSecretKey::public).collect();
    let signatures: Vec<BlsSignature> = secrets.iter().filter_map(|secret| secret.sign(&message, &tag).ok()).collect();
    let [secret, ..] = secrets.as_slice() else { return };
    let [(key, signature), ..] =
        &std::iter::zip(keys.iter().copied(), signatures.iter().copied()).collect::<Vec<_>>()[..]
    else {
        return;
    };
    let bytes = key.to_bytes();

    c.bench_function("bls/hash_to_g2", |b| b.iter(|| hash_to_g2_bytes(black_box(&message), &tag)));
    c.bench_function("bls/sign", |b| b.iter(|| secret.sign(black_box(&message), &tag)));
    c.bench_function("bls/verify", |b| b.iter(|| key.verify(black_box(&message), &tag, signature)));
    c.bench_function("bls/decode key", |b| b.iter(|| BlsPublicKey::from_bytes(black_box(&bytes))));
    c.bench_function(&format!("bls/aggregate {NODES} keys"), |b| b.iter(|| BlsPublicKey::aggregate(black_box(&keys))));
    c.bench_function(&format!("bls/aggregate {NODES} signatures"), |b| {
        b.iter(|| BlsSignature::aggregate(black_box(&signatures)));
    });
}

criterion_group!(benches, bls);
criterion_main!(benches);
