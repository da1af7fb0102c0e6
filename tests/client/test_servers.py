"""Servers, asked straight, over QUIC and over nodes of a devnet, one of which dies: files, communities."""

from __future__ import annotations

import asyncio
import os
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from allium.client import Account, Client
from allium.client.communities import calls
from allium.client.communities.server import CommunityServer
from allium.client.configs.community import Community
from allium.client.errors import NetworkError, RefusedError
from allium.client.exchange import BytesBody, MissingError, ServerRequest, TooLargeError
from allium.client.files import legacy
from allium.client.files.encryption import FileEncryption, deterministic_encryption, legacy_encryption
from allium.client.files.legacy import FileError
from allium.client.files.urls import FileUrlError
from allium.client.messages.kinds import Attachment, Letter, Text
from allium.client.servers import DirectRoute, OnionRoute, Route, ServerUnreachableError, perform, request
from allium.client.transfers.quic import QuicRoute
from allium.client.transfers.sinks import MemorySink, PathBody
from allium.client.transfers.transfer import FileServer, Transfers, is_renewal_due
from tests.support.devnet import Devnet
from tests.support.sogs_server import sogs_server

SEED = bytes(range(32))
TEN_MB = 9_900_000


@pytest.fixture
def net(files_devnet: Devnet) -> Devnet:
    return files_devnet


@pytest_asyncio.fixture
async def client(net: Devnet) -> AsyncIterator[Client]:
    async with Client(Account.new(), [net.network["seed_url"]]) as made:
        yield made


@pytest_asyncio.fixture
async def onion(client: Client) -> AsyncIterator[OnionRoute]:
    made = OnionRoute(client.network)
    yield made
    await made.close()


@pytest_asyncio.fixture(params=["onion", "direct", "quic"])
async def route(net: Devnet, client: Client, request: pytest.FixtureRequest) -> AsyncIterator[Route]:
    routes: dict[str, Route] = {"onion": OnionRoute(client.network), "direct": DirectRoute(lambda server: True)}
    # What is not for QUIC would fail: nobody may be asked straight.
    made = routes.get(request.param) or QuicRoute(server_of(net), DirectRoute())
    yield made
    await made.close()


def server_of(net: Devnet) -> FileServer:
    files = net.network["files"]
    return FileServer(files["url"], bytes.fromhex(files["pubkey_ed25519"]))


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


async def encrypted(kind: str, source: PathBody | BytesBody) -> FileEncryption:
    return await (legacy_encryption(source) if kind == "legacy" else deterministic_encryption(source, SEED))


@pytest.mark.parametrize("kind", ["legacy", "deterministic"])
async def test_a_file_there_and_back(net: Devnet, route: Route, kind: str, tmp_path: Path) -> None:
    transfers = Transfers(route, server_of(net))
    source = tmp_path / "source"
    source.write_bytes(os.urandom(300_001))
    steps: list[tuple[int, int]] = []
    encryption = await encrypted(kind, PathBody(source))
    remote = await transfers.upload(
        encryption, PathBody(source), progress=lambda gone, whole: steps.append((gone, whole))
    )
    assert remote.url.file_id == encryption.content_id and remote.url.deterministic is (kind == "deterministic")
    assert steps == sorted(steps) and steps[-1] == (encryption.stored_size, encryption.stored_size)
    attachment = remote.attachment("image/png", "../\u202eevil.png", voice=False)
    steps.clear()
    path = await transfers.download(attachment, tmp_path, progress=lambda gone, whole: steps.append((gone, whole)))
    assert path == tmp_path / "evil.png" and path.read_bytes() == source.read_bytes()
    assert steps[-1] == (encryption.stored_size, encryption.stored_size)
    # What was begun is found again, and what is not what was encrypted does not travel.
    steps.clear()
    again = await transfers.upload(encryption, BytesBody(b""), again=True, progress=lambda *step: steps.append(step))
    assert again.url == remote.url and steps == [(encryption.stored_size, encryption.stored_size)]
    told = await transfers.info(encryption.content_id)
    assert told.size == encryption.stored_size and told.expires is not None and told.uploaded is not None
    for wrong in (replace(attachment, key=os.urandom(len(encryption.key))), replace(attachment, key=b"")):
        with pytest.raises(FileError):
            await transfers.download(wrong, tmp_path)
    assert names_in(tmp_path) == ["evil.png", "source"]


