"""Layers opened in batches, beside the libraries that clients use."""

from __future__ import annotations

import hashlib
import hmac
import os

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nacl import bindings

from allium import _native


def seal(cipher: str, client: X25519PrivateKey, node: X25519PrivateKey, plaintext: bytes) -> bytes:
    shared = client.exchange(node.public_key())
    if cipher == "aes-gcm":
        iv = os.urandom(12)
        return iv + AESGCM(hmac.digest(b"LOKI", shared, "sha256")).encrypt(iv, plaintext, None)
    if cipher == "aes-cbc":
        iv = os.urandom(16)
        fill = 16 - len(plaintext) % 16
        encryptor = Cipher(algorithms.AES(shared), modes.CBC(iv)).encryptor()
        return iv + encryptor.update(plaintext + bytes([fill]) * fill) + encryptor.finalize()
    names = client.public_key().public_bytes_raw() + node.public_key().public_bytes_raw()
    key = hashlib.blake2b(shared + names, digest_size=32).digest()
    nonce = os.urandom(24)
    return nonce + bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, None, nonce, key)


@pytest.mark.parametrize("count", [1, 2, 8, 9, 64, 100])
def test_each_layer_of_a_batch_opens_by_itself(count: int) -> None:
    node = X25519PrivateKey.generate()
    layers, want = [], list[bytes | None]()
    for number in range(count):
        client = X25519PrivateKey.generate()
        key = client.public_key().public_bytes_raw()
        cipher = ["aes-gcm", "aes-cbc", "xchacha20"][number % 3]
        plaintext = os.urandom(37 * number)
        sealed = seal(cipher, client, node, plaintext)
        match number % 7:
            case 3 if cipher != "aes-cbc":
                sealed = sealed[:-1] + bytes([sealed[-1] ^ 1])
                want.append(None)
            case 5:
                # Of small order.
                key = bytes([1]) + bytes(31)
                want.append(None)
            case 6:
                sealed = sealed[:11]
                want.append(None)
            case _:
                want.append(plaintext)
        layers.append((cipher, key, sealed))
    assert _native.peel_batch(node.private_bytes_raw(), layers) == want


def test_what_cannot_be_asked_is_refused() -> None:
    assert _native.peel_batch(bytes(32), []) == []
    with pytest.raises(ValueError, match="Invalid encryption type rot13"):
        _native.peel_batch(bytes(32), [("rot13", bytes(32), b"")])
    with pytest.raises(ValueError, match="x25519_secret: 32 bytes"):
        _native.peel_batch(bytes(31), [])
