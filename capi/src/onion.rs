//! Onion layers: opened, answered, made.

use std::{ffi::c_char, mem::MaybeUninit, ptr};

use allium_engine::{
    EncType, LayerKey, X25519Secret,
    onion::{
        Layer, Opened, PeelError, Peeled,
        build::{self, Destination, Hop},
        encode_hop, parse_entry, peel_batch, wrap_reply,
    },
    types::{Ed25519PublicKey, X25519PublicKey},
};

use crate::{
    borrow::{AlliumBytes, AlliumKey, AlliumSlice, allium_bytes_free, array, string},
    error::{AlliumError, AlliumStatus, Failure, given, guard, invalid, quietly},
};

/// Seals the answer to one layer.
pub struct AlliumLayerKey(LayerKey);

/// Opens the answer to one request.
pub struct AlliumReplyKey(build::ReplyKey);

/// What is under a layer.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlliumPeeledKind {
    /// A request for this node: `body` is JSON `{"method", "params"}`.
    Final = 0,
    /// For a server: `body` is to be posted to `target` at `host`.
    Server = 1,
    /// For the node `destination`: `body` is what `sn.onion_request` of that node takes.
    Relay = 2,
    /// Nothing that opens: answered in the clear with status 400 and `Invalid ciphertext`.
    Ciphertext = 3,
    /// Nothing that can be read: answered under `key` with status 400 and `Invalid json`.
    Json = 4,
    /// A server that may not be posted to: answered under `key` with status 400 and `Invalid url`.
    Url = 5,
    /// The payload is no layer: answered in the clear with status 400 and the text in `body`.
    Malformed = 6,
}

/// A layer, opened or not. For `allium_peeled_free`.
#[repr(C)]
pub struct AlliumPeeled {
    /// What there is.
    pub kind: AlliumPeeledKind,
    /// Seals the answer; NULL when nothing was opened.
    pub key: *mut AlliumLayerKey,
    /// As `kind` says.
    pub body: AlliumBytes,
    /// Of a relay.
    pub destination: AlliumKey,
    /// Of a server: its name or address, not ended with NUL.
    pub host: AlliumBytes,
    /// Of a server: the path, not ended with NUL.
    pub target: AlliumBytes,
    /// Of a server.
    pub port: u16,
    /// Of a server: HTTPS rather than HTTP.
    pub https: bool,
    /// Of a request: the answer's `body` as a JSON value rather than as text.
    pub json: bool,
    /// Of a request: the answer in base64 rather than raw.
    pub base64: bool,
}

impl AlliumPeeled {
    const fn new(kind: AlliumPeeledKind) -> Self {
        Self {
            kind,
            key: ptr::null_mut(),
            body: AlliumBytes::none(),
            destination: AlliumKey { bytes: [0; 32] },
            host: AlliumBytes::none(),
            target: AlliumBytes::none(),
            port: 0,
            https: false,
            json: false,
            base64: true,
        }
    }

    fn of(Opened { key, peeled }: Opened) -> Self {
        let mut out = match peeled {
            Ok(Peeled::Final { body, json, base64 }) => {
                Self { body: AlliumBytes::new(body.to_vec()), json, base64, ..Self::new(AlliumPeeledKind::Final) }
            }
            Ok(Peeled::Server { server, payload }) => Self {
                body: AlliumBytes::new(payload.to_vec()),
                host: AlliumBytes::new(server.host.into_bytes()),
                target: AlliumBytes::new(server.target.into_bytes()),
                port: server.port,
                https: server.https,
                ..Self::new(AlliumPeeledKind::Server)
            },
            Ok(Peeled::Relay { destination, next }) => Self {
                destination: AlliumKey { bytes: destination.0 },
                body: AlliumBytes::new(encode_hop(next).to_vec()),
                ..Self::new(AlliumPeeledKind::Relay)
            },
            Err(PeelError::Ciphertext) => Self::new(AlliumPeeledKind::Ciphertext),
            Err(PeelError::Json) => Self::new(AlliumPeeledKind::Json),
            Err(PeelError::Url) => Self::new(AlliumPeeledKind::Url),
        };
        if out.kind != AlliumPeeledKind::Ciphertext
            && let Some(key) = key
        {
            out.key = Box::into_raw(Box::new(AlliumLayerKey(key)));
        }
        out
    }
}