async def test_refusals_have_their_types(net: Devnet, route: Route, tmp_path: Path) -> None:
    transfers = Transfers(route, server_of(net))
    missing = Attachment(f"{transfers.file_server.url}/file/{'a' * 44}#p={transfers.file_server.key.hex()}", b"k" * 64)
    with pytest.raises(MissingError) as refused:
        await transfers.download(replace(missing, digest=b"d" * 32), tmp_path)
    assert refused.value.status == 404
    for call in (transfers.info("b" * 44), transfers.extend("b" * 44, 60)):
        with pytest.raises(MissingError):
            await call
    with pytest.raises(FileUrlError):
        await transfers.info("../admin")
    where = transfers.file_server.server
    with pytest.raises(TooLargeError):
        big = BytesBody(bytes(10_230_000))
        (await perform(route, where, ServerRequest("POST", "/file", {}, big), timeout=60)).checked()
    for size in (10_000_001, 9_999_990):
        with pytest.raises(FileError, match="at most"):
            await legacy_encryption(BytesBody(bytes(size)))
    with pytest.raises(FileUrlError):
        await transfers.download(Attachment("http://files.example/file/1", b"k" * 64), tmp_path)
    with pytest.raises(RefusedError):
        (await request(route, where, "PATCH", "/file")).checked()
    # Whoever changes a file on its way is found out.
    source = BytesBody(b"data")
    encryption = await legacy_encryption(source)
    with pytest.raises(FileError, match="smaller"):
        await transfers.upload(encryption, BytesBody(b"dat"))
    assert names_in(tmp_path) == []


async def test_pictures_of_profiles(net: Devnet, route: Route) -> None:
    transfers = Transfers(route, server_of(net))
    picture = os.urandom(20_000)
    remote = await transfers.upload_picture(picture, SEED)
    url = str(remote.url)
    assert len(url) <= 223 and len(remote.encryption.key) == 32
    assert await transfers.download_picture(url, remote.encryption.key) == picture
    # The same account's other device names it alike; what is there is extended.
    assert str((await transfers.upload_picture(picture, SEED)).url) == url
    assert await transfers.renew_picture(url, picture, SEED) is None
    gone = url.replace(remote.url.file_id, "c" * 44)
    again = await transfers.renew_picture(gone, picture, SEED)
    assert again is not None and str(again.url) == url
    # Older clients' pictures have another encryption.
    stored, key = legacy.encrypt_picture(picture)
    sent = await request(route, transfers.file_server.server, "POST", "/file", {}, stored)
    old = f"{transfers.file_server.url}/file/{sent.json()['id']}#p={transfers.file_server.key.hex()}"
    assert await transfers.download_picture(old, key) == picture
    with pytest.raises(FileError):
        await transfers.download_picture(old, os.urandom(32))


def test_when_a_picture_is_put_in_force_again() -> None:
    day = 86_400.0
    assert not is_renewal_due(100 * day, 111 * day)
    assert is_renewal_due(100 * day, 112 * day)
    # A time to come is none.
    assert is_renewal_due(100 * day, 99 * day)


