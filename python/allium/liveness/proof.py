"""Uptime proofs: what a node says of itself, signed (`spec/appchain` §4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from ipaddress import AddressValueError, IPv4Address
from typing import Any

from bencode2 import BencodeDecodeError, bdecode, bencode
from nacl import bindings

from allium.appchain.keccak import keccak_256
from allium.appchain.types import L2Height, PublicKey, Seconds, Signature

Version = tuple[int, int, int]

#: Of the storage server, as its protocol counts, and of what runs it.
MINIMUM_STORAGE: Version = (2, 8, 0)
MINIMUM_NODE: Version = (0, 1, 0)
#: Bytes of a proof. What is known takes less than 300.
MAX_BYTES = 1024
_MAX_PORT = 65535
_MAX_NUMBER = 2**63 - 1


class ProofError(ValueError):
    """Bytes that are no proof, or one that does not count; the text says why."""


@dataclass(frozen=True)
class Uptime:
    """What a node says."""

    pubkey: PublicKey
    #: By its own clock.
    time: Seconds
    ip: str
    https_port: int
    omq_port: int
    #: Up to where its view of the EVM chain is final.
    l2_height: L2Height
    storage: Version
    node: Version
    #: The key by which clients know it, where that is another one.
    legacy: bytes | None = None

    @property
    def place(self) -> tuple[str, int, int]:
        """Where it can be reached."""
        return self.ip, self.https_port, self.omq_port

    @cached_property
    def encoded(self) -> bytes:
        """The bytes of the dict."""
        said: dict[str, Any] = {
            "ip": self.ip,
            "l2": self.l2_height,
            "lv": [0, 0, 0],
            "pke": self.pubkey,
            "q": self.omq_port,
            "shp": self.https_port,
            "sop": self.omq_port,
            "sv": list(self.storage),
            "t": self.time,
            "v": list(self.node),
        }
        return bencode(said if self.legacy in (None, self.pubkey) else said | {"pk": self.legacy})


@dataclass(frozen=True)
class SignedProof:
    """A proof as it travels: the bytes that were signed, which may say more than is known here."""

    said: bytes
    signature: Signature

    @cached_property
    def digest(self) -> bytes:
        """What is signed."""
        return digest(self.said)

    @cached_property
    def uptime(self) -> Uptime:
        """What it says; raises `ProofError`."""
        return parse(self.said)


def sign(uptime: Uptime, secret: bytes) -> SignedProof:
    """A proof, by libsodium's secret key of the node."""
    return SignedProof(uptime.encoded, Signature(bindings.crypto_sign(digest(uptime.encoded), secret)[:64]))


def digest(said: bytes) -> bytes:
    """Keccak-256."""
    return keccak_256(said)


def parse(said: bytes) -> Uptime:
    """What a proof says; raises `ProofError`. Other keys may stand beside those that are known."""
    if len(said) > MAX_BYTES:
        raise ProofError("longer than any proof")
    try:
        fields = bdecode(said)
    except (BencodeDecodeError, ValueError, RecursionError):
        raise ProofError("not bencoded") from None
    if not isinstance(fields, dict):
        raise ProofError("not a dict")
    return Uptime(
        pubkey=PublicKey(_key(fields, b"pke")),
        time=Seconds(_number(fields, b"t", 1, _MAX_NUMBER)),
        ip=_ip(fields),
        https_port=_number(fields, b"shp", 1, _MAX_PORT),
        omq_port=_omq_port(fields),
        l2_height=L2Height(_number(fields, b"l2", 1, _MAX_NUMBER)),
        storage=_version(fields, b"sv"),
        node=_version(fields, b"v"),
        legacy=_key(fields, b"pk") if b"pk" in fields else None,
    )


def fault(uptime: Uptime, now: float, tolerance: float, private: bool) -> str | None:
    """Why a proof does not count, whoever signed it; `private`: addresses of one machine do."""
    if abs(uptime.time - now) > tolerance:
        return f"its time is {uptime.time - now:+.0f} s from now"
    if uptime.storage < MINIMUM_STORAGE or uptime.node < MINIMUM_NODE:
        return f"its versions {uptime.storage} and {uptime.node} are too old"
    if not (private or IPv4Address(uptime.ip).is_global):
        return f"{uptime.ip} cannot be reached by others"
    return None


def _omq_port(fields: dict[bytes, Any]) -> int:
    """Of nodes here, one port serves other nodes and clients."""
    _number(fields, b"q", 1, _MAX_PORT)
    return _number(fields, b"sop", 1, _MAX_PORT)


def _key(fields: dict[bytes, Any], name: bytes) -> bytes:
    value = fields.get(name)
    if isinstance(value, bytes) and len(value) == 32:
        return value
    raise ProofError(f"{name.decode()} must be a key")


def _number(fields: dict[bytes, Any], name: bytes, least: int, most: int) -> int:
    value = fields.get(name)
    if type(value) is int and least <= value <= most:
        return value
    raise ProofError(f"{name.decode()} must be a number from {least} to {most}")


def _version(fields: dict[bytes, Any], name: bytes) -> Version:
    match fields.get(name):
        case [int(major), int(minor), int(patch)] if all(0 <= part < 2**16 for part in (major, minor, patch)):
            return major, minor, patch
    raise ProofError(f"{name.decode()} must be a version")


def _ip(fields: dict[bytes, Any]) -> str:
    value = fields.get(b"ip")
    try:
        if isinstance(value, bytes) and len(value) <= 15:
            return str(IPv4Address(value.decode("ascii")))
    except (AddressValueError, UnicodeDecodeError):
        pass
    raise ProofError("ip must be an IPv4 address")
