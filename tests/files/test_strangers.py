"""What strangers send, and how much of it: nothing is served that should not be, held that need not be, or told."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import os
import random
import struct
import time
from pathlib import Path

import aiohttp
import pytest

from tests.files.conftest import Make
from tests.files.test_api import OCTETS, fetch, name_of, refused, upload
from tests.support.file_server import FileServer, through_layer, v4_answer, v4_layer, v4_request
from tests.support.waiting import await_that

LIMIT = 10_000_000


async def talk(server: FileServer, sent: bytes, eof: bool = False) -> bytes:
    """Everything that comes back for these bytes, until the server hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(sent)
        await writer.drain()
        if eof:
            writer.write_eof()
        async with asyncio.timeout(60):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def open_upload(server: FileServer, head: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"POST /file HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode())
    await writer.drain()
    return reader, writer


async def test_what_is_too_large_is_refused_before_it_comes(file_server: FileServer) -> None:
    reader, writer = await open_upload(file_server, f"Content-Length: {LIMIT + 1}")
    # Not one byte of the body was sent.
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    assert await reader.readexactly(19) == b'{"status_code":413}'
    writer.close()


async def test_what_does_not_say_how_large_it_is(http: aiohttp.ClientSession, file_server: FileServer) -> None:
    async def body(size: int) -> object:
        for _ in range(size // 100_000):
            yield bytes(100_000)

    async with http.post(f"{file_server.url}/file", data=body(LIMIT)) as answer:
        assert (await answer.json())["id"] == name_of(bytes(LIMIT))
    reader, writer = await open_upload(file_server, "Transfer-Encoding: chunked")
    piece = b"%x\r\n%b\r\n" % (100_000, bytes(100_000))
    try:
        for _ in range(LIMIT // 100_000 + 1):
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        pass
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 413 ")
    writer.close()


async def test_an_empty_file_is_none(http: aiohttp.ClientSession, file_server: FileServer) -> None:
    async with http.post(f"{file_server.url}/file", data=b"", headers=OCTETS) as answer:
        await refused(answer, 413)


async def test_who_wants_leave_to_send_gets_it_unless_it_is_too_much(file_server: FileServer) -> None:
    data = os.urandom(100_000)
    reader, writer = await open_upload(file_server, f"Expect: 100-continue\r\nContent-Length: {len(data)}")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(data)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    writer.close()
    reader, writer = await open_upload(file_server, f"Expect: 100-continue\r\nContent-Length: {LIMIT + 1}")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 413 ")
    writer.close()


async def test_what_unpacks_to_much_is_not_unpacked(http: aiohttp.ClientSession, file_server: FileServer) -> None:
    packed = gzip.compress(bytes(50_000_000))
    told = await upload(http, file_server, packed, **{"Content-Encoding": "gzip"})
    assert told["id"] == name_of(packed)


async def test_a_body_that_breaks_off_is_no_file(http: aiohttp.ClientSession, file_server: FileServer) -> None:
    _, before = await fetch(http, f"{file_server.url}/file/{name_of(bytes(5000))}/info")
    _, writer = await open_upload(file_server, "Content-Length: 10000")
    writer.write(bytes(5000))
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    # Whoever comes afterwards is answered, and there is no such file.
    status, after = await fetch(http, f"{file_server.url}/file/{name_of(bytes(5000))}/info")
    assert status == 404 and before == after


async def test_slow_bodies_are_cut_off(make_server: Make) -> None:
    server = make_server(idle_seconds=1)
    began = time.monotonic()
    for path in ("/file", "/files", "/oxen/v4/lsrpc"):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nbegun".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ") and b"connection: close" in head.lower(), path
        writer.close()
    assert time.monotonic() - began < 30
    assert not list((server.directory / "incoming").iterdir())


async def test_who_does_not_read_is_cut_off(http: aiohttp.ClientSession, make_server: Make) -> None:
    server = make_server(idle_seconds=2)
    told = await upload(http, server, os.urandom(LIMIT))
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
    writer.write(f"GET /file/{told['id']} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 4)
    await writer.drain()
    # The kernel takes some, and then nothing moves any more.
    await asyncio.to_thread(await_that, "it is cut off", lambda: metric(server, "connections") <= 1)
    writer.close()
    assert (await fetch(http, f"{server.url}/file/{told['id']}/info"))[0] == 200
    assert reader is not None


def metric(server: FileServer, name: str) -> float:
    from allium.operate import admin

    return float(admin.status(server.directory)["files"][name])


async def test_what_one_source_sends_is_counted_alike_however_it_comes(
    http: aiohttp.ClientSession, make_server: Make
) -> None:
    server = make_server(source_day_bytes=2_000_000)
    await upload(http, server, os.urandom(900_000))
    sent = await through_layer(http, server, "POST", "/file", body=os.urandom(900_000))
    assert sent.code == 200
    async with http.post(f"{server.url}/file", data=os.urandom(300_000)) as answer:
        assert int(answer.headers["Retry-After"]) > 1000
        await refused(answer, 429)
    payload, _ = v4_layer(server.x25519, v4_request("POST", "/file", body=os.urandom(300_000)))
    async with http.post(f"{server.url}/oxen/v4/lsrpc", data=payload) as answer:
        await refused(answer, 429)
    # What takes nothing is still answered.
    assert (await fetch(http, f"{server.url}/file/{sent.json()['id']}"))[0] == 200
    headers = {"X-Forwarded-For": "198.51.100.7"}
    async with http.post(f"{server.url}/file", data=os.urandom(300_000), headers=headers) as answer:
        await refused(answer, 429)


async def test_a_proxy_says_who_asks(http: aiohttp.ClientSession, make_server: Make) -> None:
    server = make_server(source_day_bytes=1_100_000, trusted_proxies="127.0.0.0/8, 192.0.2.0/24")
    for source, status in (
        ("198.51.100.7", 200),
        ("198.51.100.7", 429),
        # What the client says itself stands before what the proxy saw.
        ("203.0.113.1, 198.51.100.7, 192.0.2.8", 429),
        ("198.51.100.8", 200),
        ("2001:db8::1", 200),
        ("2001:db8::2", 429),
        ("2001:db8:0:1::2", 200),
        ("nonsense", 200),
    ):
        headers = {"X-Forwarded-For": source}
        async with http.post(f"{server.url}/file", data=os.urandom(900_000), headers=headers) as answer:
            assert answer.status == status, source


async def test_all_files_together(http: aiohttp.ClientSession, make_server: Make) -> None:
    server = make_server(max_bytes=3_000_000)
    kept = await upload(http, server, os.urandom(2_000_000))
    async with http.post(f"{server.url}/file", data=io.BytesIO(os.urandom(1_100_000))) as answer:
        await refused(answer, 507)
    sent = await through_layer(http, server, "POST", "/file", body=os.urandom(1_100_000))
    assert (sent.code, sent.json()) == (507, {"status_code": 507})
    await upload(http, server, os.urandom(900_000))
    assert (await fetch(http, f"{server.url}/file/{kept['id']}"))[0] == 200


async def test_connections_of_one_source(make_server: Make) -> None:
    server = make_server(connections_per_source=5)
    open_ones = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(5)]
    assert await talk(server, b"GET /file HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") == b""
    for _, writer in open_ones:
        writer.close()
        await writer.wait_closed()
    await asyncio.to_thread(await_that, "the server has seen it", lambda: not sockets_of(server))
    assert await talk(server, b"GET /file HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")


def sockets_of(server: FileServer) -> list[str]:
    """Its ends of connections that are not closed yet."""
    lines = Path(f"/proc/{server.pid}/net/tcp").read_text().splitlines()[1:]
    local = f":{server.port:04X}"
    return [line for line in lines if line.split()[1].endswith(local) and line.split()[3] in ("01", "08")]


async def test_nonsense_for_http(file_server: FileServer) -> None:
    chance = random.Random(7)
    for sent in (
        b"\r\n" * 1000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        b"GET " + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 10_000 + b"\r\n",
        b"POST /file HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /file HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /file HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        *(chance.randbytes(chance.randrange(1, 300)) + b"\r\n\r\n" for _ in range(100)),
    ):
        assert b" 200 " not in (await talk(file_server, sent, eof=True))[:20], sent[:50]
    assert "Traceback" not in file_server.log


async def test_nonsense_for_layers(http: aiohttp.ClientSession, file_server: FileServer) -> None:
    good, _ = v4_layer(file_server.x25519, v4_request("GET", "/file/1"))
    [length] = struct.unpack_from("<I", good)
    body, control = good[4 : 4 + length], json.loads(good[4 + length :])

    def framed(change: dict[str, object], sealed: bytes = body) -> bytes:
        return struct.pack("<I", len(sealed)) + sealed + json.dumps({**control, **change}).encode()

    for payload in (
        b"x",
        b"\0\0\0",
        b"\xff\xff\xff\xff",
        struct.pack("<I", 10) + b"short",
        struct.pack("<I", 0) + b"{}",
        good[:-1],
        good[: 4 + length] + b"[]",
        good[: 4 + length] + b"[" * 50_000,
        framed({"ephemeral_key": "00" * 32}),
        framed({"ephemeral_key": "zz" * 32}),
        framed({"ephemeral_key": 5}),
        framed({"enc_type": "rot13"}),
        framed({"enc_type": 5}),
        framed({"enc_type": "xchacha20"}),
        framed({}, os.urandom(200)),
        framed({}, b""),
        os.urandom(100_000),
    ):
        async with http.post(f"{file_server.url}/oxen/v4/lsrpc", data=payload) as answer:
            assert (answer.status, await answer.text()) == (400, "Invalid ciphertext"), payload[:60]


@pytest.mark.parametrize(
    "plaintext",
    [
        b"",
        b"le",
        b"l",
        b"{}",
        b"l2:{}e",
        b"l5:{}e",
        b"l99999999999999999999:{}e",
        b"l-1:{}e",
        b"l2:[]e",
        b"l0:e",
        v4_request("GET", "/file/1") + b"e",
        v4_request("BREW", "/file/1"),
        v4_request("GET", "/file/\ud800"),
        b'l44:{"method":"GET","endpoint":5,"headers":{}}  e',
        b'l51:{"method":"GET","endpoint":"/x","headers":[1,2,3]} e',
        v4_request("GET", "/file/1")[:-1] + b"1:a1:be",
        b"l100000:" + b"[" * 100_000 + b"e",
    ],
)
async def test_nonsense_in_a_layer(http: aiohttp.ClientSession, file_server: FileServer, plaintext: bytes) -> None:
    payload, layer = v4_layer(file_server.x25519, plaintext)
    async with http.post(f"{file_server.url}/oxen/v4/lsrpc", data=payload) as answer:
        assert answer.status == 200
        inner = v4_answer(layer.open(await answer.read()))
    assert (inner.code, inner.body) == (400, b"Invalid v4 onion request")


async def test_what_looks_like_a_layer_for_a_node_is_no_request(
    http: aiohttp.ClientSession, file_server: FileServer
) -> None:
    for control in ({"headers": ""}, {"host": "x", "target": "/oxen/v4/lsrpc"}, {"destination": "00" * 32}):
        inside = b'{"method":"info","params":{}}'
        plaintext = struct.pack("<I", len(inside)) + inside + json.dumps(control).encode()
        payload, layer = v4_layer(file_server.x25519, plaintext)
        async with http.post(f"{file_server.url}/oxen/v4/lsrpc", data=payload) as answer:
            assert v4_answer(layer.open(await answer.read())).code == 400


async def test_layers_within_layers_lead_nowhere(http: aiohttp.ClientSession, file_server: FileServer) -> None:
    payload, _ = v4_layer(file_server.x25519, v4_request("GET", "/file/1"))
    inner = await through_layer(http, file_server, "POST", "/oxen/v4/lsrpc", body=payload)
    assert (inner.code, inner.json()) == (404, {"status_code": 404})


async def test_a_layer_that_is_too_large(http: aiohttp.ClientSession, file_server: FileServer) -> None:
    inner = await through_layer(http, file_server, "POST", "/file", body=bytes(LIMIT + 1))
    assert (inner.code, inner.json()) == (413, {"status_code": 413})
    async with http.post(f"{file_server.url}/oxen/v4/lsrpc", data=io.BytesIO(bytes(20_000_000))) as answer:
        await refused(answer, 413)


#: Transfers of 10 MB at once; 64 write over a gigabyte to the disk.
AT_ONCE = int(os.environ.get("ALLIUM_FILES_AT_ONCE", "8"))


@pytest.mark.parametrize("onion", [False, True])
async def test_many_at_once_take_little_memory(make_server: Make, onion: bool) -> None:
    server = make_server()
    rest = os.urandom(LIMIT - 2)
    files = [number.to_bytes(2, "big") + rest for number in range(AT_ONCE)]
    timeout, connector = aiohttp.ClientTimeout(total=500), aiohttp.TCPConnector(limit=AT_ONCE)

    async def there(data: bytes) -> None:
        if onion:
            assert (await through_layer(http, server, "POST", "/file", body=data)).json()["id"] == name_of(data)
        else:
            assert (await upload(http, server, data))["id"] == name_of(data)

    async def back(data: bytes) -> None:
        if onion:
            assert (await through_layer(http, server, "GET", f"/file/{name_of(data)}")).body == data
        else:
            assert await fetch(http, f"{server.url}/file/{name_of(data)}") == (200, data)

    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as http:
        await asyncio.gather(*map(there, files))
        assert server.resident_bytes() < 200_000_000
        await asyncio.gather(*map(back, files))
    assert server.resident_bytes() < 200_000_000
    assert not list((server.directory / "incoming").iterdir())
