"""What nodes sign to be registered, as their operators post it (`spec/portal` §4.1): both signatures are verified."""

from __future__ import annotations

from collections.abc import Mapping
from email.errors import MessageError
from email.parser import BytesParser
from typing import Any
from urllib.parse import parse_qsl

from eth_utils.address import is_address, to_canonical_address, to_checksum_address
from nacl import bindings

from allium._native import BlsDomain
from allium.appchain.certificates import signed
from allium.appchain.events import registration_message
from allium.appchain.types import BlsKey, PublicKey, Signature
from allium.portal.documents import Registration

#: What a body may have; a registration is about 1200 bytes.
MOST_BODY = 16 << 10
_MOST_FIELDS = 16
_LENGTHS = {"pubkey_bls": 64, "sig_ed25519": 64, "sig_bls": 128}


class InvalidRegistrationError(ValueError):
    """What is wrong with a registration, for whoever posted it."""


def fields(content_type: str, body: bytes, query: str) -> dict[str, str]:
    """The fields of a form, of either kind, or of a query; raises `InvalidRegistrationError`."""
    try:
        if not body:
            return dict(parse_qsl(query, max_num_fields=_MOST_FIELDS))
        if content_type.partition(";")[0].strip().lower() == "multipart/form-data":
            return _multipart(content_type, body)
        return dict(parse_qsl(body.decode(), max_num_fields=_MOST_FIELDS))
    except (ValueError, MessageError, LookupError, TypeError):
        # Of parameters in two notations at once, the library's reader compares what cannot be compared.
        raise InvalidRegistrationError("the form cannot be read") from None


def check(domain: BlsDomain, pubkey: str, given: Mapping[str, str], timestamp: int) -> Registration:
    """The registration of a node (64 hex digits), signed by both of its keys; raises `InvalidRegistrationError`."""
    operator = given.get("operator", "")
    if not is_address(operator) or len(operator) != 42:
        raise InvalidRegistrationError("operator is no address")
    raw = {name: _bytes(name, given.get(name, ""), length) for name, length in _LENGTHS.items()}
    key = PublicKey(_bytes("the Ed25519 public key", pubkey, 32))
    if not bindings.crypto_core_ed25519_is_valid_point(key):
        raise InvalidRegistrationError("the Ed25519 public key is no point")
    message = registration_message(key, BlsKey(raw["pubkey_bls"]))
    if not signed(key, Signature(raw["sig_ed25519"]), message):
        raise InvalidRegistrationError("the Ed25519 signature does not verify")
    proof = domain.possession_message(raw["pubkey_bls"], to_canonical_address(operator), key)
    if not domain.verify(raw["pubkey_bls"], proof, raw["sig_bls"]):
        raise InvalidRegistrationError("the BLS signature does not verify")
    return Registration(
        operator=to_checksum_address(operator),
        pubkey_ed25519=key.hex(),
        timestamp=timestamp,
        **{name: value.hex() for name, value in raw.items()},
    )


def _bytes(name: str, text: str, length: int) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != length or len(text) != 2 * length:
        raise InvalidRegistrationError(f"{name} must be {2 * length} hex digits")
    return value


def _multipart(content_type: str, body: bytes) -> dict[str, str]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode("ascii")
    parsed = BytesParser().parsebytes(head + body)
    parts: Any = parsed.get_payload()
    if not isinstance(parts, list) or len(parts) > _MOST_FIELDS:
        raise InvalidRegistrationError("the form cannot be read")
    told: dict[str, str] = {}
    for part in parts:
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            told[name] = payload.decode().strip()
    return told
