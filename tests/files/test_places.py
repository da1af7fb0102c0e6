"""Every database does what `Index` says, every place what `Blobs` says; and whole servers over PostgreSQL and S3."""

from __future__ import annotations

import asyncio
import io
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from allium.files.blobs import BlobMissingError, Blobs, new_blob
from allium.files.directory import DirectoryBlobs
from allium.files.index import BlobLostError, FileRecord, Index, NumberTakenError, Totals
from allium.files.object_store import ObjectBlobs
from allium.files.sqlite import SqliteIndex
from allium.server.messages import CHUNK_BYTES
from tests.files.conftest import Make
from tests.files.test_api import fetch, name_of, upload
from tests.support import postgres, s3
from tests.support.file_server import FileServer, through_layer

NOW = 1_700_000_000.25


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    pytest.importorskip("asyncpg")
    with postgres.running() as url:
        yield url


@pytest.fixture(scope="module")
def bucket() -> Iterator[dict[str, str]]:
    with s3.running() as environment:
        yield environment


@pytest_asyncio.fixture(params=["sqlite", "postgres"])
async def index(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Index]:
    if request.param == "sqlite":
        made: Index = SqliteIndex(tmp_path / "index.sqlite")
    else:
        from allium.files.postgres import PostgresIndex

        made = await PostgresIndex.open(request.getfixturevalue("database"))
        async with made._transaction() as db:
            await db.execute("TRUNCATE allium_file, allium_loose")
    yield made
    await made.close()


