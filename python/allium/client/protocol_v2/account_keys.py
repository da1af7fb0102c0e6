"""Keys that an account changes twice a day, and tells everybody in namespace -21 (`spec/protocol-v2` §2)."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

from allium.client import bencode, crypto, curve
from allium.client.account import Account, account_key
from allium.client.protocol_v2.primitives import (
    ML_KEM_PUBLIC_BYTES,
    SEED_BYTES,
    SIGNATURE,
    X25519_BYTES,
    Encapsulation,
    KeyPair,
    ProtocolError,
    before,
    bytes_at,
    read_dict,
    seed_of,
    x25519,
)

NAMESPACE = -21
#: Seconds: how long a record is stored, and how long the seed of a key that was rotated away opens messages.
RECORD_TTL, KEPT = 30 * 86_400, 16 * 86_400
#: Seconds between two keys, and by how much a device may come before or after that.
ROTATION, SPREAD = 12 * 3600, 3600
#: Seconds: up to when somebody's record is used as it is, is used and fetched anew, and "there is none" is believed.
FRESH, STALE, ABSENT = 24 * 3600, 48 * 3600, 3600
#: Of a record, far above today's 1302 bytes, for keys that are not known yet.
MAX_RECORD_BYTES = 16_384
#: Of keys in 16 days there are 35, and some more when devices rotate at once; older ones than these are forgotten.
MAX_KEYS = 128
_DOMAIN = b"SessionAccountKeys"

Freshness = Literal["fresh", "stale", "old"]


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """What others seal messages with."""

    #: 1184 bytes.
    ml_kem: bytes
    #: 32 bytes.
    x25519: bytes

    def check(self) -> None:
        """Whether anything can be sealed with them; else `ProtocolError`. It costs as much as sealing a message."""
        Encapsulation.to(self.ml_kem)
        x25519(secrets.token_bytes(X25519_BYTES), self.x25519)


@dataclass(frozen=True, slots=True)
class AccountKey:
    """One key of an account, as its devices share it."""

    #: 32 bytes. Secret.
    seed: bytes = field(repr=False)
    #: Unix seconds.
    created: int
    #: Unix seconds; none while it is the newest.
    rotated: int | None = None

    def __post_init__(self) -> None:
        if len(self.seed) != SEED_BYTES:
            raise ProtocolError(f"the seed of an account key has {SEED_BYTES} bytes")

    @classmethod
    def new(cls, now: int) -> AccountKey:
        """A fresh one, made at `now` in unix seconds."""
        return cls(secrets.token_bytes(SEED_BYTES), now)

    def pair(self) -> KeyPair:
        """The keys themselves. Secret."""
        return KeyPair(self.seed, _DOMAIN)

    def due(self, device_id: bytes, devices: int) -> float:
        """When a device (its id: 32 bytes) of a group of so many replaces this key, in unix seconds.

        Each device has its own moment, so that mostly one comes first and the others need not.
        """
        digest = crypto.blake2b(8, device_id, key=self.seed, person=b"SessionAccKeyRot")
        share = int.from_bytes(digest, "little") / 2**64
        return self.created + ROTATION - SPREAD + 2 * SPREAD * (1 - share ** max(devices, 1))


def merged(*lists: Iterable[AccountKey]) -> tuple[AccountKey, ...]:
    """All keys of several devices, the current one first: in any order of the lists, and any grouping, the same.

    Of two that were made at once, by devices that did not know of each other, the smaller seed is current.
    """
    known: dict[bytes, AccountKey] = {}
    for key in (key for keys in lists for key in keys):
        other = known.get(key.seed, key)
        ends = [each for each in (key.rotated, other.rotated) if each is not None]
        known[key.seed] = AccountKey(key.seed, min(key.created, other.created), min(ends, default=None))
    return tuple(sorted(known.values(), key=lambda key: (-key.created, key.seed))[:MAX_KEYS])


def kept(keys: Iterable[AccountKey], now: int) -> tuple[AccountKey, ...]:
    """Of `merged` keys those whose messages may still come, and when each was rotated away.

    Which is when the next newer one was made, if no device has said.
    """
    listed = tuple(keys)
    ended = [old if old.rotated is not None else replace(old, rotated=new.created) for new, old in pairwise(listed)]
    return (*listed[:1], *(key for key in ended if key.rotated is not None and key.rotated + KEPT > now))


def freshness(age: float) -> Freshness:
    """Of somebody's record that was fetched `age` seconds ago: use it; use it and fetch it anew; fetch it first."""
    return "fresh" if age < FRESH else "stale" if age < STALE else "old"


def record(account: Account, keys: PublicKeys) -> bytes:
    """What is stored in namespace -21: the keys, signed so that the Account ID is enough to check it."""
    items: dict[bytes, bencode.Value] = {b"M": keys.ml_kem, b"X": keys.x25519}
    return bencode.encode({**items, SIGNATURE: positive_signature(account, before(items))})


def read_record(account_id: str, data: bytes) -> PublicKeys:
    """The keys of an account (`05` and 64 hex digits).

    `ProtocolError` for anything that it did not sign, and for keys that nobody can use: it has no record then.
    """
    items = read_dict(data, MAX_RECORD_BYTES)
    keys = PublicKeys(bytes_at(items, b"M", ML_KEM_PUBLIC_BYTES), bytes_at(items, b"X", X25519_BYTES))
    signature = bytes_at(items, SIGNATURE, crypto.SIGNATURE_BYTES)
    try:
        signer = curve.point_of(account_key(account_id))
    except curve.CurveError:
        raise ProtocolError("an account without an Ed25519 key") from None
    if not crypto.verify(signer, signature, before(items)):
        raise ProtocolError("the account did not sign this")
    keys.check()
    return keys


def positive_signature(account: Account, message: bytes) -> bytes:
    """64 bytes that verify with the one of the account's two possible Ed25519 keys whose sign is 0."""
    public, scalar = account.ed25519_public, curve.secret_scalar(account.ed25519_secret)
    if curve.is_negative(public):
        public, scalar = curve.flipped(public), curve.negate(scalar)
    prefix = hashlib.sha512(seed_of(account)).digest()[32:]
    return curve.sign(scalar, public, curve.reduce(hashlib.sha512(prefix + message).digest()), message)
