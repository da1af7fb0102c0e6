"""A file server in a process of its own, as an operator runs it, and an onion request to it."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from allium.server import onion
from tests.support.reference_onion import GCM, ReferenceLayer, frame, sealed_for
from tests.support.server_process import ServerUnderTest


class FileServer(ServerUnderTest):
    """`allium files serve` over a data directory; it may be killed and started again."""

    def __init__(self, directory: Path, port: int, **settings: Any) -> None:
        super().__init__("files", directory, port, **settings)


@dataclass(frozen=True)
class OnionAnswer:
    """What was in a sealed answer."""

    code: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def v4_request(
    method: str, endpoint: str, headers: Mapping[str, Any] | None = None, body: bytes | None = None
) -> bytes:
    """A request as clients put it into a layer."""
    meta = json.dumps({"method": method, "endpoint": endpoint, "headers": dict(headers or {})}).encode()
    parts = b"%d:%b" % (len(meta), meta)
    return b"l" + parts + (b"" if body is None else b"%d:%b" % (len(body), body)) + b"e"


def v4_layer(x25519: bytes, plaintext: bytes, cipher: str = GCM) -> tuple[bytes, ReferenceLayer]:
    """What the last node of a path posts, and what opens the answer."""
    sealed, control, layer = sealed_for(x25519, plaintext, cipher)
    return frame(sealed, {"host": "files.example", "target": onion.PATH, "method": "POST", **control}), layer


def v4_answer(plaintext: bytes) -> OnionAnswer:
    """What is in an opened answer."""
    assert plaintext[:1] == b"l" and plaintext[-1:] == b"e"
    size, _, rest = plaintext[1:-1].partition(b":")
    meta = json.loads(rest[: int(size)])
    length, _, body = rest[int(size) :].partition(b":")
    assert len(body) == int(length)
    return OnionAnswer(meta["code"], meta["headers"], body)


async def through_layer(
    session: aiohttp.ClientSession, server: ServerUnderTest, method: str, endpoint: str, **request: Any
) -> OnionAnswer:
    """Sends a request as the network's last node does, and opens the answer as a client does."""
    cipher = request.pop("cipher", GCM)
    payload, layer = v4_layer(server.x25519, v4_request(method, endpoint, **request), cipher)
    async with session.post(server.url + onion.PATH, data=io.BytesIO(payload)) as answer:
        assert answer.status == 200, await answer.text()
        return v4_answer(layer.open(await answer.read()))
