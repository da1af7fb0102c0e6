//! Tolerances and limits of `spec/node-rpc` §2.5, in milliseconds and bytes.

pub(super) const MIN_TTL: u64 = 10_000;
pub(super) const MAX_TTL_INBOX: u64 = 14 * 86_400_000;
pub(super) const MAX_TTL: u64 = crate::types::MAX_LIFETIME;
pub(super) const CLOCK: u64 = 10_000;
pub(super) const SIGNATURE: u64 = 60_000;
pub(super) const SIGNATURE_FORWARDED: u64 = 70_000;
pub(super) const RETRIEVE: u64 = 7_800_000;
/// Divisor of [`RETRIEVE`] when the client names no limit.
pub(super) const DEFAULT_SHARE: u64 = 5;
/// Bytes that a message may have (`spec/node-rpc` §2.5).
pub(super) const MAX_MESSAGE: usize = 76_800;