/// Opens the layer of a payload that a client has posted, with the node's X25519 secret. What is wrong with the payload is
/// for whoever sent it, and in `peeled`; the status is about the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn allium_onion_peel(
    x25519_secret: Option<&AlliumKey>,
    payload: AlliumSlice,
    peeled: Option<&mut MaybeUninit<AlliumPeeled>>,
    error: Option<&mut MaybeUninit<AlliumError>>,
) -> AlliumStatus {
    let peeled = peeled.map_or(ptr::null_mut(), MaybeUninit::as_mut_ptr);
    // SAFETY: one of each, as the header asks.
    unsafe { allium_onion_peel_batch(x25519_secret, &raw const payload, 1, peeled, error) }
}

/// `allium_onion_peel` for `count` payloads at a fraction of the cost; `peeled` has room for as many.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn allium_onion_peel_batch(
    x25519_secret: Option<&AlliumKey>,
    payloads: *const AlliumSlice,
    count: usize,
    peeled: *mut AlliumPeeled,
    error: Option<&mut MaybeUninit<AlliumError>>,
) -> AlliumStatus {
    guard(error, || {
        let secret = X25519Secret::from_bytes(given(x25519_secret, "x25519_secret")?.bytes);
        if peeled.is_null() {
            return Err(invalid("peeled is NULL"));
        }
        // SAFETY: as the header asks.
        let payloads = unsafe { array(payloads, count, "payloads") }?;
        let parse = |payload: &AlliumSlice| {
            // SAFETY: as the header asks.
            let bytes = unsafe { payload.bytes() }?;
            Ok(parse_entry(bytes).map_err(|error| error.to_string()))
        };
        let parsed: Vec<Result<Layer, String>> = payloads.iter().map(parse).collect::<Result<_, Failure>>()?;
        let mut layers = Vec::with_capacity(count);
        // What is no layer keeps its place.
        let places: Vec<Option<String>> =
            parsed.into_iter().map(|layer| layer.map(|layer| layers.push(layer)).err()).collect();
        let mut opened = peel_batch(&secret, layers).into_iter().map(AlliumPeeled::of);
        for (number, malformed) in places.into_iter().enumerate() {
            let one = match malformed {
                Some(text) => Some(AlliumPeeled {
                    body: AlliumBytes::new(text.into_bytes()),
                    ..AlliumPeeled::new(AlliumPeeledKind::Malformed)
                }),
                None => opened.next(),
            };
            let one = one.unwrap_or_else(|| AlliumPeeled::new(AlliumPeeledKind::Ciphertext));
            // SAFETY: there is room for `count`, as the header asks.
            unsafe { peeled.add(number).write(one) };
        }
        Ok(())
    })
}

/// Gives back what is in a layer, key included. Nothing is left in it.
#[unsafe(no_mangle)]
pub extern "C" fn allium_peeled_free(peeled: Option<&mut AlliumPeeled>) {
    quietly((), || {
        let peeled = peeled?;
        for bytes in [&mut peeled.body, &mut peeled.host, &mut peeled.target] {
            allium_bytes_free(Some(bytes));
        }
        let key = std::mem::replace(&mut peeled.key, ptr::null_mut());
        if !key.is_null() {
            // SAFETY: `AlliumPeeled::of` made it of a box, and nobody has given it back before.
            drop(unsafe { Box::from_raw(key) });
        }
        Some(())
    });
}

