"""Plain downloads are answered at once, exactly as all others are, and what is not plain is not taken for it."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from pathlib import Path

import aiohttp
import pytest

from allium.files.api import CONTENT_HEADERS
from allium.files.directory import DirectoryBlobs
from allium.files.index import FileRecord
from allium.files.quick_get import QuickGet
from allium.files.sqlite import SqliteIndex
from allium.operate import admin
from tests.files.conftest import Make
from tests.files.test_api import upload
from tests.support.file_server import FileServer
from tests.support.waiting import await_that


async def answered(reader: asyncio.StreamReader) -> tuple[bytes, dict[str, str], bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head[:-4].split(b"\r\n")
    headers = dict(line.decode().lower().split(": ", 1) for line in lines)
    return first, headers, await reader.readexactly(int(headers["content-length"]))


async def asked(server: FileServer, *heads: bytes) -> list[tuple[bytes, dict[str, str], bytes]]:
    """The answers to these, one after the other on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    answers = []
    try:
        for head in heads:
            writer.write(head)
            answers.append(await asyncio.wait_for(answered(reader), 30))
    finally:
        writer.close()
    return answers


def get(name: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET /file/{name} HTTP/1.1", "Host: x", *fields, "", ""]).encode()


async def test_the_quick_answer_is_the_same_as_the_other(http: aiohttp.ClientSession, file_server: FileServer) -> None:
    data = os.urandom(100_000)
    name = (await upload(http, file_server, data))["id"]
    quick, slow, again = await asked(
        file_server, get(name), get(name, "Range: bytes=0-"), get(name, "Connection: close")
    )
    assert quick[0] == slow[0] == again[0] == b"HTTP/1.1 200 OK"
    assert quick[2] == slow[2] == again[2] == data
    without = [
        {name: value for name, value in each[1].items() if name not in ("date", "connection")} for each in (quick, slow)
    ]
    assert without[0] == without[1]
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d gmt", quick[1]["date"])


async def test_many_on_one_connection_and_then_something_else(
    http: aiohttp.ClientSession, file_server: FileServer
) -> None:
    data = os.urandom(3000)
    name = (await upload(http, file_server, data))["id"]
    post = b"POST /file HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
    heads = [get(name)] * 20 + [get(name, "Connection: Keep-Alive", "Accept: */*"), post, get(name), post, get(name)]
    answers = await asked(file_server, *heads)
    assert all(first == b"HTTP/1.1 200 OK" for first, _, _ in answers)
    downloads = [body for number, (_, _, body) in enumerate(answers) if heads[number] != post]
    assert downloads == [data] * 23


async def test_what_is_not_there_and_what_is_large(http: aiohttp.ClientSession, file_server: FileServer) -> None:
    data = os.urandom(300_000)
    name = (await upload(http, file_server, data))["id"]
    for wanted, status in (
        ("A" * 44, b"404"),
        ("1234", b"404"),
        (name, b"200"),
        (name[:-1], b"404"),
        (name + "A", b"404"),
    ):
        [(first, _, body)] = await asked(file_server, get(wanted))
        assert first.split()[1] == status and (body == data if status == b"200" else body == b'{"status_code":404}')


@pytest.mark.parametrize(
    "field",
    [
        "Content-Length: 40",
        "content-length : 40",
        "Transfer-Encoding: chunked",
        "X-A: b\r\n Content-Length: 40",
        "X-A: b\nContent-Length: 40",
        "X-A\0: b",
        "Expect: 100-continue",
        "Upgrade: h2c\r\nConnection: Upgrade",
        "Connection: keep-alive, Content-Length",
    ],
)
async def test_nobody_hides_a_request_behind_a_plain_one(
    http: aiohttp.ClientSession, file_server: FileServer, field: str
) -> None:
    """What could have a body is read by aiohttp, so that what follows is a body or refused, and no second request."""
    name = (await upload(http, file_server, b"something"))["id"]
    reader, writer = await asyncio.open_connection("127.0.0.1", file_server.port)
    writer.write(get(name, field))
    await writer.drain()
    hidden = b"GET /file/1/info HTTP/1.1\r\nHost: x\r\n\r\n"
    try:
        writer.write(hidden)
        writer.write_eof()
        received = await asyncio.wait_for(reader.read(), 60)
    except OSError:
        return  # it was refused, and the connection ended before this was sent
    finally:
        writer.close()
    # One answer: either to the first request with a body, or a refusal after which the connection ends; or, where the
    # field says nothing of a body, two.
    count = received.count(b"HTTP/1.1 ")
    says_nothing = field.startswith(("Expect", "Upgrade", "Connection"))
    assert count <= (3 if says_nothing else 1), received


async def test_a_file_that_has_lost_bytes_is_not_served_quickly(
    http: aiohttp.ClientSession, file_server: FileServer
) -> None:
    data = os.urandom(4000)
    name = (await upload(http, file_server, data))["id"]
    blob_of(file_server, data).write_bytes(data[:100])
    [(first, _, _)] = await asked(file_server, get(name))
    assert first.split()[1] == b"404"


def blob_of(server: FileServer, data: bytes) -> Path:
    """Where its bytes are."""
    [blob] = [path for path in (server.directory / "blobs").rglob("*") if path.is_file() and path.read_bytes() == data]
    return blob


def is_open(server: FileServer, blob: Path) -> bool:
    """Whether the server has it open."""
    links = Path(f"/proc/{server.pid}/fd").iterdir()
    return any(os.path.realpath(link) == str(blob) for link in links)


async def slow_reader(server: FileServer, name: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Asks for a file of which the kernel holds only a part."""
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
    narrow.setblocking(False)
    await asyncio.get_running_loop().sock_connect(narrow, ("127.0.0.1", server.port))
    reader, writer = await asyncio.open_connection(sock=narrow, limit=16 << 10)
    writer.write(get(name))
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def test_a_slow_reader_gets_all_of_it_and_keeps_nobody_waiting(
    http: aiohttp.ClientSession, file_server: FileServer
) -> None:
    large, small = os.urandom(9_000_000), os.urandom(1000)
    name, other = (await upload(http, file_server, large))["id"], (await upload(http, file_server, small))["id"]
    reader, writer = await slow_reader(file_server, name)
    assert [body for _, _, body in await asked(file_server, get(other), get(name))] == [small, large]
    assert await asyncio.wait_for(reader.readexactly(len(large)), 60) == large
    # The connection goes on, and answers what comes then.
    writer.write(get(other))
    assert (await asyncio.wait_for(answered(reader), 30))[2] == small
    writer.close()


async def test_a_reader_that_goes_leaves_nothing_open(http: aiohttp.ClientSession, make_server: Make) -> None:
    server = make_server()
    data = os.urandom(9_000_000)
    name = (await upload(http, server, data))["id"]
    readers = [await slow_reader(server, name) for _ in range(8)]
    assert is_open(server, blob_of(server, data))
    for _, writer in readers:
        writer.transport.abort()
    await asyncio.to_thread(await_that, "the file is let go of", lambda: not is_open(server, blob_of(server, data)))
    assert [body for _, _, body in await asked(server, get(name))] == [data]


async def test_quick_answers_are_counted(http: aiohttp.ClientSession, make_server: Make) -> None:
    server = make_server()
    name = (await upload(http, server, b"something"))["id"]
    before = admin.status(server.directory)["files"]
    await asked(server, get(name), get(name), get(name, "Range: bytes=0-"))
    after = admin.status(server.directory)["files"]
    counted = ("requests_total", "request_seconds_count", "sent_bytes_total")
    assert [after[each] - before[each] for each in counted] == [3, 3, 3 * len(b"something")]


async def test_a_file_cut_off_while_its_row_is_remembered_ends_the_connection(
    http: aiohttp.ClientSession, file_server: FileServer
) -> None:
    data = os.urandom(40_000)
    name = (await upload(http, file_server, data))["id"]
    reader, writer = await asyncio.open_connection("127.0.0.1", file_server.port)
    writer.write(get(name))
    assert (await answered(reader))[2] == data
    os.truncate(blob_of(file_server, data), 30_000)
    writer.write(get(name))
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await asyncio.wait_for(answered(reader), 60)
    writer.close()


async def test_a_row_is_believed_until_its_file_expires(tmp_path: Path) -> None:
    now = [1000.0]
    index, blobs = SqliteIndex(tmp_path / "index.sqlite"), DirectoryBlobs(tmp_path / "blobs")
    quick = QuickGet(index, blobs, CONTENT_HEADERS, lambda: now[0])
    await index.reserve("ab" * 16, now[0])
    await index.add(FileRecord("A" * 44, 1234, "ab" * 16, 5, now[0], now[0] + 5), now[0])
    for wanted in (get("A" * 44), get("1234"), get("1234")):
        found = quick.find(wanted)
        assert found is not None and found.size == 5 and found.path == str(tmp_path / "blobs" / "ab" / ("ab" * 16))
    now[0] += 4.9
    assert quick.find(get("1234")) is not None
    await index.extend("A" * 44, now[0] + 100, now[0])
    now[0] += 1
    assert quick.find(get("1234")) is not None, "extended"
    now[0] += 100
    assert quick.find(get("1234")) is None and quick.find(get("A" * 44)) is None
    await index.close()


async def test_names_and_fields_that_strangers_make_up_are_not_remembered(tmp_path: Path) -> None:
    index, blobs = SqliteIndex(tmp_path / "index.sqlite"), DirectoryBlobs(tmp_path / "blobs")
    quick = QuickGet(index, blobs, CONTENT_HEADERS)
    for number in range(1000):
        assert quick.find(get(str(number), f"X-{number}: {number}")) is None
    assert len(quick._rows) == 0 and len(quick._plain) <= 64
    await index.close()
