"""Ids and signatures by which a community's server tells accounts apart (`spec/groups` §9.1, §9.2, §9.5)."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Literal

from allium.client import crypto, curve
from allium.client.account import Account, account_id_of, account_key
from allium.client.configs import ids

Scheme = Literal[15, 25]
_VERSION = b"\x00"


class BlindingError(ValueError):
    """Bytes or an id that no blinded account has."""


@dataclass(frozen=True)
class BlindedKey:
    """An account's key for one server. Its scalar is secret."""

    scheme: Scheme
    #: An Ed25519 point of 32 bytes.
    public: bytes
    scalar: bytes = field(repr=False)
    account: Account = field(repr=False)

    @property
    def blinded_id(self) -> str:
        """15 or 25, and 64 digits."""
        return f"{self.scheme}{self.public.hex()}"

    def sign(self, message: bytes) -> bytes:
        """A signature (64 bytes) that verifies with plain Ed25519 against `public`."""
        secret = self.account.ed25519_secret
        if self.scheme == 15:
            prefix = hashlib.sha512(secret).digest()[32:]
            wide = hashlib.sha512(prefix + self.public + message).digest()
        else:
            seed = crypto.blake2b(32, secret[: crypto.SEED_BYTES], key=b"SessCommBlind25_seed")
            wide = crypto.blake2b(64, seed, self.public, message, key=b"SessCommBlind25_sig")
        return curve.sign(self.scalar, self.public, curve.reduce(wide), message)


def blinded_key(account: Account, server_key: bytes, scheme: Scheme = 15) -> BlindedKey:
    """The key of an account for a server (its X25519 key)."""
    scalar = curve.secret_scalar(account.ed25519_secret)
    if scheme == 25 and curve.is_negative(account.ed25519_public):
        scalar = curve.negate(scalar)
    blinded = curve.multiply(_factor(account.x25519_public, server_key, scheme), scalar)
    return BlindedKey(scheme, curve.base_times(blinded), blinded, account)


def candidates(account_id: str, server_key: bytes) -> list[str]:
    """Every blinded id that an account can have on a server; `ValueError` for an id that is no good key."""
    key = account_key(account_id)
    point = curve.point_of(key)
    positive = curve.times(_factor(key, server_key, 15), point)
    fifteen = sorted([positive, curve.flipped(positive)], key=curve.is_negative)
    return [*(f"15{each.hex()}" for each in fifteen), f"25{curve.times(_factor(key, server_key, 25), point).hex()}"]


def is_blinded(blinded_id: str, account_id: str, server_key: bytes) -> bool:
    """Whether a blinded id is that account's; false for bad ids."""
    try:
        return blinded_id.lower() in candidates(account_id, server_key)
    except ValueError:
        return False


def verify(blinded_id: str, signature: bytes, message: bytes) -> bool:
    """Whether a post is by a blinded id; false for any malformed input."""
    try:
        return crypto.verify(_point(blinded_id), signature, message)
    except BlindingError:
        return False


def request_text(server_key: bytes, nonce: bytes, timestamp: int, method: str, path: str, body: bytes = b"") -> bytes:
    """What is signed of a request to a server: nonce of 16 bytes, Unix seconds, decoded path with its query."""
    hashed = crypto.blake2b(64, body) if body else b""
    return server_key + nonce + str(timestamp).encode() + method.encode() + path.encode() + hashed


# Messages between two blinded accounts


def seal(sender: BlindedKey, recipient: str, padded: bytes, nonce: bytes | None = None) -> bytes:
    """A message to a blinded id of the same scheme; `BlindingError` for any other id."""
    nonce = nonce or secrets.token_bytes(crypto.NONCE_BYTES)
    key = _message_key(sender, _point(recipient, sender.scheme), sender.public, _point(recipient))
    return _VERSION + crypto.encrypt(padded + sender.account.ed25519_public, nonce, key) + nonce


def open_sealed(own: BlindedKey, sender: str, recipient: str, server_key: bytes, data: bytes) -> tuple[str, bytes]:
    """The sender's Account ID and the padded content of a message that we got, or that we sent ourselves.

    `BlindingError` if it is not what it says.
    """
    mine, theirs = _point(sender, own.scheme), _point(recipient, own.scheme)
    other = theirs if mine == own.public else mine
    key = _message_key(own, other, mine, theirs)
    nonce = data[-crypto.NONCE_BYTES :]
    plaintext = crypto.decrypt(data[1 : -crypto.NONCE_BYTES], nonce, key) if data[:1] == _VERSION else None
    if plaintext is None or len(plaintext) < crypto.PUBLIC_KEY_BYTES:
        raise BlindingError("no key opens it")
    padded, ed25519 = plaintext[: -crypto.PUBLIC_KEY_BYTES], plaintext[-crypto.PUBLIC_KEY_BYTES :]
    try:
        account_id = account_id_of(ed25519)
    except ValueError as error:
        raise BlindingError(str(error)) from None
    if not is_blinded(sender, account_id, server_key):
        raise BlindingError("the sender is somebody else")
    return account_id, padded


def _message_key(own: BlindedKey, other: bytes, sender: bytes, recipient: bytes) -> bytes:
    scalar = curve.secret_scalar(own.account.ed25519_secret) if own.scheme == 15 else own.scalar
    try:
        return crypto.blake2b(32, curve.times(scalar, other), sender, recipient)
    except curve.CurveError as error:
        raise BlindingError(str(error)) from None


def _factor(x25519_public: bytes, server_key: bytes, scheme: Scheme) -> bytes:
    if scheme == 15:
        return curve.reduce(crypto.blake2b(64, server_key))
    return curve.reduce(crypto.blake2b(64, b"\x05", x25519_public, server_key))


def _point(blinded_id: str, scheme: Scheme | None = None) -> bytes:
    try:
        packed = ids.packed(blinded_id, *((str(scheme),) if scheme else ids.BLINDED))
    except ValueError as error:
        raise BlindingError(str(error)) from None
    return packed[1:]
