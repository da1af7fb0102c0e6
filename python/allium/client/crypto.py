"""What several of the client's formats share: keyed hashes, XChaCha20-Poly1305, Ed25519 (`spec/accounts`)."""

from __future__ import annotations

import hashlib

from nacl import bindings
from nacl.exceptions import CryptoError

KEY_BYTES = bindings.crypto_aead_xchacha20poly1305_ietf_KEYBYTES
NONCE_BYTES = bindings.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
TAG_BYTES = bindings.crypto_aead_xchacha20poly1305_ietf_ABYTES
PUBLIC_KEY_BYTES = bindings.crypto_sign_PUBLICKEYBYTES
SIGNATURE_BYTES = bindings.crypto_sign_BYTES
SEED_BYTES = bindings.crypto_sign_SEEDBYTES


def blake2b(size: int, *parts: bytes, key: bytes = b"", person: bytes = b"") -> bytes:
    """blake2b-`size` of the parts, one after the other."""
    digest = hashlib.blake2b(digest_size=size, key=key, person=person)
    for part in parts:
        digest.update(part)
    return digest.digest()


def encrypt(plaintext: bytes, nonce: bytes, key: bytes) -> bytes:
    """XChaCha20-Poly1305-IETF without further data: ciphertext and 16 bytes of tag."""
    return bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, None, nonce, key)


def decrypt(ciphertext: bytes, nonce: bytes, key: bytes) -> bytes | None:
    """The plaintext; None if the key is another one, or the bytes were changed."""
    try:
        return bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(ciphertext, None, nonce, key)
    except (CryptoError, ValueError, TypeError):
        return None


def key_pair(seed: bytes) -> tuple[bytes, bytes]:
    """The Ed25519 keys of a seed of 32 bytes: public (32 bytes), and secret as libsodium has it (64 bytes)."""
    public, secret = bindings.crypto_sign_seed_keypair(seed)
    return public, secret


def sign(secret: bytes, message: bytes) -> bytes:
    """The Ed25519 signature (64 bytes) by a secret of 64 bytes."""
    return bindings.crypto_sign(message, secret)[:SIGNATURE_BYTES]


def verify(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether an Ed25519 signature is by this key; false for any malformed input."""
    if len(signature) != SIGNATURE_BYTES:
        return False
    try:
        bindings.crypto_sign_open(signature + message, public)
    except (CryptoError, ValueError, TypeError):
        return False
    return True
