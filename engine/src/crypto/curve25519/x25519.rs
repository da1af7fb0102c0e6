//! X25519 of one secret and many points, each batch as is best for its size.

use super::{MAX_BATCH, backend::one_by_one, current::plan, plan::Operation};

/// X25519 of `scalar` (clamped on the way) and each of `points`, into the same place of `shared`: zero for points of small
/// order. Takes the same time for every scalar. Both are as long.
pub fn x25519_many(scalar: &[u8; 32], points: &[[u8; 32]], shared: &mut [[u8; 32]]) {
    for (points, shared) in points.chunks(MAX_BATCH).zip(shared.chunks_mut(MAX_BATCH)) {
        let length = points.len().min(shared.len());
        let split = plan().split(Operation::X25519, length);
        let (points, alone) = points[..length].split_at(split.together.into());
        let (shared, of_alone) = shared[..length].split_at_mut(split.together.into());
        split.backend.x25519(scalar, points, shared);
        one_by_one(scalar, alone, of_alone);
    }
}
