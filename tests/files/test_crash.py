"""A server that is killed under load, and one that ends well: nothing acknowledged is lost, nothing is left over."""

from __future__ import annotations

import asyncio
import io
import json
import os
import random
import sqlite3
import time
from pathlib import Path

import aiohttp
import pytest

from allium.files.sqlite import FILE_NAME
from tests.files.conftest import Make
from tests.files.test_api import fetch, name_of, refused, upload
from tests.support.file_server import FileServer, through_layer
from tests.support.waiting import await_that

_KILLS = int(os.environ.get("ALLIUM_FILES_KILLS", "3"))


async def load(
    server: FileServer, acknowledged: dict[str, bytes], chance: random.Random, enough: asyncio.Event
) -> None:
    """Uploads, plain and in layers, until the server is gone."""
    async with aiohttp.ClientSession() as http:
        while True:
            data = chance.randbytes(chance.choice([100, 5_000, 300_000, 2_000_000]))
            try:
                if chance.random() < 0.3:
                    name = (await through_layer(http, server, "POST", "/file", body=data)).json()["id"]
                else:
                    name = (await upload(http, server, data))["id"]
            except aiohttp.ClientError:
                return
            assert name == name_of(data)
            acknowledged[name] = data
            if len(acknowledged) >= 40:
                enough.set()


def blobs(server: FileServer) -> list[Path]:
    return [path for path in (server.directory / "blobs").rglob("*") if path.is_file()]


def counts(server: FileServer) -> tuple[int, int]:
    """Files and loose blobs in the index."""
    with sqlite3.connect(server.directory / FILE_NAME) as database:
        [files] = database.execute("SELECT count(*) FROM file").fetchone()
        [loose] = database.execute("SELECT count(*) FROM loose").fetchone()
    return files, loose


async def test_killed_under_load_it_loses_nothing_acknowledged(http: aiohttp.ClientSession, make_server: Make) -> None:
    server, chance = make_server(), random.Random(11)
    for _ in range(_KILLS):
        acknowledged: dict[str, bytes] = {}
        enough = asyncio.Event()
        async with asyncio.TaskGroup() as group, asyncio.timeout(300):
            for _ in range(12):
                group.create_task(load(server, acknowledged, chance, enough))
            await enough.wait()
            server.kill()
        server.start()
        for name, data in acknowledged.items():
            assert await fetch(http, f"{server.url}/file/{name}") == (200, data)
        # Neither a file without bytes nor bytes without a file.
        files, loose = counts(server)
        assert loose == 0 and len(blobs(server)) == files
        assert not list((server.directory / "incoming").iterdir())
        report = json.loads(server.command("verify", "--json").stdout)
        assert report["found"] == 0 and report["files"] == report["blobs"] == files
    server.stop()
    assert json.loads(server.command("stats", "--json").stdout)["files"] == files


async def test_what_is_under_way_when_it_ends_is_finished(http: aiohttp.ClientSession, make_server: Make) -> None:
    server = make_server()
    data, begun = os.urandom(400_000), asyncio.Event()

    async def body() -> object:
        yield data[:200_000]
        begun.set()
        await asyncio.to_thread(await_that, "it says that it ends", lambda: "stopping" in server.log)
        yield data[200_000:]

    sending = asyncio.create_task(http.post(f"{server.url}/file", data=body()).__aenter__())
    await begun.wait()
    await asyncio.to_thread(server.stop)
    assert (await (await sending).json())["id"] == name_of(data)
    server.start()
    assert await fetch(http, f"{server.url}/file/{name_of(data)}") == (200, data)


async def test_files_expire_and_their_bytes_go(http: aiohttp.ClientSession, make_server: Make) -> None:
    server = make_server()
    kept = await upload(http, server, os.urandom(1000))
    gone = await upload(http, server, os.urandom(1000))
    server.stop()
    with sqlite3.connect(server.directory / FILE_NAME) as database:
        database.execute("UPDATE file SET expires = ? WHERE name = ?", (time.time() - 1, gone["id"]))
    assert json.loads(server.command("stats", "--json").stdout)["files"] == 2
    done = server.command("gc")
    assert done.returncode == 0 and done.stdout.startswith("1 files had expired")
    assert counts(server) == (1, 0) and len(blobs(server)) == 1
    server.start()
    async with http.get(f"{server.url}/file/{gone['id']}") as answer:
        await refused(answer, 404)
    assert (await fetch(http, f"{server.url}/file/{kept['id']}"))[0] == 200


