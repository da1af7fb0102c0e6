"""The QUIC file protocol over real sockets (`spec/files-and-calls`, additions): transfers, questions, and strangers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import bencode2
import pytest

from allium import _native
from allium.base.streams import Stream
from allium.client.errors import NetworkError
from allium.client.exchange import BytesBody
from allium.client.files.encryption import legacy_encryption
from allium.client.servers import DirectRoute
from allium.client.transfers import transfer as client
from allium.client.transfers.quic import QuicRoute
from allium.client.transfers.sinks import MemorySink
from allium.devnet.layout import LOOPBACK
from tests.files.conftest import Make
from tests.files.test_api import fetch, name_of, upload
from tests.support.file_server import FileServer

SECONDS = 30.0
FORTNIGHT = 14 * 86_400


@contextmanager
def connected(server: FileServer, alpn: str = "quic-files") -> Iterator[_native.QuicConnection]:
    connection = _native.QuicConnection(LOOPBACK, server.port, server.ed25519, os.urandom(32), alpn, SECONDS)
    try:
        yield connection
    finally:
        connection.close()


def prefixed(value: object) -> bytes:
    told = bencode2.bencode(value)
    return b"%d:%b" % (len(told), told)


async def rest(stream: Stream) -> bytes:
    came = b""
    while chunk := await stream.read(1 << 20, SECONDS):
        came += chunk
    return came


async def answered(stream: Stream, sent: bytes) -> bytes:
    """Sends all that is to be sent, and takes all that comes."""
    await stream.write(sent, SECONDS)
    finished = asyncio.create_task(stream.finish(SECONDS))
    came = await rest(stream)
    await finished
    return came


async def put(connection: _native.QuicConnection, data: bytes, **fields: int) -> dict[bytes, object]:
    stream = Stream(connection.open())
    came = await answered(stream, prefixed({"!": "PUT", "s": len(data), **fields}) + data)
    told: dict[bytes, object] = bencode2.bdecode(came)
    return told


def framed(number: int, endpoint: bytes, body: bytes) -> bytes:
    told = b"l1:Ci%de%d:%b%d:%be" % (number, len(endpoint), endpoint, len(body), body)
    return b"%d:%b" % (len(told), told)


async def frame(stream: Stream) -> tuple[bytes, int, bytes]:
    came = b""
    while b":" not in came or len(came) < came.index(b":") + 1 + int(came.partition(b":")[0]):
        chunk = await stream.read(1 << 16, SECONDS)
        assert chunk, came
        came += chunk
    kind, number, body = bencode2.bdecode(came.partition(b":")[2])
    return kind, number, body


async def asked(stream: Stream, number: int, endpoint: bytes, body: bytes) -> tuple[bytes, int, bytes]:
    await stream.write(framed(number, endpoint, body), SECONDS)
    return await frame(stream)


@pytest.mark.parametrize("size", [1, 70_000, 10_000_000])
async def test_what_is_put_is_got(http: aiohttp.ClientSession, file_server: FileServer, size: int) -> None:
    data = os.urandom(size)
    with connected(file_server) as connection:
        told = await put(connection, data)
        name, uploaded, expires = told[b"#"], told[b"u"], told[b"x"]
        assert set(told) == {b"#", b"u", b"x"} and name == name_of(data).encode()
        assert isinstance(uploaded, int) and expires == uploaded + FORTNIGHT
        came = await answered(Stream(connection.open()), prefixed({"!": "GET", "#": name}))
        length, _, body = came.partition(b":")
        assert bencode2.bdecode(body[: int(length)]) == {b"s": size, b"u": uploaded, b"x": expires}
        assert body[int(length) :] == data
    # It is the same file whichever way it is asked for.
    assert await fetch(http, f"{file_server.url}/file/{name_of(data)}") == (200, data)


async def test_what_came_by_http_is_asked_about(http: aiohttp.ClientSession, file_server: FileServer) -> None:
    data = os.urandom(1000)
    told = await upload(http, file_server, data, **{"X-FS-TTL": "60"})
    name = name_of(data)
    with connected(file_server) as connection:
        stream = Stream(connection.open())
        about = {b"s": 1000, b"u": int(told["uploaded"]), b"x": int(told["expires"])}
        plain = bencode2.bencode({"#": name})
        assert await asked(stream, 1, b"file_info", plain) == (b"R", 1, bencode2.bencode(about))
        kind, number, answer = await asked(stream, 2**40, b"file_info", json.dumps({"id": name}).encode())
        assert (kind, number) == (b"R", 2**40)
        assert json.loads(answer) == {"size": 1000, "uploaded": told["uploaded"], "expires": told["expires"]}
        kind, _, answer = await asked(stream, 3, b"file_extend", plain)
        assert kind == b"R" and bencode2.bdecode(answer)[b"x"] > about[b"x"] + 86_400
        missing = bencode2.bencode({"#": name_of(b"nothing")})
        for endpoint in (b"file_info", b"file_extend"):
            assert await asked(stream, 4, endpoint, missing) == (b"E", 4, b"NOT_FOUND")
            for odd in (b"", b"le", b"{", b'{"id":1}', bencode2.bencode({"#": 1}), b"[" * 5000):
                assert await asked(stream, 5, endpoint, odd) == (b"E", 5, b"BAD_REQUEST")
        assert await asked(stream, 6, b"file_delete", plain) == (b"E", 6, b"BAD_REQUEST")
        # Several at once, in one piece, then the end.
        came = await answered(stream, framed(7, b"file_info", missing) + framed(8, b"file_info", missing))
        assert came.count(b"NOT_FOUND") == 2


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"junk", 400),
        (b"99999:", 400),
        (b"3:abc", 400),
        (b"10:d1:!3:PUT", 400),
        (prefixed(["C", 1]), 400),
        (prefixed({"!": 1}), 400),
        (prefixed({"!": "GET"}), 400),
        (prefixed({"!": "PUT", "s": "many"}), 400),
        (prefixed({"!": "GET", "#": "../../etc/passwd"}), 404),
        (prefixed({"!": "GET", "#": name_of(b"nobody has it")}), 404),
        (prefixed({"!": "GET", "#": b"\xff\x00"}), 404),
        (prefixed({"!": "DELETE", "#": name_of(b"")}), 405),
        (prefixed({"!": "PUT"}), 450),
        (prefixed({"!": "PUT", "s": 0}), 451),
        (prefixed({"!": "PUT", "s": -1}), 451),
        (prefixed({"!": "PUT", "s": 10_000_001}), 451),
        (prefixed({"!": "PUT", "s": 2**63}), 451),
        (prefixed({"!": "PUT", "s": 10}) + b"nine here", 452),
        (prefixed({"!": "PUT", "s": 5}) + b"six he", 453),
    ],
)
async def test_what_is_wrong_has_its_code(file_server: FileServer, sent: bytes, code: int) -> None:
    with connected(file_server) as connection:
        stream = Stream(connection.open())
        with pytest.raises(ConnectionError, match=str(code)):
            await answered(stream, sent)
        # The connection is as good as before.
        assert await asked(Stream(connection.open()), 1, b"file_info", b"de") == (b"E", 1, b"BAD_REQUEST")


async def test_a_refused_size_is_told_before_it_is_sent(file_server: FileServer) -> None:
    with connected(file_server) as connection:
        stream = Stream(connection.open())
        await stream.write(prefixed({"!": "PUT", "s": 1 << 30}), SECONDS)
        with pytest.raises(ConnectionError, match="451"):
            await stream.read(1, SECONDS)


async def test_who_is_another_or_speaks_another_protocol_is_sent_away(file_server: FileServer) -> None:
    with pytest.raises(ConnectionError), connected(file_server, "oxenstorage"):
        pass
    with pytest.raises(ConnectionError):
        _native.QuicConnection(LOOPBACK, file_server.port, bytes(32), os.urandom(32), "quic-files", SECONDS)


async def test_strangers_have_bounds(make_server: Make, http: aiohttp.ClientSession) -> None:
    server = make_server(connections_per_source=3, idle_seconds=1, source_day_bytes=1 << 20)
    with connected(server) as first, connected(server), connected(server):
        with pytest.raises(ConnectionError), connected(server):
            pass
        # One that stops in the midst of it is let go of, and what it had sent is gone.
        slow = Stream(first.open())
        await slow.write(prefixed({"!": "PUT", "s": 1000}) + b"a beginning", SECONDS)
        with pytest.raises(ConnectionError, match="452"):
            await slow.read(1, SECONDS)
        assert not list((server.directory / "incoming").iterdir())
        # Bytes of one source are counted however they come.
        await put(first, os.urandom(900_000))
        stream = Stream(first.open())
        await stream.write(prefixed({"!": "PUT", "s": 300_000}), SECONDS)
        with pytest.raises(ConnectionError, match="451"):
            await stream.read(1, SECONDS)
        async with http.post(f"{server.url}/file", data=os.urandom(300_000)) as answer:
            assert answer.status == 429


async def test_a_body_that_never_rests_has_its_time_all_the_same(make_server: Make) -> None:
    """Each piece comes in time for `idle_seconds`; it is the whole that takes too long."""
    server = make_server(grace_seconds=0.5, least_bytes_per_second=1 << 20, idle_seconds=600)
    with connected(server) as connection:
        stream = Stream(connection.open())
        await stream.write(prefixed({"!": "PUT", "s": 100_000}), SECONDS)
        refused = asyncio.create_task(stream.read(1, SECONDS))
        sent = 0
        while not refused.done() and sent < 99_000:
            with contextlib.suppress(ConnectionError):
                await stream.write(b"a", SECONDS)
            sent += 1
            await asyncio.wait([refused], timeout=0.01)
        with pytest.raises(ConnectionError, match="452"):
            await refused
        assert not list((server.directory / "incoming").iterdir())


async def test_a_client_finds_a_server_that_was_started_anew(
    make_server: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("allium.client.transfers.quic.CONNECT_SECONDS", 1.0)
    server = make_server()
    named = client.FileServer(server.url, server.ed25519)
    route = QuicRoute(named, DirectRoute())
    transfers, body = client.Transfers(route, named), BytesBody(os.urandom(100_000))
    encryption = await legacy_encryption(body)
    remote = await transfers.upload(encryption, body)
    server.stop()
    with pytest.raises(NetworkError):
        await transfers.info(remote.url.file_id)
    server.start()
    assert (await transfers.info(remote.url.file_id)).size == encryption.stored_size
    server.stop()
    server.start()
    sink = MemorySink()
    await transfers.receive(remote.attachment(), sink)
    assert sink.data == body.data
    await route.close()


async def test_without_quic_nobody_is_there(make_server: Make) -> None:
    server = make_server(quic=False)
    with pytest.raises((ConnectionError, TimeoutError)):
        _native.QuicConnection(LOOPBACK, server.port, server.ed25519, os.urandom(32), "quic-files", 0.5)
