"""Requests to servers inside onion requests, version 4 (`spec/onion` §4.2, §6; `spec/client-network` §5).

A request is sealed while it is sent, and a reply opened while it arrives, so that no file is ever whole in memory. What
comes out of a reply is to be used only once `finish` has said that it is the server's.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import secrets
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from Cryptodome.Cipher import AES
from nacl import bindings

from allium.client.configs.community import Server
from allium.client.listing import decoded

TARGET = "/oxen/v4/lsrpc"
#: Metadata of a reply are headers of HTTP; no server has more.
MAX_METADATA_BYTES = 64 << 10
_LENGTH = struct.Struct("<I")
_KEY_BYTES, _IV_BYTES, _TAG_BYTES = 32, 12, 16
_MAX_DIGITS = 10
#: What a node of the path says of a request is short.
MAX_COMPLAINT_BYTES = 4096


class ReplyError(ValueError):
    """Bytes that are no reply of the server to this request, or not the whole of it."""


@dataclass(frozen=True)
class Hop:
    """A node of a path: its keys, 32 bytes each."""

    ed25519: bytes
    x25519: bytes


@dataclass(frozen=True)
class SharedKey:
    """What one party of a path shares with us."""

    #: Ours, 32 bytes.
    ephemeral: bytes
    #: Of AES-256-GCM. Secret.
    key: bytes = field(repr=False)

    @classmethod
    def fresh(cls, x25519: bytes) -> SharedKey:
        """With a party of this X25519 key; `ValueError` for a key that is none."""
        secret = secrets.token_bytes(_KEY_BYTES)
        try:
            shared = bindings.crypto_scalarmult(secret, x25519) if len(x25519) == _KEY_BYTES else b""
        except Exception:  # PyNaCl has exception types of its own for keys that are none
            shared = b""
        if not any(shared):
            raise ValueError("a key that nothing can be encrypted for")
        return cls(bindings.crypto_scalarmult_base(secret), hmac.digest(b"LOKI", shared, hashlib.sha256))

    def opened(self, sealed: bytes) -> bytes | None:
        """The plaintext of a whole reply; None if it is not for this key."""
        if len(sealed) < _IV_BYTES + _TAG_BYTES:
            return None
        cipher = AES.new(self.key, AES.MODE_GCM, nonce=sealed[:_IV_BYTES])
        try:
            return cipher.decrypt_and_verify(sealed[_IV_BYTES:-_TAG_BYTES], sealed[-_TAG_BYTES:])
        except ValueError:
            return None


class _Layer:
    """One layer's frame: length, ciphertext of what goes through, control data."""

    def __init__(self, shared: SharedKey, plaintext_size: int, control: Mapping[str, Any]) -> None:
        iv = secrets.token_bytes(_IV_BYTES)
        self._cipher = AES.new(shared.key, AES.MODE_GCM, nonce=iv)
        self._control = json.dumps(control, separators=(",", ":")).encode()
        sealed = _IV_BYTES + plaintext_size + _TAG_BYTES
        self._first = _LENGTH.pack(sealed) + iv
        self.size = _LENGTH.size + sealed + len(self._control)

    def update(self, plaintext: bytes) -> bytes:
        first, self._first = self._first, b""
        return first + self._cipher.encrypt(plaintext)

    def finish(self) -> bytes:
        return self._cipher.digest() + self._control


class RequestSealer:
    """Makes the payload of one request, whose body goes through in pieces of any size."""

    def __init__(
        self,
        hops: Sequence[Hop],
        server: Server,
        method: str,
        endpoint: str,
        headers: Mapping[str, str],
        body_size: int | None,
    ) -> None:
        """`hops` are the guard and those behind it, `body_size` bytes, None without a body.

        `ValueError` for a key that is none.
        """
        if not hops:
            raise ValueError("a request goes over at least one node")
        lowered = {name.lower(): value for name, value in headers.items()}
        metadata = json.dumps({"method": method, "endpoint": endpoint, "headers": lowered}).encode()
        head = b"l%d:%b" % (len(metadata), metadata) + (b"" if body_size is None else b"%d:" % body_size)
        self._head = head
        self._left = body_size or 0
        self._server = SharedKey.fresh(server.key)
        control: dict[str, Any] = {
            "host": server.host,
            "target": TARGET,
            "method": "POST",
            "protocol": server.scheme,
            "port": server.port,
            "ephemeral_key": self._server.ephemeral.hex(),
        }
        self._hops: list[SharedKey] = []
        self._layers = [_Layer(self._server, len(head) + self._left + 1, control)]
        for hop in reversed(hops):
            shared = SharedKey.fresh(hop.x25519)
            self._hops.append(shared)
            control = {"destination": hop.ed25519.hex(), "ephemeral_key": shared.ephemeral.hex()}
            if hop is hops[0]:
                del control["destination"]
            self._layers.append(_Layer(shared, self._layers[-1].size, control))

    @property
    def size(self) -> int:
        """Bytes of the whole payload."""
        return self._layers[-1].size

    def update(self, data: bytes) -> bytes:
        """What there is of the payload after this piece of the body; `ValueError` if there is more than was said."""
        self._left -= len(data)
        if self._left < 0:
            raise ValueError("the body is larger than it was")
        head, self._head = self._head, b""
        sealed = head + data
        for layer in self._layers:
            sealed = layer.update(sealed)
        return sealed

    def finish(self) -> bytes:
        """The end of the payload; `ValueError` if there was less than was said."""
        if self._left:
            raise ValueError("the body is smaller than it was")
        head, self._head = self._head, b""
        sealed = head + b"e"
        for layer in self._layers:
            sealed = layer.update(sealed) + layer.finish()
        return sealed

    def opener(self, most: int) -> ReplyOpener:
        """Opens the reply, whose body has at most so many bytes."""
        return ReplyOpener(self._server, self._hops, most)


