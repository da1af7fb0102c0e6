"""The examples of docs/api/client.md, each on a real network."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from allium.client.session import Session
from allium.client.session.events import MessageReceived
from allium.client.session.group_view import GroupMember
from allium.client.transfers.transfer import FileServer
from tests.client.test_session import next_of, seeds_of
from tests.support.devnet import Devnet

EXAMPLES = Path(__file__).parents[2] / "python" / "examples"


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls follow each other without much of a pause."""
    monkeypatch.setattr("allium.client.schedule.ACCOUNT_SECONDS", 0.2)
    monkeypatch.setattr("allium.client.schedule.GROUP_SECONDS", ((float("inf"), 0.2),))


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"examples_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.asynccontextmanager
async def running(example: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """What goes on for ever, for as long as this."""
    task = asyncio.create_task(example)
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_echo_archive_broadcast(shared_devnet: Devnet, tmp_path: Path) -> None:
    seeds, path = seeds_of(shared_devnet), tmp_path / "echo.db"
    echo, archive, broadcast = example("echo_bot"), example("archive"), example("broadcast")
    bot = await Session.create(path, "Echo", seeds=seeds)
    bot_id = bot.account_id
    async with await Session.create(tmp_path / "ada.db", "Ada", seeds=seeds) as ada:
        await bot.close()
        events = ada.events()
        async with running(echo.run(path, seeds)):
            sent = await ada.send(bot_id, "hello")
            answer = (await next_of(events, MessageReceived)).message
            assert answer.body == "You said: hello"
            assert answer.quote is not None
            assert (answer.quote.timestamp, answer.quote.author) == (sent.timestamp, ada.account_id)
        # What comes while it does not run is answered by the next run, and nothing else.
        await ada.send(bot_id, "are you there?")
        async with running(echo.run(path, seeds)):
            # When it ended, it may not have got round to noting that it had answered.
            answers = [(await next_of(events, MessageReceived)).message.body]
            if answers == ["You said: hello"]:
                answers.append((await next_of(events, MessageReceived)).message.body)
            assert answers[-1] == "You said: are you there?"
        assert await broadcast.run(path, seeds, "good night") == 1
        while (await next_of(events, MessageReceived)).message.body != "good night":
            pass
        [archived] = await archive.run(path, seeds)
        assert archived["name"] == "Ada"
        texts = [each["text"] for each in archived["messages"] if each["kind"] == "text"]
        assert list(dict.fromkeys(texts)) == [
            "hello",
            "You said: hello",
            "are you there?",
            "You said: are you there?",
            "good night",
        ]


async def test_two_devices(shared_devnet: Devnet, tmp_path: Path) -> None:
    name, notes = await example("two_devices").run(tmp_path, seeds_of(shared_devnet))
    assert (name, notes) == ("Ada Lovelace", ["remember the milk"])


async def members_of(session: Session, group_id: str) -> dict[str, GroupMember]:
    group = await session.groups.get(group_id)
    assert group is not None
    return {each.id: each for each in group.members}


async def test_a_moderator(shared_devnet: Devnet, tmp_path: Path) -> None:
    seeds, path = seeds_of(shared_devnet), tmp_path / "moderator.db"
    moderator = example("moderator_bot")
    bot = await Session.create(path, "Moderator", seeds=seeds)
    bot_id = bot.account_id
    await bot.close()
    async with (
        await Session.create(tmp_path / "ada.db", "Ada", seeds=seeds) as ada,
        await Session.create(tmp_path / "mallory.db", "Mallory", seeds=seeds) as mallory,
        running(moderator.run(path, seeds, ["spam"])),
    ):
        group = await ada.groups.create("Club", [bot_id, mallory.account_id])
        await mallory.sync()
        await mallory.groups.accept(group.id)
        await mallory.sync()
        events = ada.events()
        async with asyncio.timeout(60):
            while (await members_of(ada, group.id))[bot_id].state != "member":
                await anext(events)
            await ada.groups.promote(group.id, [bot_id])
            while (await members_of(ada, group.id))[bot_id].state != "admin":
                await anext(events)
            for _ in range(2):
                await mallory.send(group.id, "buy SPAM")
            while mallory.account_id in await members_of(ada, group.id):
                await anext(events)


async def test_downloads(files_devnet: Devnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds, path = seeds_of(files_devnet), tmp_path / "bot.db"
    files = files_devnet.network["files"]
    downloads, there = example("download_attachments"), tmp_path / "there"
    there.mkdir()
    whole, done = downloads.download, asyncio.Event()

    async def download(*arguments: Any) -> Any:
        if found := await whole(*arguments):
            done.set()
        return found

    monkeypatch.setattr(downloads, "download", download)
    document = tmp_path / "plan.txt"
    document.write_text("the plan")
    async with await Session.create(tmp_path / "ada.db", "Ada", seeds=seeds) as ada:
        async with await Session.create(path, "Bot", seeds=seeds) as bot:
            bot_id = bot.account_id
            await ada.send(bot_id, "hello")
            await bot.sync()
            await bot.contacts.accept(ada.account_id)
        await ada.files.set_server(FileServer(files["url"], bytes.fromhex(files["pubkey_ed25519"])))
        async with running(downloads.run(path, seeds, there)):
            await ada.send(bot_id, "here", attachments=[document])
            async with asyncio.timeout(60):
                await done.wait()
    assert (there / "plan.txt").read_text() == "the plan"
