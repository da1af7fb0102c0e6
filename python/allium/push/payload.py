"""What a device is told: a message and what is known of it, for the holder of its key (`spec/client-network`)."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from dataclasses import dataclass

from nacl import bindings

#: The longest message that goes with its notification: base64 of all has to fit into 4,096 bytes.
MOST_BODY = 2500
_PADDING = 256
_NONCE = 24


@dataclass(frozen=True, slots=True)
class Message:
    """A message as a node tells of it. Times are Unix milliseconds."""

    #: 33 bytes.
    account: bytes
    hash: str
    namespace: int
    timestamp: int
    expiry: int
    #: `None` when nobody asked for it.
    data: bytes | None


def is_named(message: Message) -> bool:
    """Whether a message's hash is that of its data, which must be there (`spec/node-rpc` §2.6)."""
    namespace = str(message.namespace).encode() if message.namespace else b""
    digest = hashlib.blake2b(message.account + namespace + (message.data or b""), digest_size=32).digest()
    return base64.b64encode(digest).decode().rstrip("=") == message.hash


def plain(message: Message, with_data: bool) -> bytes:
    """Metadata and, where it is wanted and fits, the message: a bencoded list, padded."""
    about = {
        "@": message.account.hex(),
        "#": message.hash,
        "n": message.namespace,
        "t": message.timestamp,
        "z": message.expiry,
    }
    body = message.data if with_data else None
    if body is not None:
        about["l"] = len(body)
        if len(body) > MOST_BODY:
            about["B"] = True
            body = None
    meta = json.dumps(about, separators=(",", ":")).encode()
    listed = b"l%d:%b%be" % (len(meta), meta, b"" if body is None else b"%d:%b" % (len(body), body))
    return listed + bytes(-len(listed) % _PADDING)


def sealed(plaintext: bytes, enc_key: bytes) -> str:
    """`enc_payload`: nonce and ciphertext of XChaCha20-Poly1305, in base64."""
    nonce = os.urandom(_NONCE)
    ciphertext = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, None, nonce, enc_key)
    return base64.b64encode(nonce + ciphertext).decode()
