"""Plain downloads are answered at once, exactly as all others are, and what is not plain is not taken for it."""

from __future__ import annotations

import asyncio
import os
import re

import aiohttp
import pytest

from tests.files.test_api import upload
from tests.support.file_server import FileServer


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
    [blob] = [
        path for path in (file_server.directory / "blobs").rglob("*") if path.is_file() and path.read_bytes() == data
    ]
    blob.write_bytes(data[:100])
    [(first, _, _)] = await asked(file_server, get(name))
    assert first.split()[1] == b"404"
