"""10 MB from one session to another through the file server, while a node on the way dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from allium.client.database.rows import MessageState
from allium.client.pool import Snode
from allium.client.session import Session
from allium.client.transfers.transfer import FileServer, Progress
from tests.client.test_session import two
from tests.support.devnet import Devnet

#: 10 MB once it is encrypted, the most that there is.
SIZE = 9_999_936
GUARD, MIDDLE = 0, 1


class Ways:
    """The paths that a session's requests to servers took, and the death of a node on the last one."""

    def __init__(self, net: Devnet, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
        self._net = net
        self.taken: list[tuple[Snode, ...]] = []
        self.dead: list[int] = []
        get = session.network.paths.get

        async def noting(destination: Snode | None = None) -> object:
            path = await get(destination)
            # What leads to a node has a destination; what leads to a server has none.
            if destination is None:
                self.taken.append(tuple(path.nodes))
            return path

        monkeypatch.setattr(session.network.paths, "get", noting)

    def killer(self, hop: int, part: float) -> Progress:
        """A progress callback that kills one node of the path in use, once so much is done: nothing goes meanwhile."""

        def progress(gone: int, whole: int) -> None:
            if gone >= whole * part and not self.dead:
                key = self.taken[-1][hop].ed25519.hex()
                self.dead = [i for i, node in enumerate(self._net.nodes) if node["pubkey_ed25519"] == key]
                self._net.run("kill", str(self.dead[0]))

        return progress


@contextlib.contextmanager
def healed(net: Devnet, *ways: Ways) -> Iterator[None]:
    """Whoever died is there again, for the other tests."""
    try:
        yield
    finally:
        for index in {index for way in ways for index in way.dead}:
            net.run("start", str(index))


@pytest.mark.parametrize("hop", [GUARD, MIDDLE])
async def test_a_node_dies_half_way_through_the_upload(
    files_devnet: Devnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hop: int
) -> None:
    data, files = os.urandom(SIZE), files_devnet.network["files"]
    async with two(files_devnet, tmp_path) as (alice, bob):
        await alice.files.set_server(FileServer(files["url"], bytes.fromhex(files["pubkey_ed25519"])))
        ways = Ways(files_devnet, alice, monkeypatch)
        with healed(files_devnet, ways):
            attachment = await alice.files.upload(data, name="large.bin", progress=ways.killer(hop, 0.5))
            # It was repeated by itself, over a path without the dead one.
            [dead] = ways.dead
            key = files_devnet.nodes[dead]["pubkey_ed25519"]
            assert len(ways.taken) > 1
            assert ways.taken[0][hop].ed25519.hex() == key
            assert key not in [node.ed25519.hex() for node in ways.taken[-1]]
            sent = await alice.send(bob.account_id, "large", attachments=[attachment])
            assert sent.state is MessageState.SENT
            received = await fetched(bob, alice.account_id, tmp_path)
    assert received == data


async def test_a_node_dies_while_the_file_is_fetched(
    files_devnet: Devnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, files = os.urandom(SIZE), files_devnet.network["files"]
    async with two(files_devnet, tmp_path) as (alice, bob):
        await alice.files.set_server(FileServer(files["url"], bytes.fromhex(files["pubkey_ed25519"])))
        attachment = await alice.files.upload(data, name="large.bin")
        await alice.send(bob.account_id, "large", attachments=[attachment])
        ways = Ways(files_devnet, bob, monkeypatch)
        with healed(files_devnet, ways):
            # At its first piece: of the rest, the machine's buffers hold much.
            assert await fetched(bob, alice.account_id, tmp_path, ways.killer(GUARD, 0.0)) == data
            assert ways.dead


async def fetched(session: Session, sender: str, directory: Path, progress: Progress | None = None) -> bytes:
    """The one file of the one message from somebody."""
    await session.sync()
    [message] = await session.conversations.messages(sender)
    [stored] = await session.conversations.attachments(message)
    path = await session.files.download(stored, directory, progress=progress)
    return await asyncio.to_thread(path.read_bytes)
