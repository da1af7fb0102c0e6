//! The shape that every layer has (`spec/onion` §1): length, ciphertext, control JSON.

use std::ops::Range;

use serde_json::Value;

use crate::json::{self, JsonError, JsonObject};

/// What is wrong with a frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Fewer bytes than the length prefix takes.
    #[error("Unexpected payload size; expected ciphertext size")]
    NoLength,
    /// Fewer bytes than the length prefix promises.
    #[error("Unexpected payload size {found}, expected >= {promised}")]
    TooShort {
        /// Bytes after the prefix.
        found: usize,
        /// Bytes of the ciphertext.
        promised: u32,
    },
    /// The control data is no JSON object.
    #[error("invalid json: {0}")]
    Json(#[from] JsonError),
}

/// One layer, taken apart.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    /// For the next party: a ciphertext, or in the innermost layer the request body.
    pub(super) ciphertext: &'a [u8],
    /// The control data.
    pub(super) control: JsonObject<'a>,
}

impl<'a> Frame<'a> {
    /// Takes `bytes` apart.
    ///
    /// # Errors
    /// When they are no frame.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or(FrameError::NoLength)?;
        let promised = u32::from_le_bytes(*length);
        let split = usize::try_from(promised).ok().and_then(|length| rest.split_at_checked(length));
        let (ciphertext, control) = split.ok_or(FrameError::TooShort { found: rest.len(), promised })?;
        Ok(Self { ciphertext, control: json::parse(control)? })
    }

    /// Where in a frame a ciphertext of `length` bytes is.
    pub(super) const fn ciphertext_at(length: usize) -> Range<usize> {
        4..4 + length
    }

    /// The bytes of a frame; `None` when the ciphertext is longer than a length prefix can say.
    #[must_use]
    pub(super) fn encode(ciphertext: &[u8], control: &Value) -> Option<Vec<u8>> {
        let length = u32::try_from(ciphertext.len()).ok()?;
        let control = control.to_string();
        let mut out = Vec::with_capacity(4 + ciphertext.len() + control.len());
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(ciphertext);
        out.extend_from_slice(control.as_bytes());
        Some(out)
    }
}
