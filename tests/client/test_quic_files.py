"""A client of the QUIC file protocol, and servers that do not keep to it (`spec/files-and-calls`, additions).

With a real file server it is in `test_servers`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allium import _native
from allium.base.streams import Stream
from allium.client.bencode import BencodeError, encode
from allium.client.configs.community import Server
from allium.client.errors import NetworkError
from allium.client.exchange import BytesBody, MissingError, ServerRequest, TooLargeError
from allium.client.files.encryption import EncryptedBody, legacy_encryption
from allium.client.files.urls import FileUrl
from allium.client.servers import DirectRoute, ReplyStream, ServerUnreachableError, perform
from allium.client.transfers import quic_frames as frames
from allium.client.transfers.quic import QuicRoute, _Reply
from allium.client.transfers.quic_first import RETRY_SECONDS, QuicFirstRoute
from allium.client.transfers.transfer import FileInfo, FileServer, RemoteFile, Transfers, pieces_of
from allium.devnet import ports
from allium.devnet.layout import LOOPBACK
from allium.server.quic import Listener
from tests.client.test_servers import names_in

SEED = bytes(range(32))
KEY, _, _ = _native.node_keys(SEED)
SECONDS = 20.0
Serve = Callable[[Stream], Coroutine[Any, Any, None]]


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[int]:
    """A server that does with each stream what it is told to; its port."""
    with ports.reserve(1) as [port]:
        listener = Listener(LOOPBACK, port, SEED, frames.ALPN, 8, 8)
    tasks: list[asyncio.Task[None]] = []

    async def accepting() -> None:
        while (stream := await listener.accept()) is not None:
            tasks.append(asyncio.create_task(serve(stream)))

    accepted = asyncio.create_task(accepting())
    try:
        yield port
    finally:
        listener.close()
        await accepted
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def saying(data: bytes) -> Serve:
    """Whatever it is asked."""

    async def serve(stream: Stream) -> None:
        if await stream.read(1, SECONDS):
            await stream.write(data, SECONDS)
            await stream.finish(SECONDS)

    return serve


def giving_up(code: int) -> Serve:
    async def serve(stream: Stream) -> None:
        if await stream.read(1, SECONDS):
            stream.reset(code)

    return serve


def route_to(port: int) -> tuple[QuicRoute, FileServer]:
    server = FileServer(f"http://{LOOPBACK}:{port}", KEY)
    return QuicRoute(server, DirectRoute()), server


async def got(port: int) -> bytes:
    """A file that is asked for."""
    route, server = route_to(port)
    try:
        return b"".join([each async for each, _, _ in pieces_of(route, server.server, request_for("/file/abc"))])
    finally:
        await route.close()


def request_for(endpoint: str) -> Callable[[], ServerRequest]:
    return lambda: ServerRequest("GET", endpoint)


FILE = b"10:d1:si100ee" + bytes(100)


async def test_a_server_may_answer_before_it_has_the_end_of_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our end of the stream is late, by when the server has let go of it."""
    answered, finish = asyncio.Event(), Stream.finish

    async def serve(stream: Stream) -> None:
        if await stream.read(1, SECONDS):
            await stream.write(FILE, SECONDS)
            await finish(stream, SECONDS)
            stream.reset(0)
            answered.set()

    async def late(stream: Stream, seconds: float) -> None:
        await answered.wait()
        await finish(stream, seconds)

    monkeypatch.setattr(Stream, "finish", late)
    async with listening(serve) as port:
        assert await asyncio.wait_for(got(port), 60) == bytes(100)


async def test_what_has_come_is_read_at_once() -> None:
    """Not a packet at a time, each of which would be a way through threads and the event loop."""
    there, read = asyncio.Event(), list[bytes]()

    async def serve(stream: Stream) -> None:
        await there.wait()
        while chunk := await stream.read(70_000, SECONDS):
            read.append(chunk)
        await stream.write(b"x", SECONDS)

    data = os.urandom(100_000)
    async with listening(serve) as port:
        connection = _native.QuicConnection(LOOPBACK, port, KEY, os.urandom(32), frames.ALPN, SECONDS)
        stream = Stream(connection.open())
        await stream.write(data, SECONDS)
        # The other end has all of it when this returns.
        await stream.finish(SECONDS)
        there.set()
        assert await stream.read(1, SECONDS) == b"x"
        connection.close()
    assert [len(chunk) for chunk in read] == [70_000, 30_000] and b"".join(read) == data


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (b"", "cut off"),
        (b"junk", "no length"),
        (b"10:d1:si1", "cut off"),
        (b"2:de", "no size"),
        (b"9:d1:si-1ee", "no size"),
        (b"12:d1:si99999ee" + b"x", "less came"),
        (FILE[:-1], "less came"),
        (FILE + b"x", "more came"),
        (b"27:d1:si18446744073709551615ee", "too large"),
    ],
)
async def test_what_is_no_answer_is_a_server_that_cannot_be_used(said: bytes, complaint: str) -> None:
    async with listening(saying(said)) as port:
        with pytest.raises(ServerUnreachableError, match=complaint):
            await got(port)


async def test_a_file_that_is_whole() -> None:
    async with listening(saying(FILE)) as port:
        assert await got(port) == bytes(100)