async def test_10_mb_are_never_whole_in_memory(net: Devnet, onion: OnionRoute, tmp_path: Path) -> None:
    transfers = Transfers(onion, server_of(net))
    source = tmp_path / "source"
    source.write_bytes(os.urandom(TEN_MB))
    encryption = await legacy_encryption(PathBody(source))
    tracemalloc.start()
    remote = await transfers.upload(encryption, PathBody(source))
    path = await transfers.download(remote.attachment(name="back"), tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert path.read_bytes() == source.read_bytes()
    assert peak < TEN_MB / 2, f"{peak / 1e6:.1f} MB at once"


async def test_a_transfer_that_is_cancelled_leaves_nothing(net: Devnet, route: Route, tmp_path: Path) -> None:
    transfers = Transfers(route, server_of(net))
    source = BytesBody(os.urandom(3_000_000))
    encryption = await legacy_encryption(source)
    begun = asyncio.Event()
    uploading = asyncio.create_task(transfers.upload(encryption, source, progress=lambda *_: begun.set()))
    await begun.wait()
    uploading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await uploading
    remote = await transfers.upload(encryption, source, again=True)
    begun.clear()
    downloading = asyncio.create_task(
        transfers.download(remote.attachment(name="x"), tmp_path, progress=lambda *_: begun.set())
    )
    await begun.wait()
    downloading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await downloading
    assert names_in(tmp_path) == []


async def test_a_servers_failures_are_not_the_paths(
    net: Devnet, client: Client, onion: OnionRoute, unused_tcp_port: int
) -> None:
    good = server_of(net).server
    await client.network.refresh()
    before = set(client.pool.nodes)
    nobody = replace(good, base_url=f"http://127.0.0.1:{unused_tcp_port}")
    # A server that is not there, one whose key is another, and one that is no such server at all.
    node = client.pool.nodes[0]
    for bad in (nobody, replace(good, key=os.urandom(32)), replace(good, base_url=f"https://127.0.0.1:{node.port}")):
        for _ in range(4):
            with pytest.raises(ServerUnreachableError):
                await request(onion, bad, "GET", "/file/x/info")
    assert set(client.pool.nodes) == before
    assert all(path.failures == 0 for path in client.paths.paths)
    assert (await request(client.network, good, "GET", "/file/x/info")).status == 404
    straight = DirectRoute(lambda server: server == nobody)
    with pytest.raises(NetworkError):
        await request(straight, nobody, "GET", "/")
    # A URL that somebody sent does not lead into one's own network.
    for private in (good, replace(good, base_url=good.base_url.replace("127.0.0.1", "localhost"))):
        with pytest.raises(NetworkError, match="no public address"):
            await request(straight, private, "GET", "/file/x/info")
    await straight.close()


async def test_a_community_over_three_nodes(client: Client, onion: OnionRoute, tmp_path: Path) -> None:
    async with sogs_server() as sogs:
        community = Community.parse(sogs.join_url("lobby"))
        alice, bob = (CommunityServer(onion, account, community.server) for account in (client.account, Account.new()))
        for each in (alice, bob):
            await each.join(community.room)
        data = os.urandom(100_000)
        file = await alice.upload(community.room, BytesBody(data), "a.bin")
        letter = Letter(Text("look", (file.attachment,)), client.network.now())
        entry = await alice.post(community.room, letter, [file])
        await bob.call(calls.react(community.room, entry.id, "😂"))
        await bob.send_direct(alice.identity.id, Letter(Text("privately"), client.network.now()))
        found = {type(event).__name__ for event in (await alice.poll()).events}
        assert found == {"RoomChanged", "PostReceived", "ReactionsChanged", "DirectReceived"}
        path = await bob.download(community.room, file.attachment, tmp_path)
        assert path.read_bytes() == data
        with pytest.raises(MissingError):
            await bob.call(calls.delete(community.room, 999))
        assert "POST /batch" in sogs.log and "POST /room/lobby/file" in sogs.log


async def test_a_path_that_breaks_costs_no_transfer(net: Devnet, client: Client, onion: OnionRoute) -> None:
    transfers = Transfers(onion, server_of(net))
    source = BytesBody(os.urandom(100_000))
    encryption = await legacy_encryption(source)
    remote = await transfers.upload(encryption, source)
    keys = [node["pubkey_ed25519"] for node in net.nodes]
    dead = [keys.index(client.paths.paths[0].nodes[1].ed25519.hex())]
    await asyncio.to_thread(net.run, "kill", str(dead[0]))
    try:
        for number in range(3):
            sink = MemorySink()
            await transfers.receive(remote.attachment(), sink)
            assert sink.data == source.data, number
        assert (await transfers.upload(encryption, source)).url == remote.url
    finally:
        await asyncio.to_thread(net.run, "start", str(dead[0]))
