//! What a node finds under a layer, and how it answers (`spec/onion` §4).

use super::{
    control::{self, Layer},
    frame::Frame,
    piece::Piece,
};
use crate::{
    crypto::{EncType, LayerKey, X25519Secret, layer_keys},
    json::{JsonObject, JsonValue},
    types::{Ed25519PublicKey, X25519PublicKey},
};

/// A server outside the network that a layer is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTarget {
    /// Host name or address.
    pub host: String,
    /// Path; starts with `/loki/` or `/oxen/` and ends with `/lsrpc`.
    pub target: String,
    /// Port.
    pub port: u16,
    /// HTTPS rather than HTTP.
    pub https: bool,
}

/// Where an opened layer goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peeled {
    /// Here: `body` is a client request.
    Final {
        /// JSON `{"method", "params"}`.
        body: Piece,
        /// The answer's `body` as a JSON value rather than as text.
        json: bool,
        /// The answer in base64 rather than raw.
        base64: bool,
    },
    /// To a server, as the body of a POST: the whole plaintext of the layer.
    Server {
        /// The server.
        server: ServerTarget,
        /// The POST's body.
        payload: Piece,
    },
    /// To another node.
    Relay {
        /// The node.
        destination: Ed25519PublicKey,
        /// What it gets. Its `hop_no` is still that of the layer peeled here.
        next: Layer,
    },
}

/// Why a layer could not be peeled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeelError {
    /// Answered in the clear with status 400.
    #[error("Invalid ciphertext")]
    Ciphertext,
    /// Answered encrypted.
    #[error("Invalid json")]
    Json,
    /// Answered encrypted.
    #[error("Invalid url")]
    Url,
}

/// A layer, opened or not.
#[derive(Debug)]
pub struct Opened {
    /// Seals the answer; `None` when the ephemeral key is of small order.
    pub key: Option<LayerKey>,
    /// What was inside.
    pub peeled: Result<Peeled, PeelError>,
}

/// Opens `layer` with the node's secret, where it lies, and reads where it goes. First match wins: `headers`, `host`,
/// `destination`.
#[must_use]
pub fn peel(secret: &X25519Secret, layer: Layer) -> Opened {
    let key = layer_keys(secret, &[(layer.enc_type, layer.ephemeral_key)]).pop().flatten();
    open(key, layer)
}

/// [`peel`] for each of `layers`, in their order, at a fraction of the cost.
#[must_use]
pub fn peel_batch(secret: &X25519Secret, layers: Vec<Layer>) -> Vec<Opened> {
    let of_keys: Vec<_> = layers.iter().map(|layer| (layer.enc_type, layer.ephemeral_key)).collect();
    layer_keys(secret, &of_keys).into_iter().zip(layers).map(|(key, layer)| open(key, layer)).collect()
}

fn open(key: Option<LayerKey>, mut layer: Layer) -> Opened {
    let plaintext = key.as_ref().and_then(|key| key.open_in_place(layer.ciphertext.bytes_mut()));
    let peeled = match plaintext {
        Some(plaintext) => inside(layer.ciphertext.narrow(plaintext), layer.hop_no),
        None => Err(PeelError::Ciphertext),
    };
    Opened { key, peeled }
}

/// What the control data of a plaintext says of it.
enum Inside {
    Final { json: bool, base64: bool },
    Server(ServerTarget),
    Relay { destination: [u8; 32], ephemeral_key: [u8; 32], enc_type: EncType },
}

fn inside(plaintext: Piece, hop_no: u32) -> Result<Peeled, PeelError> {
    let Frame { ciphertext, control } = Frame::parse(&plaintext).map_err(|_| PeelError::Json)?;
    let ciphertext = Frame::ciphertext_at(ciphertext.len());
    let inside = told(&control)?;
    drop(control);
    Ok(match inside {
        Inside::Final { json, base64 } => Peeled::Final { json, base64, body: plaintext.narrow(ciphertext) },
        Inside::Server(server) => Peeled::Server { server, payload: plaintext },
        Inside::Relay { destination, ephemeral_key, enc_type } => Peeled::Relay {
            destination: Ed25519PublicKey(destination),
            next: Layer {
                ephemeral_key: X25519PublicKey(ephemeral_key),
                enc_type,
                hop_no,
                ciphertext: plaintext.narrow(ciphertext),
            },
        },
    })
}

fn told(control: &JsonObject<'_>) -> Result<Inside, PeelError> {
    if control.get("headers").is_some() {
        return Ok(Inside::Final { json: flag(control, "json", false)?, base64: flag(control, "base64", true)? });
    }
    if control.get("host").is_some() {
        return server_target(control).map(Inside::Server);
    }
    let key = |name| control::key(control, name).map_err(|_| PeelError::Json);
    Ok(Inside::Relay {
        destination: key("destination")?,
        ephemeral_key: key("ephemeral_key")?,
        enc_type: control::enc_type(control).map_err(|_| PeelError::Json)?,
    })
}

fn flag(control: &JsonObject<'_>, name: &str, default: bool) -> Result<bool, PeelError> {
    control.get(name).map_or(Ok(default), |value| value.as_bool().ok_or(PeelError::Json))
}

fn server_target(control: &JsonObject<'_>) -> Result<ServerTarget, PeelError> {
    let text = |name| control.get(name).and_then(JsonValue::as_str).ok_or(PeelError::Json);
    let (host, target) = (text("host")?, text("target")?);
    let port = match control.get("port") {
        None => 443,
        Some(port) => port.as_u64().and_then(|port| u16::try_from(port).ok()).ok_or(PeelError::Json)?,
    };
    let https = match control.get("protocol").map(JsonValue::as_str) {
        None | Some(Some("https")) => true,
        Some(Some("http")) => false,
        Some(Some(_)) => return Err(PeelError::Url),
        Some(None) => return Err(PeelError::Json),
    };
    let served = target.starts_with("/loki/") || target.starts_with("/oxen/");
    if !served || !target.ends_with("/lsrpc") || target.contains(['?', '#']) {
        return Err(PeelError::Url);
    }
    Ok(ServerTarget { host: host.to_owned(), target: target.to_owned(), port, https })
}

/// `plaintext` as the answer to the layer of `key`; `None` when the system has no randomness.
#[must_use]
pub fn wrap_reply(key: &LayerKey, plaintext: &[u8], base64: bool) -> Option<Vec<u8>> {
    as_wished(key.seal(plaintext)?, base64)
}

/// As [`wrap_reply`], of what `write` puts behind what it is given, about `length` bytes: it is sealed where it lies.
#[must_use]
pub fn wrap_written(key: &LayerKey, base64: bool, length: usize, write: impl FnOnce(&mut Vec<u8>)) -> Option<Vec<u8>> {
    as_wished(key.seal_written(length, write)?, base64)
}

fn as_wished(sealed: Vec<u8>, base64: bool) -> Option<Vec<u8>> {
    Some(if base64 { base64_simd::STANDARD.encode_to_string(sealed).into_bytes() } else { sealed })
}
