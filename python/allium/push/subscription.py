"""Subscriptions as clients ask for them, and the proof that they may (`spec/files-and-calls` §5)."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from nacl import bindings
from nacl.exceptions import CryptoError

from allium import _native
from allium.push import endpoints
from allium.server.binary import decoded

#: How old the signature of a subscription may be, and how far ahead, in seconds (`spec/node-rpc` §4.17).
SIGNATURE_SECONDS = 14 * 86_400
_EARLY_SECONDS = 86_400
#: The same of one that ends a subscription, either way.
_UNSUBSCRIBE_SECONDS = 86_400
#: What a node takes (`spec/node-rpc` §4.17).
_MOST_NAMESPACES = 64
_NAMESPACES = range(-(1 << 15), 1 << 15)
_SESSION_PREFIX = 0x05
#: A subaccount's flags (`spec/node-rpc` §2.4).
_READ, _ANY_PREFIX = 1, 8
_LONGEST_TOKEN = 4096
_APNS_TOKEN_HEX = 64
WEB_SERVICES = ("webpush", "unifiedpush")
APNS_SERVICES = ("apns", "apns-sandbox")

Proof = tuple[bytes, bytes, bytes]


class ErrorCode(enum.IntEnum):
    """What a refusal says (`spec/client-network`)."""

    BAD_INPUT = 1
    SERVICE_NOT_AVAILABLE = 2
    SERVICE_TIMEOUT = 3
    ERROR = 4
    INTERNAL_ERROR = 5


class RequestError(ValueError):
    """A request that is refused; the text is for the client."""

    def __init__(self, code: ErrorCode, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Permission:
    """Who asks for an account, and the signature with which nodes believe it."""

    #: 33 bytes.
    account: bytes
    #: Of a Session account, 32 bytes.
    ed25519: bytes | None
    #: Token and signature of whoever is not the account itself: 36 and 64 bytes.
    subaccount: tuple[bytes, bytes] | None
    #: Unix seconds.
    signed_at: int
    signature: bytes

    @property
    def key(self) -> bytes:
        """The account's Ed25519 key."""
        return self.account[1:] if self.ed25519 is None else self.ed25519

    def proofs(self, text: str) -> list[Proof]:
        """What has to hold for them to have signed `text`."""
        if self.subaccount is None:
            return [(self.key, text.encode(), self.signature)]
        token, signature = self.subaccount
        return [(self.key, token, signature), (token[4:], text.encode(), self.signature)]


@dataclass(frozen=True, slots=True)
class Device:
    """Where notifications go."""

    service: str
    #: That of the service, or the URL of a Web Push endpoint; of an account no two have the same.
    token: str
    #: For Web Push: the browser's P-256 key (65 bytes) and its secret (16 bytes).
    web_key: bytes | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """An account's messages, for one device."""

    permission: Permission
    device: Device
    #: Ascending.
    namespaces: tuple[int, ...]
    #: Whether messages come with their notifications.
    data: bool
    #: 32 bytes, for XChaCha20-Poly1305.
    enc_key: bytes

    @property
    def proofs(self) -> list[Proof]:
        """What has to hold."""
        named, given = ",".join(map(str, self.namespaces)), self.permission
        return given.proofs(f"MONITOR{given.account.hex()}{given.signed_at}{int(self.data)}{named}")


@dataclass(frozen=True, slots=True)
class Unsubscription:
    """The end of a subscription."""

    permission: Permission
    device: Device

    @property
    def proofs(self) -> list[Proof]:
        """What has to hold."""
        given = self.permission
        return given.proofs(f"UNSUBSCRIBE{given.account.hex()}{given.signed_at}")


def parse_subscription(given: Any, now: float, services: Mapping[str, bool]) -> Subscription:
    """From decoded JSON; raises `RequestError`. `services`: those that there are, and whether private URLs do.

    Nothing is proven yet.
    """
    fields = _object(given)
    permission = _permission(fields)
    if now - permission.signed_at >= SIGNATURE_SECONDS:
        raise _bad("sig_ts is too old; sign again")
    if permission.signed_at - now >= _EARLY_SECONDS:
        raise _bad("sig_ts is too far in the future")
    device = _device(fields, services)
    namespaces = fields.get("namespaces")
    if not isinstance(namespaces, list) or not namespaces:
        raise _bad("namespaces are missing or empty")
    if len(namespaces) > _MOST_NAMESPACES or not all(_is_whole(one) and one in _NAMESPACES for one in namespaces):
        raise _bad(f"namespaces are at most {_MOST_NAMESPACES} whole numbers from -32768 to 32767")
    if any(first >= second for first, second in pairwise(namespaces)):
        raise _bad("namespaces are not ascending, or one is there twice")
    data = fields.get("data", False)
    if not isinstance(data, bool):
        raise _bad("data is neither true nor false")
    return Subscription(permission, device, tuple(namespaces), data, _bytes(fields, "enc_key", 32))


