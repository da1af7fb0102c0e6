//! The control data that says how to open a layer.

use std::borrow::Cow;

use super::{
    frame::{Frame, FrameError},
    piece::Piece,
};
use crate::{
    crypto::{EncType, UnknownEncType},
    json::{JsonObject, JsonValue},
    types::{X25519PublicKey, decode_hex},
};

/// More hops than this are refused.
pub const MAX_HOPS: u32 = 15;

/// A layer as it arrives at the node that can open it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The requester's key for this layer.
    pub ephemeral_key: X25519PublicKey,
    /// Its cipher.
    pub enc_type: EncType,
    /// Nodes that handled the request before this one.
    pub hop_no: u32,
    /// The layer itself.
    pub ciphertext: Piece,
}

/// Why a layer was not accepted. Each is answered with status 400 and this text, not encrypted.
#[derive(Debug, thiserror::Error)]
pub enum OnionError {
    /// At the entry: the frame or its control data.
    #[error("Error parsing onion request: {0}")]
    Entry(ControlError),
    /// From another node: the fields of its dict.
    #[error("Invalid internal onion request: {0}")]
    Internal(Cow<'static, str>),
    /// From another node: more than [`MAX_HOPS`].
    #[error("onion request max path length exceeded")]
    TooManyHops,
}

/// What is wrong with control data.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The frame around it.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A key that must be there.
    #[error("missing or invalid {0}")]
    Field(&'static str),
    /// An ephemeral key or destination in other than hex digits.
    #[error("Hex key data is invalid: data is not hex")]
    NoHex,
    /// One of another length.
    #[error("Hex key data is invalid: expected 64 hex digits not {0}")]
    Digits(usize),
    /// An unknown cipher.
    #[error(transparent)]
    EncType(#[from] UnknownEncType),
}

/// The 64 hex digits of a key under `name`.
pub(super) fn key(control: &JsonObject<'_>, name: &'static str) -> Result<[u8; 32], ControlError> {
    let text = control.get(name).and_then(JsonValue::as_str).ok_or(ControlError::Field(name))?;
    decode_hex(text.as_bytes()).ok_or_else(|| {
        if text.len() != 64 && is_hex(text) { ControlError::Digits(text.len()) } else { ControlError::NoHex }
    })
}

/// Whole bytes in hex, however many.
fn is_hex(text: &str) -> bool {
    text.len().is_multiple_of(2) && text.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// The cipher under `enc_type`, AES-GCM when there is none.
pub(super) fn enc_type(control: &JsonObject<'_>) -> Result<EncType, ControlError> {
    match control.get("enc_type") {
        None => Ok(EncType::default()),
        Some(JsonValue::Text(name)) => Ok(name.parse()?),
        Some(_) => Err(ControlError::Field("enc_type")),
    }
}

/// The outermost layer, as posted by a client (`spec/onion` §2).
///
/// # Errors
/// [`OnionError::Entry`].
pub fn parse_entry(payload: impl Into<Piece>) -> Result<Layer, OnionError> {
    entry(payload.into()).map_err(OnionError::Entry)
}

fn entry(payload: Piece) -> Result<Layer, ControlError> {
    let Frame { ciphertext, control } = Frame::parse(&payload)?;
    let inside = Frame::ciphertext_at(ciphertext.len());
    let hop_no = match control.get("hop_no") {
        None => 0,
        Some(hops) => hops.as_i64().ok_or(ControlError::Field("hop_no"))?.max(0),
    };
    let (ephemeral_key, enc_type) = (X25519PublicKey(key(&control, "ephemeral_key")?), enc_type(&control)?);
    let hop_no = u32::try_from(hop_no).unwrap_or(u32::MAX);
    drop(control);
    Ok(Layer { ephemeral_key, enc_type, hop_no, ciphertext: payload.narrow(inside) })
}
