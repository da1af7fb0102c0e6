//! The client's side (`spec/onion` §6): layers from the inside out, and the key that opens the answer.

use serde_json::{Value, json};

use super::{frame::Frame, peel::ServerTarget};
use crate::{
    crypto::{self, EncType, Side, X25519Secret},
    types::{Ed25519PublicKey, X25519PublicKey},
};

/// A node on the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// How the hop before it names it.
    pub ed25519: Ed25519PublicKey,
    /// What its layer is encrypted to.
    pub x25519: X25519PublicKey,
}

/// Who the request is for.
#[derive(Clone, Debug)]
pub enum Destination {
    /// A node of the network.
    Node(Hop),
    /// A server behind the last hop.
    Server {
        /// The key its request is encrypted to.
        x25519: X25519PublicKey,
        /// Where the last hop posts it.
        server: ServerTarget,
    },
}

/// A request that could not be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A request to a server needs a node to post it.
    #[error("the path is empty")]
    EmptyPath,
    /// A key of the path is of small order, or the system has no randomness.
    #[error("a layer could not be encrypted")]
    Encryption,
    /// More than a length prefix can say.
    #[error("the request is too large")]
    TooLarge,
}

/// Opens the answer to one request.
#[derive(Debug)]
pub struct ReplyKey {
    enc_type: EncType,
    secret: X25519Secret,
    destination: X25519PublicKey,
}

impl ReplyKey {
    /// The plaintext of `reply`; `None` when it is not from the destination.
    #[must_use]
    pub fn open(&self, reply: &[u8], base64: bool) -> Option<Vec<u8>> {
        let decoded;
        let sealed = if base64 {
            decoded = base64_simd::STANDARD.decode_to_vec(reply).ok()?;
            &decoded
        } else {
            reply
        };
        crypto::open(self.enc_type, &self.secret, &self.destination, Side::Client, sealed)
    }
}

/// A payload to post to the first node of `path` (to the destination itself when `path` is empty), and the answer's key.
/// To a node, `body` is JSON `{"method", "params"}`; to a server, whatever that server decrypts.
///
/// # Errors
/// [`BuildError`].
pub fn build(
    path: &[Hop],
    destination: &Destination,
    body: &[u8],
    enc_type: EncType,
) -> Result<(Vec<u8>, ReplyKey), BuildError> {
    let seal = |to: &X25519PublicKey, plaintext: &[u8]| {
        let secret = X25519Secret::random().map_err(|_| BuildError::Encryption)?;
        let sealed = crypto::seal(enc_type, &secret, to, Side::Client, plaintext).ok_or(BuildError::Encryption)?;
        Ok((sealed, secret))
    };
    let frame = |ciphertext: &[u8], control: Value| Frame::encode(ciphertext, &control).ok_or(BuildError::TooLarge);
    // The control data for whoever holds the layer around: what to do with `ciphertext`.
    let (mut ciphertext, key, their, mut control) = match destination {
        Destination::Node(hop) => {
            let (sealed, secret) = seal(&hop.x25519, &frame(body, json!({"headers": ""}))?)?;
            (sealed, secret, hop.x25519, json!({"destination": hop.ed25519.to_string()}))
        }
        Destination::Server { x25519, server } => {
            if path.is_empty() {
                return Err(BuildError::EmptyPath);
            }
            let (sealed, secret) = seal(x25519, body)?;
            let protocol = if server.https { "https" } else { "http" };
            let control = json!({
                "host": server.host, "target": server.target, "method": "POST",
                "protocol": protocol, "port": server.port,
            });
            (sealed, secret, *x25519, control)
        }
    };
    let mut ephemeral = key.public();
    for hop in path.iter().rev() {
        set_key(&mut control, ephemeral, enc_type);
        let (sealed, secret) = seal(&hop.x25519, &frame(&ciphertext, control)?)?;
        ciphertext = sealed;
        ephemeral = secret.public();
        control = json!({"destination": hop.ed25519.to_string()});
    }
    let mut outermost = json!({});
    set_key(&mut outermost, ephemeral, enc_type);
    let payload = frame(&ciphertext, outermost)?;
    Ok((payload, ReplyKey { enc_type, secret: key, destination: their }))
}