async def test_what_expired_a_moment_ago_is_not_served_and_comes_back(
    http: aiohttp.ClientSession, make_server: Make
) -> None:
    server = make_server()
    data = os.urandom(1000)
    first = await upload(http, server, data)
    with sqlite3.connect(server.directory / FILE_NAME) as database:
        database.execute("UPDATE file SET expires = 1, uploaded = 0")
    async with http.get(f"{server.url}/file/{first['id']}") as answer:
        await refused(answer, 404)
    async with http.post(f"{server.url}/file/{first['id']}/extend") as answer:
        await refused(answer, 404)
    again = await upload(http, server, data)
    assert again["id"] == first["id"] and again["uploaded"] > first["uploaded"]
    assert await fetch(http, f"{server.url}/file/{first['id']}") == (200, data)


async def test_verify_finds_what_does_not_agree_and_gc_removes_what_nobody_has(
    http: aiohttp.ClientSession, make_server: Make
) -> None:
    server = make_server()
    contents = [os.urandom(5000) for _ in range(4)]
    for data in contents:
        await upload(http, server, data)
    by_content = {path.read_bytes(): path for path in blobs(server)}
    by_content[contents[0]].unlink()
    by_content[contents[1]].write_bytes(contents[1][:-1])
    by_content[contents[2]].write_bytes(os.urandom(5000))
    stranger = by_content[contents[3]].with_name(by_content[contents[3]].name[:2] + "0" * 30)
    stranger.write_bytes(b"nobody's")
    os.utime(stranger, (1, 1))
    (stranger.parent / "not a blob").write_bytes(b"the operator's")
    done = server.command("verify", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 1 and report["found"] == 4 and report["orphans"] == 1
    told = " ".join(report["problems"])
    assert all(name_of(data) in told for data in contents[:3]) and stranger.name in told
    for data in contents[:2]:
        async with http.get(f"{server.url}/file/{name_of(data)}") as answer:
            await refused(answer, 404)
    done = server.command("gc")
    assert "1 blobs (8 bytes) had none" in done.stdout
    assert not stranger.exists() and (stranger.parent / "not a blob").exists()
    assert await fetch(http, f"{server.url}/file/{name_of(contents[3])}") == (200, contents[3])


async def test_a_full_disk_is_said_and_survived(http: aiohttp.ClientSession, make_server: Make) -> None:
    server = make_server()
    kept = await upload(http, server, os.urandom(1000))
    # As on a full disk, bodies have no place to go.
    (server.directory / "incoming").rmdir()
    async with http.post(f"{server.url}/file", data=io.BytesIO(os.urandom(1000))) as answer:
        await refused(answer, 503)
    assert (await fetch(http, f"{server.url}/file/{kept['id']}"))[0] == 200
    (server.directory / "incoming").mkdir()
    await upload(http, server, os.urandom(1000))
    assert "Traceback" not in server.log


def test_two_servers_do_not_share_a_directory(make_server: Make) -> None:
    server = make_server()
    done = server.command("serve")
    assert done.returncode == 1 and f"another process serves {server.directory}: {server.pid}" in done.stderr


@pytest.mark.parametrize("damage", ["other", "newer", "garbage"])
def test_a_strange_index_is_refused(make_server: Make, damage: str) -> None:
    server = make_server()
    server.stop()
    path = server.directory / FILE_NAME
    if damage == "garbage":
        path.write_bytes(os.urandom(8192))
    else:
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA application_id=1" if damage == "other" else "PRAGMA user_version=99")
    done = server.command("serve")
    assert done.returncode in (1, 78) and str(path) in done.stderr and "Traceback" not in done.stderr
