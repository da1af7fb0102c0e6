"""Signed tokens with which push services know who sends: JSON Web Tokens (RFC 7519) of P-256 and of RSA keys."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from allium.base import complaint
from allium.errors import SetupError

#: A token that is as old is made anew; all services take one for longer.
_FRESH_SECONDS = 40 * 60.0
_LONGEST_KEY = 64 << 10


class KeyFileError(SetupError):
    """A key of a service that cannot be used; the text says what to do."""


def read(path: Path) -> bytes:
    """A key file as it is; raises `KeyFileError`."""
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST_KEY)
    except PermissionError:
        raise KeyFileError(complaint.denied(path)) from None
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}") from None


def p256(content: bytes, path: Path) -> ec.EllipticCurvePrivateKey:
    """A private key of P-256 from PEM, which `path` has; raises `KeyFileError`."""
    key = _key(content, path)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeyFileError(f"{path} has no private key of P-256; put the service's file there")
    return key


def rsa_key(content: bytes, path: Path) -> rsa.RSAPrivateKey:
    """A private RSA key from PEM, which `path` has; raises `KeyFileError`."""
    key = _key(content, path)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise KeyFileError(f"{path} has no private RSA key; put the service's file there")
    return key


def _key(content: bytes, path: Path) -> Any:
    try:
        return serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFileError(f"{path} has no private key in PEM without a passphrase") from None


def unpadded(data: bytes) -> str:
    """URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def es256(key: ec.EllipticCurvePrivateKey, claims: Mapping[str, Any], **header: str) -> str:
    """A token that a key of P-256 signs."""

    def sign(text: bytes) -> bytes:
        first, second = decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
        return first.to_bytes(32, "big") + second.to_bytes(32, "big")

    return _token({"alg": "ES256", **header}, claims, sign)


def rs256(key: rsa.RSAPrivateKey, claims: Mapping[str, Any], **header: str) -> str:
    """A token that an RSA key signs."""
    return _token({"alg": "RS256", **header}, claims, lambda text: key.sign(text, padding.PKCS1v15(), hashes.SHA256()))


def _token(header: Mapping[str, str], claims: Mapping[str, Any], sign: Callable[[bytes], bytes]) -> str:
    parts = ({"typ": "JWT", **header}, claims)
    text = ".".join(unpadded(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
    return f"{text}.{unpadded(sign(text.encode()))}"


class FreshToken:
    """A token that is made anew before it is too old."""

    def __init__(self, make: Callable[[int], str]) -> None:
        """`make` is given the time, Unix seconds."""
        self._make = make
        self._made = 0.0
        self._token = ""

    def get(self) -> str:
        """The token now."""
        now = time.time()
        if not 0 <= now - self._made < _FRESH_SECONDS:
            self._token, self._made = self._make(int(now)), now
        return self._token

    def forget(self) -> None:
        """It was refused."""
        self._made = 0.0