/// Seals an answer for whoever sent the layer of `key`, in base64 or raw. `sealed` is for `allium_bytes_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn allium_onion_seal(
    key: Option<&AlliumLayerKey>,
    plaintext: AlliumSlice,
    base64: bool,
    sealed: Option<&mut MaybeUninit<AlliumBytes>>,
    error: Option<&mut MaybeUninit<AlliumError>>,
) -> AlliumStatus {
    guard(error, || {
        let (key, out) = (given(key, "key")?, given(sealed, "sealed")?);
        // SAFETY: as the header asks.
        let plaintext = unsafe { plaintext.bytes() }?;
        let sealed = wrap_reply(&key.0, plaintext, base64);
        let sealed = sealed.ok_or_else(|| Failure(AlliumStatus::Io, "the system has no randomness".to_owned()))?;
        out.write(AlliumBytes::new(sealed.as_slice()));
        Ok(())
    })
}

/// A node on a path.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct AlliumHop {
    /// How the hop before it names it.
    pub ed25519: AlliumKey,
    /// What its layer is encrypted to.
    pub x25519: AlliumKey,
}

impl AlliumHop {
    const fn hop(&self) -> Hop {
        Hop { ed25519: Ed25519PublicKey(self.ed25519.bytes), x25519: X25519PublicKey(self.x25519.bytes) }
    }
}

/// What a client posts to the first of `count` nodes of `path` (to `destination` itself without any). `body` is JSON
/// `{"method", "params"}`; `enc_type` is `aes-gcm` (also for NULL), `xchacha20` or `aes-cbc`. `payload` is for
/// `allium_bytes_free`, `key` for `allium_reply_key_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn allium_onion_build(
    path: *const AlliumHop,
    count: usize,
    destination: Option<&AlliumHop>,
    body: AlliumSlice,
    enc_type: *const c_char,
    payload: Option<&mut MaybeUninit<AlliumBytes>>,
    key: Option<&mut MaybeUninit<*mut AlliumReplyKey>>,
    error: Option<&mut MaybeUninit<AlliumError>>,
) -> AlliumStatus {
    guard(error, || {
        // SAFETY: as the header asks.
        let (path, body) = unsafe { (array(path, count, "path")?, body.bytes()?) };
        let path: Vec<Hop> = path.iter().map(AlliumHop::hop).collect();
        let enc_type = if enc_type.is_null() {
            EncType::default()
        } else {
            // SAFETY: as the header asks.
            unsafe { string(enc_type, "enc_type") }?.parse().map_err(invalid)?
        };
        let (payload_out, key_out) = (given(payload, "payload")?, given(key, "key")?);
        let destination = Destination::Node(given(destination, "destination")?.hop());
        let (payload, key) = build::build(&path, &destination, body, enc_type).map_err(invalid)?;
        payload_out.write(AlliumBytes::new(payload));
        key_out.write(Box::into_raw(Box::new(AlliumReplyKey(key))));
        Ok(())
    })
}

/// The plaintext of the answer to a request; `ALLIUM_STATUS_CIPHERTEXT` when it is not from the destination. `plaintext` is
/// for `allium_bytes_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn allium_reply_key_open(
    key: Option<&AlliumReplyKey>,
    reply: AlliumSlice,
    base64: bool,
    plaintext: Option<&mut MaybeUninit<AlliumBytes>>,
    error: Option<&mut MaybeUninit<AlliumError>>,
) -> AlliumStatus {
    guard(error, || {
        let (key, out) = (given(key, "key")?, given(plaintext, "plaintext")?);
        // SAFETY: as the header asks.
        let opened = key.0.open(unsafe { reply.bytes() }?, base64);
        let opened = opened.ok_or_else(|| Failure(AlliumStatus::Ciphertext, "not from the destination".to_owned()))?;
        out.write(AlliumBytes::new(opened));
        Ok(())
    })
}

/// Takes `key`.
#[unsafe(no_mangle)]
pub extern "C" fn allium_reply_key_free(key: Option<Box<AlliumReplyKey>>) {
    quietly((), || {
        drop(key);
        Some(())
    });
}
