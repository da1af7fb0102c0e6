"""What comes over a wire that no browser would send: bodies without an end, odd pieces, frames that are none."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from allium.messenger import app, calls, uploads, wires
from tests.support.messenger_here import Here, here

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
JSON = "Content-Type: application/json"
CHUNKED = "Transfer-Encoding: chunked"
UPGRADE = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {'A' * 22}==")


async def until(holds: Callable[[], bool]) -> None:
    """Looks until it holds; nobody tells."""
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def serving(directory: Path, *, account: bool = False) -> AsyncIterator[Here]:
    """A service that at the end has no more to do than at the beginning, and in whose loop nothing was raised.

    An account's own work comes and goes.
    """
    raised: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
    async with asyncio.timeout(60), here(directory) as made:
        if account:
            await made.aside(made.do, "POST", "/api/accounts", {"display_name": "Carol"})
        before = len(asyncio.all_tasks())
        yield made
        await until(lambda: account or len(asyncio.all_tasks()) <= before)
    assert raised == []


@contextlib.asynccontextmanager
async def asked(made: Here, request: str, *more: str, known: bool = True) -> AsyncIterator[Streams]:
    """A connection on which the head of a request was sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
    lines = [f"{request} HTTP/1.1", f"Host: 127.0.0.1:{made.port}", *more]
    lines += [f"Authorization: Bearer {made.token}"] if known else []
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def status(reader: asyncio.StreamReader) -> int:
    return int((await reader.readline()).split()[1])


