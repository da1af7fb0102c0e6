"""Onion layers as a node opens and answers them, straight from `spec/onion`, on libsodium and OpenSSL alone."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import struct
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nacl import bindings
from nacl.exceptions import CryptoError

GCM, XCHACHA, CBC = "aes-gcm", "xchacha20", "aes-cbc"
NAMES = {GCM: GCM, "gcm": GCM, XCHACHA: XCHACHA, "xchacha20-poly1305": XCHACHA, CBC: CBC, "cbc": CBC}


class LayerError(Exception):
    """A layer that does not open, or a frame that is none."""


@dataclass(frozen=True)
class ReferenceLayer:
    """What a node shares with whoever sent it a layer."""

    cipher: str
    shared: bytes
    #: The sender's key, then the node's.
    keys: bytes

    @classmethod
    def between(cls, node_secret: bytes, ephemeral: bytes, enc_type: str) -> ReferenceLayer:
        """`LayerError` for keys and ciphers that are none."""
        try:
            shared = bindings.crypto_scalarmult(node_secret, ephemeral)
            return cls(NAMES[enc_type], shared, ephemeral + bindings.crypto_scalarmult_base(node_secret))
        except (KeyError, RuntimeError, ValueError) as error:
            raise LayerError(str(error)) from error

    def open(self, ciphertext: bytes) -> bytes:
        """`LayerError` when it was not sealed for this node."""
        try:
            if self.cipher == GCM:
                return self._gcm().decrypt(ciphertext[:12], ciphertext[12:], None)
            if self.cipher == XCHACHA:
                aead = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt
                return aead(ciphertext[24:], None, ciphertext[:24], self._blake())
            opened = self._cbc(ciphertext[:16]).decryptor()
            unpadded = padding.PKCS7(128).unpadder()
            plain = opened.update(ciphertext[16:]) + opened.finalize()
            return unpadded.update(plain) + unpadded.finalize()
        except (InvalidTag, CryptoError, ValueError) as error:
            raise LayerError("Invalid ciphertext") from error

    def seal(self, plaintext: bytes) -> bytes:
        if self.cipher == GCM:
            iv = os.urandom(12)
            return iv + self._gcm().encrypt(iv, plaintext, None)
        if self.cipher == XCHACHA:
            nonce = os.urandom(24)
            aead = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt
            return nonce + aead(plaintext, None, nonce, self._blake())
        iv = os.urandom(16)
        padder, sealed = padding.PKCS7(128).padder(), self._cbc(iv).encryptor()
        return iv + sealed.update(padder.update(plaintext) + padder.finalize()) + sealed.finalize()

    def _gcm(self) -> AESGCM:
        return AESGCM(hmac.digest(b"LOKI", self.shared, hashlib.sha256))

    def _blake(self) -> bytes:
        return hashlib.blake2b(self.shared + self.keys, digest_size=32).digest()

    def _cbc(self, iv: bytes) -> Cipher[modes.CBC]:
        return Cipher(algorithms.AES(self.shared), modes.CBC(iv))


def unframe(plaintext: bytes) -> tuple[bytes, dict[str, Any]]:
    """Ciphertext (or body) and control JSON; `LayerError`."""
    try:
        [length] = struct.unpack_from("<I", plaintext)
        rest = plaintext[4 + length :]
        control = json.loads(rest)
    except (struct.error, ValueError) as error:
        raise LayerError(str(error)) from error
    if not isinstance(control, dict):
        raise LayerError("no JSON object")
    return plaintext[4 : 4 + length], control


def sealed_for(x25519: bytes, plaintext: bytes, cipher: str = GCM) -> tuple[bytes, dict[str, str], ReferenceLayer]:
    """A layer that a client makes: its ciphertext, what the control data around it say, and what opens the answer."""
    secret = os.urandom(32)
    ephemeral = bindings.crypto_scalarmult_base(secret)
    layer = ReferenceLayer(cipher, bindings.crypto_scalarmult(secret, x25519), ephemeral + x25519)
    control = {"ephemeral_key": ephemeral.hex(), **({} if cipher == GCM else {"enc_type": cipher})}
    return layer.seal(plaintext), control, layer


def frame(ciphertext: bytes, control: dict[str, Any]) -> bytes:
    """Ciphertext and control data, as a layer decrypts to them."""
    return struct.pack("<I", len(ciphertext)) + ciphertext + json.dumps(control).encode()
