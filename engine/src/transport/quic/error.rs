//! Errors of requests over QUIC.

/// Why a request had no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuicError {
    /// No connection, or it was lost.
    #[error("no connection: {0}")]
    Connection(String),
    /// Nothing came in time.
    #[error("no answer in time")]
    Timeout,
    /// The node's refusal, as it came.
    #[error("refused: {}", String::from_utf8_lossy(.0))]
    Refused(Vec<u8>),
}
