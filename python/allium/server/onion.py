"""Onion requests to this server, version 4: a layer, and the request inside it (`spec/client-network` §5)."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from allium import _native
from allium.server.messages import TEXT, Answer

#: Where the network's nodes post to.
PATH = "/oxen/v4/lsrpc"
#: What a layer and its request have beside a body: control data, metadata, lengths, a tag.
OVERHEAD_BYTES = 64 << 10
_LENGTH = struct.Struct("<I")
_DIGITS = 10
_METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"})


class LayerError(ValueError):
    """What was posted is no layer for this server. Nobody can be told so in secret."""


class MalformedError(ValueError):
    """What is in the layer is no request."""


@dataclass(frozen=True, slots=True)
class Layer:
    """An opened layer: what was in it, and who the answer is for."""

    plaintext: bytes
    _peeled: _native.Peeled

    def seal(self, answer: bytes) -> bytes:
        """The answer, for whoever sealed the layer."""
        return self._peeled.seal(answer, base64=False)


@dataclass(frozen=True, slots=True)
class InnerRequest:
    """A request as it was in a layer."""

    method: str
    path: str
    query: str
    #: Names in lower case.
    headers: Mapping[str, str]
    body: memoryview


def open_layer(x25519_secret: bytes, payload: bytes) -> Layer:
    """Opens what a node posted: the whole plaintext of its own layer (`spec/onion` §4.2). Raises `LayerError`."""
    if len(payload) < _LENGTH.size:
        raise LayerError("too short")
    [length] = _LENGTH.unpack_from(payload)
    end = _LENGTH.size + length
    if end > len(payload):
        raise LayerError("shorter than its length says")
    control = _object(payload[end:])
    ephemeral, cipher = control.get("ephemeral_key"), control.get("enc_type", "aes-gcm")
    try:
        key = bytes.fromhex(ephemeral) if isinstance(ephemeral, str) else b""
        if len(key) != 32 or not isinstance(cipher, str):
            raise ValueError
        [plaintext] = _native.peel_batch(x25519_secret, [(cipher, key, payload[_LENGTH.size : end])])
        # The engine takes it for a layer of a node, which it is not; the key for the answer is the same.
        [peeled] = _native.onion_peel(x25519_secret, [payload])
    except ValueError:
        raise LayerError("control data that mean nothing") from None
    if plaintext is None:
        raise LayerError("not sealed for this server")
    return Layer(plaintext, peeled)


def parse(plaintext: bytes) -> InnerRequest:
    """The request in a layer: a bencoded list of metadata in JSON and, perhaps, a body. Raises `MalformedError`."""
    view = memoryview(plaintext)
    if len(view) < 2 or view[0] != ord("l") or view[-1] != ord("e"):
        raise MalformedError("not a list")
    meta, rest = _string(view[1:-1])
    body = memoryview(b"")
    if rest:
        body, rest = _string(rest)
    if rest:
        raise MalformedError("more than two parts")
    try:
        metadata = _object(bytes(meta))
    except LayerError as error:
        raise MalformedError(str(error)) from None
    method, endpoint, headers = metadata.get("method"), metadata.get("endpoint"), metadata.get("headers") or {}
    if not isinstance(method, str) or method not in _METHODS:
        raise MalformedError("no method")
    if not isinstance(endpoint, str) or not endpoint.isascii() or not isinstance(headers, dict):
        raise MalformedError("no endpoint")
    path, _, query = endpoint.partition("?")
    # Older clients leave out the slash.
    path = path if path.startswith("/") else f"/{path}"
    # Numbers may be written as such.
    plain = {str(name).lower(): str(value) for name, value in headers.items() if isinstance(value, str | int | float)}
    return InnerRequest(method, path, query, plain, body)


def encode(answer: Answer, body: bytes) -> bytes:
    """An answer with this body, as what is sealed."""
    meta = json.dumps({"code": answer.status, "headers": answer.headers}, separators=(",", ":")).encode()
    return b"l%d:%b%d:%be" % (len(meta), meta, len(body), body)


def malformed() -> Answer:
    """The answer to what is no request."""
    body = b"Invalid v4 onion request"
    return Answer(400, {"content-type": TEXT}, body, size=len(body))


def _string(view: memoryview) -> tuple[memoryview, memoryview]:
    """The string that a bencoded text begins with, and what follows."""
    head = bytes(view[: _DIGITS + 1])
    digits, colon, _ = head.partition(b":")
    if not colon or not digits.isdigit():
        raise MalformedError("not a string")
    begin = len(digits) + 1
    end = begin + int(digits)
    if end > len(view):
        raise MalformedError("a string that is cut off")
    return view[begin:end], view[end:]


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise LayerError("not JSON") from None
    if not isinstance(found, dict):
        raise LayerError("not a JSON object")
    return found
