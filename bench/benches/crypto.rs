//! X25519 and the opening of layers under Criterion: the backend in force (`ALLIUM_X25519`), batch by batch.

use allium_engine::{
    crypto::{Backend, EncType, LayerKey, Side, X25519Secret, forced, layer_keys, measure, seal, x25519_many},
    types::X25519PublicKey,
};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const BATCHES: [usize; 6] = [1, 2, 4, 8, 16, 64];
const CIPHERS: [EncType; 3] = [EncType::AesGcm, EncType::XChaCha20, EncType::AesCbc];
const BYTES: usize = 1024;

fn clients() -> Vec<X25519PublicKey> {
    (1..=64).map(|seed| X25519Secret::from_bytes([seed; 32]).public()).collect()
}

/// What `ALLIUM_X25519` names, or else what is best of all.
fn backend() -> &'static str {
    measure();
    forced().map_or("measured", Backend::as_str)
}

fn x25519(criterion: &mut Criterion) {
    let points: Vec<[u8; 32]> = clients().iter().map(|client| client.0).collect();
    let mut group = criterion.benchmark_group(format!("x25519/{}", backend()));
    for batch in BATCHES {
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function(BenchmarkId::from_parameter(batch), |bencher| {
            let mut shared = vec![[0; 32]; batch];
            bencher.iter(|| x25519_many(&[77; 32], &points[..batch], &mut shared));
        });
    }
}

fn peel(criterion: &mut Criterion) {
    let (node, clients) = (X25519Secret::from_bytes([77; 32]), clients());
    for cipher in CIPHERS {
        let layers: Vec<(X25519PublicKey, Vec<u8>)> = clients
            .iter()
            .filter_map(|client| Some((*client, seal(cipher, &node, client, Side::Node, &[7; BYTES])?)))
            .collect();
        let mut group = criterion.benchmark_group(format!("peel/{}/{}", backend(), cipher.as_str()));
        for batch in BATCHES {
            let keys: Vec<_> = layers.iter().take(batch).map(|(client, _)| (cipher, *client)).collect();
            group.throughput(Throughput::Elements(batch as u64));
            group.bench_function(BenchmarkId::from_parameter(batch), |bencher| {
                bencher.iter_batched_ref(
                    || layers.iter().take(batch).map(|(_, sealed)| sealed.clone()).collect::<Vec<_>>(),
                    |sealed| {
                        let open = |(key, sealed): (Option<LayerKey>, &mut Vec<u8>)| {
                            key.and_then(|key| key.open_in_place(sealed)).is_some()
                        };
                        assert!(layer_keys(&node, &keys).into_iter().zip(sealed).all(open));
                    },
                    BatchSize::SmallInput,
                );
            });
        }
    }
}

criterion_group!(benches, x25519, peel);
criterion_main!(benches);