@pytest.fixture(params=["directory", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Blobs:
    if request.param == "directory":
        return DirectoryBlobs(tmp_path / "blobs")
    for name, value in request.getfixturevalue("bucket").items():
        monkeypatch.setenv(name, value)
    return ObjectBlobs(f"s3://{s3.BUCKET}/{tmp_path.name}")


def record(name: str, *, number: int | None = None, expires: float = NOW + 100, uploaded: float = NOW) -> FileRecord:
    return FileRecord(name_of(name.encode()), number, new_blob(), 10, uploaded, expires)


async def add(index: Index, made: FileRecord, now: float = NOW) -> FileRecord:
    await index.reserve(made.blob, now)
    return await index.add(made, now)


async def test_a_file_is_found_until_it_expires(index: Index) -> None:
    made = record("a", number=1234567890123456)
    assert await index.find(made.name, NOW) is None
    assert await add(index, made) == made
    assert await index.find(made.name, NOW) == await index.find(1234567890123456, NOW) == made
    assert await index.find(made.name, NOW + 100) is None
    assert await index.totals() == Totals(1, 10, 0)


async def test_a_blob_is_reserved_before(index: Index) -> None:
    made = record("a")
    with pytest.raises(BlobLostError):
        await index.add(made, NOW)
    assert await index.totals() == Totals(0, 0, 0)
    await index.reserve(made.blob, NOW)
    assert await index.totals() == Totals(0, 0, 1)
    assert await index.known([made.blob, new_blob()]) == {made.blob}
    assert await index.sweepable(NOW, 10) == [] and await index.sweepable(NOW + 1, 10) == [made.blob]
    await index.abandon([made.blob, new_blob()])
    assert await index.sweepable(NOW - 1000, 10) == [made.blob]
    await index.forget([made.blob])
    assert await index.known([made.blob]) == set()


async def test_the_same_content_is_added_once(index: Index) -> None:
    first, second = record("a"), record("a", expires=NOW + 500, uploaded=NOW + 7)
    await add(index, first)
    kept = await add(index, second)
    assert kept == FileRecord(first.name, None, first.blob, 10, NOW, NOW + 500)
    assert await index.find(first.name, NOW) == kept
    assert await index.sweepable(NOW, 10) == [second.blob]
    assert await index.totals() == Totals(1, 10, 1)


async def test_what_has_expired_is_replaced(index: Index) -> None:
    first, second = record("a", expires=NOW), record("a", uploaded=NOW + 7)
    await add(index, first, NOW - 1)
    assert await add(index, second) == second
    assert await index.find(first.name, NOW) == second
    assert await index.sweepable(NOW, 10) == [first.blob]
    assert await index.totals() == Totals(1, 10, 1)


async def test_extend(index: Index) -> None:
    made = record("a")
    await add(index, made)
    assert await index.extend(made.name, NOW + 50, NOW) == made
    longer = await index.extend(made.name, NOW + 900, NOW, 77)
    assert longer == FileRecord(made.name, 77, made.blob, 10, NOW, NOW + 900)
    assert await index.extend(made.name, NOW + 900, NOW, 78) == longer
    assert await index.find(77, NOW) == longer
    assert await index.extend(made.name, NOW + 5000, NOW + 900) is None
    assert await index.extend(name_of(b"none"), NOW + 50, NOW) is None


async def test_a_number_is_given_once(index: Index) -> None:
    await add(index, record("a", number=5))
    taken = record("b", number=5)
    await index.reserve(taken.blob, NOW)
    with pytest.raises(NumberTakenError):
        await index.add(taken, NOW)
    # It may try another one: its blob is reserved still.
    assert (await index.add(FileRecord(taken.name, 6, taken.blob, 10, NOW, NOW + 9), NOW)).number == 6
    with pytest.raises(NumberTakenError):
        made = record("c")
        await add(index, made)
        await index.extend(made.name, NOW, NOW, 6)


async def test_expiry_in_steps(index: Index) -> None:
    old = [record(f"old {number}", expires=NOW - number) for number in range(1, 8)]
    for made in (*old, record("new")):
        await add(index, made, NOW - 1000)
    dropped = []
    while step := await index.expire(NOW, 3):
        dropped.append(step)
    assert dropped == [3, 3, 1]
    assert set(await index.sweepable(NOW, 100)) == {made.blob for made in old}
    assert len(await index.sweepable(NOW, 2)) == 2
    assert await index.totals() == Totals(1, 10, 7)


async def test_a_scan_sees_every_file_once(index: Index) -> None:
    made = sorted([record(f"{number}") for number in range(25)], key=lambda each: each.name)
    await asyncio.gather(*(add(index, each) for each in made))
    seen: list[FileRecord] = []
    while page := await index.scan(seen[-1].name if seen else "", 10):
        seen += page
    assert seen == made


async def test_many_at_once_add_one_content(index: Index) -> None:
    several = [record("a", expires=NOW + number) for number in range(1, 30)]
    kept = await asyncio.gather(*(add(index, each) for each in several))
    assert len({each.blob for each in kept}) == 1
    found = await index.find(several[0].name, NOW)
    assert found is not None and found.expires == NOW + 29
    assert await index.totals() == Totals(1, 10, 28)


@pytest.mark.parametrize("size", [1, CHUNK_BYTES, CHUNK_BYTES + 1, 11_000_000])
async def test_a_blob_comes_back(blobs: Blobs, tmp_path: Path, size: int) -> None:
    data, blob, source = os.urandom(size), new_blob(), tmp_path / "source"
    source.write_bytes(data)
    await blobs.put(blob, source)
    assert not source.exists()
    reader = await blobs.open(blob, size)
    try:
        assert await reader.read() == data
    finally:
        reader.close()
    reader = await blobs.open(blob, size)
    try:
        assert b"".join([chunk async for chunk in reader.chunks()]) == data
    finally:
        reader.close()
    with pytest.raises(BlobMissingError):
        await blobs.open(blob, size + 1)
    [found] = [each async for page in blobs.listing() for each in page]
    assert (found.blob, found.size) == (blob, size) and abs(found.modified - time.time()) < 300
    await blobs.delete([blob, new_blob()])
    with pytest.raises(BlobMissingError):
        await blobs.open(blob, size)
    assert [page async for page in blobs.listing() if page] == []


async def test_a_place_can_be_tried(blobs: Blobs) -> None:
    await blobs.probe()
    assert [page async for page in blobs.listing() if page] == []


async def test_a_server_on_s3_and_postgresql(
    http: aiohttp.ClientSession,
    make_server: Make,
    tmp_path: Path,
    database: str,
    bucket: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in bucket.items():
        monkeypatch.setenv(name, value)
    server = make_server(storage=f"s3://{s3.BUCKET}/whole", index=database)
    data = os.urandom(9_000_000)
    told = await upload(http, server, data)
    assert (await upload(http, server, data))["uploaded"] == told["uploaded"]
    small = await through_layer(http, server, "POST", "/file", body=b"a small one")
    assert await fetch(http, f"{server.url}/file/{told['id']}") == (200, data)
    assert (await through_layer(http, server, "GET", f"/file/{told['id']}")).body == data
    # Nothing of it is on this machine.
    assert not [path for path in server.directory.rglob("*") if path.is_file() and path.stat().st_size > 100_000]
    # A second server has the same files.
    second = FileServer(tmp_path / "second", server.port, storage=f"s3://{s3.BUCKET}/whole", index=database)
    report = json.loads(second.command("verify", "--json").stdout)
    assert report["found"] == 0 and report["files"] == 2
    server.kill()
    server.start()
    assert await fetch(http, f"{server.url}/file/{small.json()['id']}") == (200, b"a small one")


async def test_a_provider_that_is_gone(
    http: aiohttp.ClientSession, make_server: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3.running() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        server = make_server(storage=f"s3://{s3.BUCKET}/gone")
        told = await upload(http, server, b"while it was there")
    async with http.get(f"{server.url}/file/{told['id']}") as answer:
        assert (answer.status, await answer.json()) == (503, {"status_code": 503})
    async with http.post(f"{server.url}/file", data=io.BytesIO(b"afterwards")) as answer:
        assert (answer.status, await answer.json()) == (503, {"status_code": 503})
    assert "Traceback" not in server.log
