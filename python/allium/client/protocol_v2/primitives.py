"""What all of protocol v2 is made of: keys of a seed, X25519, SHAKE256, signed dicts (`spec/protocol-v2`)."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from Cryptodome.Cipher import ChaCha20
from nacl import bindings
from nacl.exceptions import CryptoError

from allium._native import MlKem768Key, ml_kem_768_encapsulate
from allium.client import bencode, crypto
from allium.client.account import Account
from allium.client.bencode import Value

SEED_BYTES = 32
X25519_BYTES = 32
ML_KEM_PUBLIC_BYTES, ML_KEM_CIPHERTEXT_BYTES, ML_KEM_SECRET_BYTES = 1184, 1088, 32
SIGNATURE = b"~"
#: What a node stores as one message, and with that the most that is read of one.
MAX_STORED = 76_800
#: Of two keys, told beside a message, what it takes to try only those that may be meant.
PREFIX_BYTES = 2


class ProtocolError(ValueError):
    """Bytes that are not what protocol v2 has there, or that somebody else signed."""


class UnopenedError(ProtocolError):
    """A message that the keys at hand do not open: one that came meanwhile may."""


@dataclass(frozen=True, slots=True)
class Ephemeral:
    """The key of one message."""

    #: 32 bytes. Secret.
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(X25519_BYTES), repr=False)

    @property
    def public(self) -> bytes:
        """32 bytes."""
        return bindings.crypto_scalarmult_base(self.secret)


class Encapsulation(NamedTuple):
    """A shared secret (32 bytes), and the ciphertext (1088 bytes) that carries it to the owner of an ML-KEM-768 key."""

    ciphertext: bytes
    secret: bytes

    @classmethod
    def to(cls, ml_kem_public: bytes) -> Encapsulation:
        """A fresh one; `ProtocolError` for what is no public key."""
        try:
            return cls(*ml_kem_768_encapsulate(ml_kem_public))
        except ValueError:
            raise ProtocolError("not a public key of ML-KEM-768") from None


class KeyPair:
    """An X25519 key and an ML-KEM-768 key of one seed of 32 bytes: an account's, or a device's. Secret."""

    __slots__ = ("_ml_kem", "ml_kem_public", "seed", "x25519_public", "x25519_secret")

    def __init__(self, seed: bytes, domain: bytes) -> None:
        """The keys that `seed` has in this domain; `ProtocolError` if it is not 32 bytes."""
        if len(seed) != SEED_BYTES:
            raise ProtocolError(f"a seed has {SEED_BYTES} bytes")
        wide = shake(X25519_BYTES + 64, domain, seed)
        self.seed = seed
        self.x25519_secret = wide[:X25519_BYTES]
        self.x25519_public = bindings.crypto_scalarmult_base(self.x25519_secret)
        self._ml_kem = MlKem768Key(wide[X25519_BYTES:])
        self.ml_kem_public = self._ml_kem.public

    def decapsulate(self, ciphertext: bytes) -> bytes:
        """The shared secret of a ciphertext of 1088 bytes: of one for another key, 32 bytes that nobody else has."""
        return self._ml_kem.decapsulate(ciphertext)

    def __repr__(self) -> str:
        return f"KeyPair({self.x25519_public.hex()})"


def shake(size: int, domain: bytes, data: bytes) -> bytes:
    """The first `size` bytes of SHAKE256 of both."""
    return hashlib.shake_256(domain + data).digest(size)


def x25519(secret: bytes, public: bytes) -> bytes:
    """The shared point of two X25519 keys; `ProtocolError` for a public key that makes it the same for everybody."""
    try:
        return bindings.crypto_scalarmult(secret, public)
    except (CryptoError, ValueError, TypeError):
        raise ProtocolError("not a usable X25519 key") from None


def xchacha20(data: bytes, key: bytes, nonce: bytes) -> bytes:
    """XChaCha20 without a MAC, which undoes itself."""
    return ChaCha20.new(key=key, nonce=nonce).encrypt(data)


def xor(left: bytes, right: bytes) -> bytes:
    """Of two strings of one length."""
    return bytes(one ^ other for one, other in zip(left, right, strict=True))


def seed_of(account: Account) -> bytes:
    """The 32 bytes that an account's Ed25519 key is made of. Secret."""
    return account.ed25519_secret[: crypto.SEED_BYTES]


def read_dict(data: bytes, most: int = MAX_STORED) -> dict[bytes, Value]:
    """A dict of at most so many bytes; else `ProtocolError`."""
    if len(data) > most:
        raise ProtocolError(f"more than {most} bytes")
    try:
        return bencode.decode_dict(data)
    except bencode.BencodeError as error:
        raise ProtocolError(str(error)) from None


def bytes_at(items: Mapping[bytes, Value], key: bytes, size: int | None = None) -> bytes:
    """The string under `key`, of `size` bytes if that is given; else `ProtocolError`."""
    value = items.get(key)
    if not isinstance(value, bytes) or (size is not None and len(value) != size):
        raise ProtocolError(f"no string of the right length under {key.decode('ascii', 'replace')!r}")
    return value


def before(items: Mapping[bytes, Value], key: bytes = SIGNATURE) -> bytes:
    """The bytes of a dict that come before a key, which is what a signature under that key signs."""
    # Bencode here has one form for each value, so that these are also the bytes of a dict that was read.
    return bencode.encode({each: value for each, value in items.items() if each < key})[:-1]