async def test_what_breaks_off_half_way_is_fetched_anew(tmp_path: Path) -> None:
    data = os.urandom(300_000)
    encryption = await legacy_encryption(BytesBody(data))
    file = b"".join([piece async for piece in EncryptedBody(encryption, BytesBody(data)).pieces()])
    head = b"d1:si%dee" % len(file)
    answers = [file[:200_000], file[:100_000], file]

    async def serve(stream: Stream) -> None:
        if await stream.read(1, SECONDS):
            await stream.write(b"%d:%b%b" % (len(head), head, answers.pop(0)), SECONDS)
            await stream.finish(SECONDS)

    async with listening(serve) as port:
        route, server = route_to(port)
        attachment = RemoteFile(FileUrl(server.url, "abc", KEY), encryption, FileInfo("abc")).attachment(name="x")
        steps: list[tuple[int, int]] = []
        path = await Transfers(route).download(attachment, tmp_path, progress=lambda *step: steps.append(step))
        assert (path.read_bytes(), steps[-1], answers) == (data, (len(file), len(file)), [])
        assert steps != sorted(steps)
        # Not for ever, and nothing stays of what did not come.
        answers += [file[:100_000]] * 4
        with pytest.raises(ServerUnreachableError, match="less came"):
            await Transfers(route).download(attachment, tmp_path)
        assert (len(answers), names_in(tmp_path)) == (1, ["x"])
        await route.close()


@pytest.mark.parametrize(("code", "kind"), [(404, MissingError), (451, TooLargeError), (480, ServerUnreachableError)])
async def test_codes_have_their_errors(code: int, kind: type[Exception]) -> None:
    async with listening(giving_up(code)) as port:
        with pytest.raises(kind):
            await got(port)
        route, server = route_to(port)
        # It may be told in the midst of an upload.
        upload = ServerRequest("POST", "/file", {}, BytesBody(os.urandom(3_000_000)))
        with pytest.raises(kind):
            (await perform(route, server.server, upload, repeatable=True)).checked()
        await route.close()


async def test_an_answer_to_another_question_is_none() -> None:
    answer = b"l1:Ri1e20:d1:si5e1:ui1e1:xi2eee"
    async with listening(saying(b"%d:%b" % (len(answer), answer))) as port:
        route, server = route_to(port)
        reply = await perform(route, server.server, request_for("/file/abc/info")())
        assert reply.json() == {"size": 5, "uploaded": 1, "expires": 2}
        # The server answers everything as if it were the first question.
        route._number = 7
        with pytest.raises(ServerUnreachableError):
            await perform(route, server.server, request_for("/file/abc/info")())
        await route.close()


async def test_who_has_another_key_or_is_another_server_is_not_asked() -> None:
    async with listening(saying(FILE)) as port:
        stranger = FileServer(f"http://{LOOPBACK}:{port}", _native.node_keys(bytes(32))[0])
        route = QuicRoute(stranger, DirectRoute())
        with pytest.raises(ServerUnreachableError):
            await perform(route, stranger.server, request_for("/file/abc/info")())
        # Other servers are the other route's, which asks nobody in one's own network.
        other = FileServer(f"http://{LOOPBACK}:{port}", KEY).server
        with pytest.raises(NetworkError, match="no public address"):
            await perform(route, other, request_for("/file/abc/info")())
        await route.close()


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    for read in (frames.head_size, frames.found, frames.answer, frames.about, lambda told: frames.stored(told, 1)):
        for told in (data, encode({b"s": data, b"#": data, b"u": [data]}), encode([data, 1, data])):
            try:
                read(told)
            except BencodeError:
                continue


class Remembering:
    """A route that answers everything, and counts."""

    def __init__(self) -> None:
        self.asked = 0

    @asynccontextmanager
    async def exchange(self, server: Server, request: ServerRequest, *rest: Any) -> AsyncIterator[ReplyStream]:
        self.asked += 1
        yield _Reply(200, bytes(100))

    async def close(self) -> None:
        pass


async def test_quic_is_not_tried_again_at_once_where_it_is_not_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    now, other, tried = [0.0], Remembering(), list[QuicRoute]()
    connect = QuicRoute._connect

    async def counted(route: QuicRoute) -> _native.QuicConnection:
        tried.append(route)
        return await connect(route)

    monkeypatch.setattr(QuicRoute, "_connect", counted)
    # Somebody is there, who is another.
    key, _, _ = _native.node_keys(bytes(32))
    async with listening(saying(FILE)) as port:
        server = FileServer(f"http://{LOOPBACK}:{port}", key)
        route = QuicFirstRoute(server, other, port, lambda: now[0])
        for asked, attempts in ((1, 1), (2, 1), (3, 2)):
            async with route.exchange(server.server, request_for("/file/abc")()) as reply:
                assert b"".join([piece async for piece in reply]) == bytes(100)
            assert (other.asked, len(tried)) == (asked, attempts)
            now[0] += RETRY_SECONDS / 2
        await route.close()


async def test_what_a_server_says_over_quic_is_its_answer() -> None:
    """A refusal, or an answer that breaks off, is not asked for again elsewhere."""
    other = Remembering()
    for serve, kind in ((giving_up(404), MissingError), (saying(b"junk"), ServerUnreachableError)):
        async with listening(serve) as port:
            server = FileServer(f"http://{LOOPBACK}:{port}", KEY)
            route = QuicFirstRoute(server, other, port)
            with pytest.raises(kind):
                [each async for each in pieces_of(route, server.server, request_for("/file/abc"))]
            await route.close()
    assert other.asked == 0
