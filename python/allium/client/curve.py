"""Arithmetic on Ed25519 that blinding and subaccounts need: points of X25519 keys, scalars, signatures by scalars.

`spec/groups` §4, §9.2.
"""

from __future__ import annotations

import hashlib

from nacl import bindings
from nacl.exceptions import CryptoError

POINT_BYTES = SCALAR_BYTES = 32
_P = 2**255 - 19
_SIGN = 0x80


class CurveError(ValueError):
    """Bytes that are no point, or one that no key has."""


def reduce(wide: bytes) -> bytes:
    """64 bytes as a scalar modulo the order of the group."""
    return bindings.crypto_core_ed25519_scalar_reduce(wide)


def multiply(left: bytes, right: bytes) -> bytes:
    """The product of two scalars."""
    return bindings.crypto_core_ed25519_scalar_mul(left, right)


def negate(scalar: bytes) -> bytes:
    """The scalar that adds up to nothing with this one."""
    return bindings.crypto_core_ed25519_scalar_negate(scalar)


def base_times(scalar: bytes) -> bytes:
    """The base point times a scalar, which is not clamped."""
    return bindings.crypto_scalarmult_ed25519_base_noclamp(scalar)


def times(scalar: bytes, point: bytes) -> bytes:
    """A point times a scalar, which is not clamped; `CurveError` for what is no point of the group."""
    try:
        return bindings.crypto_scalarmult_ed25519_noclamp(scalar, point)
    except (CryptoError, ValueError, TypeError):
        raise CurveError("not a point of the group") from None


def point_of(x25519_public: bytes) -> bytes:
    """The Ed25519 point, of the two with this X25519 key, whose sign is 0; `CurveError` if there is none."""
    if len(x25519_public) != POINT_BYTES:
        raise CurveError("an X25519 key has 32 bytes")
    u = int.from_bytes(x25519_public, "little") & ((1 << 255) - 1)
    if (u + 1) % _P == 0:
        raise CurveError("no point has this X25519 key")
    y = (u - 1) * pow(u + 1, _P - 2, _P) % _P
    return y.to_bytes(POINT_BYTES, "little")


def is_negative(point: bytes) -> bool:
    """Whether a point's sign is 1."""
    return bool(point[31] & _SIGN)


def flipped(point: bytes) -> bytes:
    """The point of the other sign."""
    return point[:31] + bytes([point[31] ^ _SIGN])


def secret_scalar(ed25519_secret: bytes) -> bytes:
    """The scalar of an Ed25519 secret (64 bytes), which is also the X25519 secret."""
    return bindings.crypto_sign_ed25519_sk_to_curve25519(ed25519_secret)


def sign(scalar: bytes, public: bytes, nonce: bytes, message: bytes) -> bytes:
    """A signature (64 bytes) that verifies with plain Ed25519; `nonce` is a scalar that only this message has."""
    point = base_times(nonce)
    challenge = reduce(hashlib.sha512(point + public + message).digest())
    response = bindings.crypto_core_ed25519_scalar_add(nonce, multiply(challenge, scalar))
    return point + response