async def over(reader: asyncio.StreamReader) -> bytes:
    """What still comes, up to the end of the connection."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(1 << 16):
            found += piece
    return found


async def test_a_byte_now_and_then_is_not_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(tmp_path, account=True) as service:
        monkeypatch.setattr(calls, "PATIENCE", 0.5)
        for path, kind in (("unlock", JSON), ("accounts/a1/uploads", "Content-Type: application/octet-stream")):
            async with asked(service, f"POST /api/{path}", kind, "Content-Length: 1000000") as (reader, writer):
                answered = asyncio.create_task(status(reader))
                while not answered.done():
                    writer.write(b" ")
                    await asyncio.wait([answered], timeout=0.01)
                assert await answered == 408
        assert list((service.directory / "accounts" / "a1" / "uploads").iterdir()) == []


async def test_who_sends_slowly_keeps_nobody_waiting(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        before = len(asyncio.all_tasks())
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(app.MAX_REQUESTS + 6):
                begun = asked(service, "POST /api/unlock", JSON, "Content-Length: 1000")
                _, writer = await stack.enter_async_context(begun)
                writer.write(b'{"pass')
            await until(lambda: len(asyncio.all_tasks()) >= before + app.MAX_REQUESTS + 6)
            assert (await service.aside(service.ask, "GET", "/api/state")).status == 200
            assert (await service.aside(service.ask, "POST", "/api/links", {})).status in (200, 201)


async def test_a_body_that_never_ends_is_not_read_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(tmp_path) as service:
        monkeypatch.setattr(wires, "HEAD_SECONDS", 0.5)
        sent = f"{1 << 16:x}\r\n".encode() + bytes(1 << 16) + b"\r\n"
        for path, known, answer in (
            ("unlock", True, 413),
            ("unlock", False, 401),
            ("pair", False, 413),
            ("state", True, 200),
        ):
            method = "GET" if path == "state" else "POST"
            async with asked(service, f"{method} /api/{path}", JSON, CHUNKED, known=known) as (reader, writer):
                answered = asyncio.create_task(status(reader))
                with contextlib.suppress(ConnectionError):
                    while True:
                        writer.write(sent)
                        await writer.drain()
                with contextlib.suppress(ConnectionError):
                    assert await answered == answer
        # Nor is one that says how long it is.
        for length in ("9" * 18, "9" * 30, "-1", "+5", "5, 6", "0x10"):
            async with asked(service, "POST /api/unlock", JSON, f"Content-Length: {length}") as (reader, _):
                assert await status(reader) in (400, 413)


async def test_chunks_of_any_size_are_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(tmp_path, account=True) as service:
        monkeypatch.setattr(uploads, "MAX_UPLOAD", 200_000)
        where = service.directory / "accounts" / "a1" / "uploads"
        upload = ("POST /api/accounts/a1/uploads?name=a.bin", "Content-Type: application/octet-stream", CHUNKED)
        async with asked(service, *upload) as (reader, writer):
            for size in (1, 7, 65_537, 1, 100_000):
                writer.write(f"{size:X};of=it\r\n".encode() + bytes(size) + b"\r\n")
            writer.write(b"000\r\nTrailer: it\r\n\r\n")
            assert await status(reader) == 201
        [kept] = where.iterdir()
        assert (kept / "a.bin").stat().st_size == 165_546
        bad = [b"-1", b"0x10", b"1g", b"", b"1 1", b"F" * 30, b"F" * 100_000]
        for each in (*[size + b"\r\nxxxxxxxx" for size in bad], b"1\r\nxx\r\n", b"1\r\nx\r\n" * 5000):
            async with asked(service, *upload) as (reader, writer):
                writer.write(each)
                assert await status(reader) == 400
                await over(reader)
        async with asked(service, *upload) as (reader, writer):
            for _ in range(4):
                writer.write(b"10000\r\n" + bytes(1 << 16) + b"\r\n")
            assert await status(reader) == 413
        # Of somebody who is gone in the middle nothing is left, nor of those before.
        async with asked(service, *upload) as (reader, writer):
            writer.write(b"5\r\nhel")
            await writer.drain()
        await until(lambda: list(where.iterdir()) == [kept])


async def test_what_is_no_chunk_behind_an_answer_ends_the_connection(tmp_path: Path) -> None:
    async with (
        serving(tmp_path) as service,
        asked(service, "POST /api/unlock", JSON, CHUNKED, known=False) as (reader, writer),
    ):
        assert await status(reader) == 401
        writer.write(b"nonsense\r\n")
        await over(reader)


async def opened(made: Here, stack: contextlib.AsyncExitStack) -> Streams:
    """The events, from the first frame on."""
    reader, writer = await stack.enter_async_context(asked(made, "GET /api/events", *UPGRADE))
    assert await status(reader) == 101
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        pytest.param(b"\x81\x02hi", 1002, id="unmasked"),
        pytest.param(b"\x89\x00", 1002, id="unmasked ping"),
        pytest.param(b"\xf1\x80\0\0\0\0", 1002, id="of no extension"),
        pytest.param(b"\x83\x80\0\0\0\0", 1002, id="of no kind"),
        pytest.param(b"\x81\xff" + b"\x7f" + b"\xff" * 7 + b"\0\0\0\0", 1009, id="larger than anything"),
        pytest.param(b"\x01\x80\0\0\0\0" + b"\x00\x80\0\0\0\0" * 1000, 1009, id="in endless pieces"),
    ],
)
async def test_a_frame_that_may_not_be_ends_the_events(tmp_path: Path, frames: bytes, code: int) -> None:
    async with serving(tmp_path) as service, contextlib.AsyncExitStack() as stack:
        reader, writer = await opened(service, stack)
        writer.write(frames)
        assert b"\x88" + bytes([2]) + code.to_bytes(2, "big") in _without_reasons(await over(reader))
        await until(lambda: not service.service.hub.listeners)


def _without_reasons(frames: bytes) -> bytes:
    """The frames of a server, those that close with their code only."""
    found = b""
    while frames:
        long = frames[1] == 126
        size, start = (int.from_bytes(frames[2:4], "big"), 4) if long else (frames[1], 2)
        closes = frames[0] == 0x88
        found += b"\x88\x02" + frames[start : start + 2] if closes else frames[: start + size]
        frames = frames[start + size :]
    return found


async def test_who_takes_no_pongs_is_asked_for_no_more_pings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(tmp_path) as service:
        monkeypatch.setattr(wires, "STALL_SECONDS", 0.5)
        async with contextlib.AsyncExitStack() as stack:
            _, writer = await opened(service, stack)
            pings = (b"\x89\xfd\0\0\0\0" + bytes(125)) * 1000
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(pings)
                    await writer.drain()
            await until(lambda: not service.service.hub.listeners)