/// Names the key and cipher of the layer inside. AES-GCM goes without saying, as the clients have it.
fn set_key(control: &mut Value, ephemeral: X25519PublicKey, enc_type: EncType) {
    if let Some(control) = control.as_object_mut() {
        control.insert("ephemeral_key".to_owned(), ephemeral.to_string().into());
        if enc_type != EncType::AesGcm {
            control.insert("enc_type".to_owned(), enc_type.as_str().into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crypto::Ed25519Secret,
        onion::{
            Layer, OnionError, Opened, PeelError, Peeled, decode_hop, encode_hop, parse_entry, peel, peel_batch,
            wrap_reply,
        },
    };
    use proptest::prelude::*;

    fn node(seed: u8) -> (X25519Secret, Hop) {
        let ed25519 = Ed25519Secret::from_seed(&[seed; 32]);
        let x25519 = ed25519.x25519();
        let hop = Hop { ed25519: ed25519.public(), x25519: x25519.public() };
        (x25519, hop)
    }

    proptest! {
        #[test]
        fn built_layers_peel_to_the_same_bytes(body: Vec<u8>, hops in 0usize..5, which in 0usize..3, flip: u16) {
            let enc_type = [EncType::AesGcm, EncType::AesCbc, EncType::XChaCha20][which];
            let nodes: Vec<_> = (1..=5).map(node).collect();
            let path: Vec<Hop> = nodes[..hops].iter().map(|(_, hop)| *hop).collect();
            let (payload, key) = build(&path, &Destination::Node(nodes[hops].1), &body, enc_type).unwrap();

            let mut layer = parse_entry(payload).unwrap();
            for (secret, _) in &nodes[..hops] {
                let at = layer.ciphertext.as_ptr() as usize..layer.ciphertext.as_ptr() as usize + layer.ciphertext.len();
                let Ok(Peeled::Relay { next, .. }) = peel(secret, layer).peeled else { panic!("not a relay") };
                let dict = encode_hop(next);
                // In the buffer in which it came.
                prop_assert!(at.contains(&(dict.as_ptr() as usize)));
                layer = decode_hop(dict).unwrap();
            }
            let secret = &nodes[hops].0;
            let Opened { key: answers, peeled } = peel(secret, layer.clone());
            let want = Ok(Peeled::Final { body: body.into(), json: false, base64: true });
            prop_assert_eq!(&peeled, &want);
            let bad = Layer { ephemeral_key: X25519PublicKey([0; 32]), ..layer.clone() };
            let batch = peel_batch(secret, vec![layer.clone(), bad, layer.clone()]);
            prop_assert_eq!(&batch[0].peeled, &want);
            prop_assert_eq!(&batch[1].peeled, &Err(PeelError::Ciphertext));
            prop_assert!(batch[1].key.is_none());
            prop_assert_eq!(&batch[2].peeled, &want);
            let reply = wrap_reply(&answers.unwrap(), b"answer", true).unwrap();
            let opened = key.open(&reply, true);
            prop_assert_eq!(opened.as_deref(), Some(b"answer".as_slice()));

            let bit = usize::from(flip) % (layer.ciphertext.len() * 8);
            layer.ciphertext.bytes_mut()[bit / 8] ^= 1 << (bit % 8);
            let broken = peel(secret, layer).peeled;
            prop_assert!(enc_type == EncType::AesCbc || broken == Err(PeelError::Ciphertext));
        }

        #[test]
        fn truncated_payloads_are_refused(cut in 0usize..1000) {
            let (payload, _) = build(&[], &Destination::Node(node(1).1), b"{}", EncType::AesGcm).unwrap();
            let refused = parse_entry(&payload[..cut.min(payload.len() - 1)]);
            prop_assert!(matches!(refused, Err(OnionError::Entry(_))));
        }
    }

    /// `spec/node-tests` §3.3.
    #[test]
    fn server_targets() {
        let (secret, hop) = node(1);
        let (_, server) = node(2);
        let built = |target: &str, port, https| {
            let target = ServerTarget { host: "host".to_owned(), target: target.to_owned(), port, https };
            let to = Destination::Server { x25519: server.x25519, server: target };
            let (payload, _) = build(&[hop], &to, b"x", EncType::AesGcm).unwrap();
            peel(&secret, parse_entry(payload).unwrap()).peeled
        };
        for target in ["/loki/v3/lsrpc", "/loki/oxen/v4/lsrpc", "/oxen/v3/lsrpc"] {
            let Ok(Peeled::Server { server, payload }) = built(target, 80, false) else { panic!("{target}") };
            assert_eq!((server.port, server.https), (80, false));
            assert!(Frame::parse(&payload).unwrap().control.get("ephemeral_key").is_some());
        }
        for target in ["/not_loki/v3/lsrpc", "/loki/v3", "/loki/v3/lsrpc?foo=bar"] {
            assert_eq!(built(target, 443, true), Err(PeelError::Url), "{target}");
        }
    }
}