class ReplyOpener:
    """Opens one reply, in pieces of any size."""

    def __init__(self, server: SharedKey, hops: Sequence[SharedKey], most: int) -> None:
        self._key = server
        self._hops = hops
        self._most = most
        self._cipher: Any = None
        self._sealed = b""
        self._parser = _ListParser(most)
        self._raw = b""
        self._received = 0

    @property
    def status(self) -> int | None:
        """The server's, as of HTTP, once it is known."""
        return self._parser.status

    @property
    def headers(self) -> Mapping[str, str]:
        """Their names in lower case, once `status` is known."""
        return self._parser.headers

    @property
    def size(self) -> int | None:
        """Bytes of the body, once they are known."""
        return self._parser.size

    def update(self, data: bytes) -> bytes:
        """What there is of the body after this piece; `ReplyError`."""
        self._received += len(data)
        if self._received > self._most + MAX_METADATA_BYTES + 1024:
            raise ReplyError("the reply is too large")
        if len(self._raw) <= MAX_COMPLAINT_BYTES:
            self._raw += data
        self._sealed += data
        if self._cipher is None:
            if len(self._sealed) < _IV_BYTES:
                return b""
            self._cipher = AES.new(self._key.key, AES.MODE_GCM, nonce=self._sealed[:_IV_BYTES])
            self._sealed = self._sealed[_IV_BYTES:]
        # What may be the tag stays.
        ready = len(self._sealed) - _TAG_BYTES
        if ready <= 0:
            return b""
        plaintext = self._cipher.decrypt(self._sealed[:ready])
        self._sealed = self._sealed[ready:]
        return self._parser.update(plaintext)

    def finish(self) -> None:
        """Once all is there; `ReplyError` unless it is whole and the server's."""
        if self._cipher is None or len(self._sealed) != _TAG_BYTES:
            raise ReplyError("the reply is cut off")
        try:
            self._cipher.verify(self._sealed)
        except ValueError:
            raise ReplyError("the reply is not the server's") from None
        self._parser.finish()

    def complaint(self, rest: bytes = b"") -> tuple[int, str] | None:
        """Status and text of what a node of the path says in place of the server's reply; None if it is not that.

        `rest` is what came after the piece that could not be opened.
        """
        raw = self._raw + rest
        if len(raw) > MAX_COMPLAINT_BYTES:
            return None
        with_base64 = [raw]
        with contextlib.suppress(ValueError):
            with_base64.append(base64.b64decode(raw, validate=True))
        for sealed in with_base64:
            for hop in self._hops:
                if (plaintext := hop.opened(sealed)) is None:
                    continue
                try:
                    said = decoded(plaintext)
                    return int(said["status"]), str(said["body"])
                except (ValueError, KeyError, TypeError, OverflowError):
                    return 400, "something that cannot be read"
        return None


class _ListParser:
    """Reads `l<n>:<metadata>[<n>:<body>]e`, in pieces of any size."""

    def __init__(self, most: int) -> None:
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self._most = most
        self._held = b""
        self.size: int | None = None
        #: Bytes of the body that are missing; None before it has begun.
        self._left: int | None = None
        self._ended = False

    def update(self, data: bytes) -> bytes:
        self._held += data
        if self.status is None and not self._metadata():
            return b""
        if self._left is None and not self._body_begins():
            return b""
        if self._left is None:
            return b""
        body, self._held = self._held[: self._left], self._held[self._left :]
        self._left -= len(body)
        if not self._left and self._held:
            self._end()
        return body

    def finish(self) -> None:
        if not self._ended:
            raise ReplyError("the reply is cut off")

    def _metadata(self) -> bool:
        if self._held and self._held[:1] != b"l":
            raise ReplyError("the reply is none")
        found = _length(self._held[1:])
        if found is None:
            return False
        size, begin = found
        if size > MAX_METADATA_BYTES:
            raise ReplyError("the reply's metadata are too large")
        if len(self._held) < 1 + begin + size:
            return False
        try:
            said = decoded(self._held[1 + begin : 1 + begin + size])
            self.status = int(said["code"])
            headers = said.get("headers") or {}
            self.headers = {str(name).lower(): str(value) for name, value in headers.items()}
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            self.status = None
            raise ReplyError("the reply's metadata are none") from None
        self._held = self._held[1 + begin + size :]
        return True

    def _body_begins(self) -> bool:
        if self._held[:1] == b"e":
            self._end()
            return False
        found = _length(self._held)
        if found is None:
            return False
        self._left, begin = found
        self.size = self._left
        if self._left > self._most:
            raise ReplyError("the reply is too large")
        self._held = self._held[begin:]
        return True

    def _end(self) -> None:
        if self._ended or self._held != b"e":
            raise ReplyError("the reply does not end where it ends")
        self._ended, self._held = True, b""
        self._left = 0


def _length(data: bytes) -> tuple[int, int] | None:
    """The number before a colon, and where what it counts begins; None while it may still come; `ReplyError`."""
    digits, colon, _ = data[: _MAX_DIGITS + 1].partition(b":")
    if (digits and not digits.isdigit()) or (not colon and len(digits) > _MAX_DIGITS) or (colon and not digits):
        raise ReplyError("the reply is none")
    return (int(digits), len(digits) + 1) if colon else None