def parse_unsubscription(given: Any, now: float, services: Mapping[str, bool]) -> Unsubscription:
    """From decoded JSON; raises `RequestError`. Nothing is proven yet."""
    fields = _object(given)
    permission = _permission(fields)
    if abs(now - permission.signed_at) > _UNSUBSCRIBE_SECONDS:
        raise _bad("sig_ts is more than a day off")
    return Unsubscription(permission, _device(fields, services, ends=True))


def prove(asked: list[Subscription] | list[Unsubscription]) -> list[bool]:
    """Whether each of them is permitted; all signatures are verified together."""
    proofs = [one.proofs for one in asked]
    verified = iter(_native.verify_ed25519([proof for each in proofs for proof in each]))
    return [all([next(verified) for _ in each]) for each in proofs]


def _bad(text: str) -> RequestError:
    return RequestError(ErrorCode.BAD_INPUT, f"Invalid request: {text}")


def _object(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise _bad("not an object")
    return given


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _bytes(fields: Mapping[str, Any], name: str, length: int) -> bytes:
    value = fields.get(name)
    found = decoded(value, length) if isinstance(value, str) and len(value) <= 4 * length else None
    if found is None:
        raise _bad(f"{name} is not {length} bytes in hex or base64")
    return found


def _permission(fields: Mapping[str, Any]) -> Permission:
    account = _bytes(fields, "pubkey", 33)
    ed25519 = None
    if account[0] == _SESSION_PREFIX:
        ed25519 = _bytes(fields, "session_ed25519", 32)
        try:
            belongs = bindings.crypto_sign_ed25519_pk_to_curve25519(ed25519) == account[1:]
        except (CryptoError, RuntimeError, ValueError):
            belongs = False
        if not belongs:
            raise _bad("session_ed25519 is not the key of pubkey")
    elif fields.get("session_ed25519") is not None:
        raise _bad("session_ed25519 is only for 05… accounts")
    subaccount = None
    if fields.get("subaccount") is not None:
        subaccount = _bytes(fields, "subaccount", 36), _bytes(fields, "subaccount_sig", 64)
        prefix, flags = subaccount[0][0], subaccount[0][1]
        if not flags & _READ or (prefix != account[0] and not flags & _ANY_PREFIX):
            raise _bad("the subaccount may not read this account")
    signed_at = fields.get("sig_ts")
    if not _is_whole(signed_at) or not 0 < int(signed_at or 0) < 1 << 40:
        raise _bad("sig_ts is not a time in Unix seconds")
    return Permission(account, ed25519, subaccount, int(signed_at or 0), _bytes(fields, "signature", 64))


def _device(fields: Mapping[str, Any], services: Mapping[str, bool], ends: bool = False) -> Device:
    """`ends`: of a subscription that ends, the keys of an endpoint are not needed, nor the service."""
    service, info = fields.get("service"), fields.get("service_info")
    # What cannot be printed, half a surrogate pair above all, is no name that a database could look for.
    if not isinstance(service, str) or not service.isprintable() or not isinstance(info, dict):
        raise _bad("service and service_info are needed")
    if service not in services and not ends:
        raise RequestError(ErrorCode.SERVICE_NOT_AVAILABLE, "this server does not deliver to that service")
    web = service in WEB_SERVICES
    token = info.get("endpoint", info.get("token")) if web else info.get("token")
    if not isinstance(token, str) or not token or len(token) > _LONGEST_TOKEN or not token.isprintable():
        raise _bad("service_info has no usable endpoint" if web else "service_info has no usable token")
    if ends:
        return Device(service, token)
    if service in APNS_SERVICES and decoded(token, _APNS_TOKEN_HEX // 2) is None:
        raise _bad("the token is not 64 hex digits")
    if not web:
        return Device(service, token)
    try:
        endpoints.check(token, private=services[service])
    except endpoints.EndpointError as error:
        raise _bad(f"the endpoint cannot be used: {error}") from None
    keys = info.get("keys", info)
    keys = keys if isinstance(keys, dict) else {}
    public, secret = _bytes(keys, "p256dh", 65), _bytes(keys, "auth", 16)
    if not endpoints.is_p256(public):
        raise _bad("p256dh is no key")
    return Device(service, token, public + secret)


def decode_body(body: bytes) -> Any:
    """The JSON of a request; raises `RequestError`."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise _bad("the body is not JSON") from None
