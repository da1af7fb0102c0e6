"""Transfers over the QUIC file protocol, for the bench of the file server: one at a time on each connection."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable

import bencode2

from allium import _native
from allium.base.streams import Stream, StreamGivenUpError
from allium.client.transfers import quic_frames as frames

#: What a transfer of the bench may take.
_SECONDS = 120.0
_PIECE = 1 << 20


def exchange(port: int, key: bytes, connections: int, requests: int, request: Callable[[], list[memoryview]]) -> float:
    """Seconds that so many transfers take over these connections; what comes is thrown away."""
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(min(connections, requests)):
            made = _native.QuicConnection("127.0.0.1", port, key, os.urandom(32), frames.ALPN, _SECONDS)
            stack.callback(made.close)
            opened.append(made)
        return asyncio.run(_all(opened, requests, request))


async def _all(
    connections: list[_native.QuicConnection], requests: int, request: Callable[[], list[memoryview]]
) -> float:
    left = requests

    async def one(connection: _native.QuicConnection) -> None:
        nonlocal left
        while left:
            left -= 1
            await _transfer(Stream(connection.open()), request())

    start = time.perf_counter()
    await asyncio.gather(*map(one, connections))
    return time.perf_counter() - start


async def _transfer(stream: Stream, sending: list[memoryview]) -> None:
    for part in sending:
        for place in range(0, len(part), _PIECE):
            await stream.write(bytes(part[place : place + _PIECE]), _SECONDS)
    finished = asyncio.create_task(stream.finish(_SECONDS))
    first = await stream.read(_PIECE, _SECONDS)
    size, rest = _announced(first)
    while chunk := await stream.read(_PIECE, _SECONDS):
        rest += len(chunk)
    with contextlib.suppress(StreamGivenUpError):
        await finished  # the server may have answered before it saw the end
    if rest != size:
        raise SystemExit(f"{rest} bytes of {size} came over QUIC")


def _announced(first: bytes) -> tuple[int, int]:
    """How many bytes come after the head, and how many of them are here."""
    if first[:1] == b"d":
        return 0, 0  # the answer to an upload
    whole = frames.head_size(first)
    if whole is None:
        raise SystemExit("the head came in pieces")
    return frames.found(frames.unprefixed(first[:whole])), len(first) - whole


def get(path: str) -> Callable[[], list[memoryview]]:
    """Asks for the file at a path of HTTP's."""
    wire = frames.get(path.rpartition("/")[2])
    return lambda: [memoryview(wire)]


def put(fresh: Callable[[], tuple[bytes, memoryview]], size: int) -> Callable[[], list[memoryview]]:
    """Sends contents that are made of two parts."""
    head = frames.prefixed(bencode2.bencode({"!": "PUT", "s": size}))

    def request() -> list[memoryview]:
        prefix, rest = fresh()
        return [memoryview(head + prefix), rest]

    return request
