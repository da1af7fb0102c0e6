"""Messages that are kept before their files are uploaded, without a network: `tests/messenger` has them with one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from allium.client.database.rows import AttachmentState, MessageState
from allium.client.session import LocalFile, Session, enclosing
from allium.client.session.events import MessageChanged
from tests.client.test_session import next_of

OTHER = "05" + "ab" * 32


async def test_a_message_waits_for_its_files_fails_without_them_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enclosing, "RETRY_SECONDS", 0.05)
    path = tmp_path / "a.txt"
    path.write_text("written")
    async with await Session.create(tmp_path / "a.db", "Alice", seeds=["http://127.0.0.1:1/"]) as session:
        changed = asyncio.create_task(next_of(session.events(), MessageChanged))
        sent = await session.send(
            OTHER, "with a file", attachments=[LocalFile(path, "b.txt", "text/plain")], wait=False
        )
        assert sent.state is MessageState.SENDING
        message = await session.conversations.message(sent.id)
        assert message is not None
        [file] = await session.conversations.attachments(message)
        assert (file.attachment.name, file.attachment.size, file.state) == ("b.txt", 7, AttachmentState.PENDING)
        assert await session.run(enclosing.waiting) == [sent.id]

        path.unlink()
        assert (await changed).message.state is MessageState.FAILED
        assert await session.run(enclosing.waiting) == []
        path.write_text("written")
        assert (await session.resend(message)).state is MessageState.SENDING
    async with await Session.open(tmp_path / "a.db") as session:
        assert await session.run(enclosing.waiting) == [sent.id]
        await session.delete(message)
        assert await session.run(enclosing.waiting) == []


async def test_files_that_are_not_there_are_no_message(tmp_path: Path) -> None:
    async with await Session.create(tmp_path / "a.db", "Alice", seeds=["http://127.0.0.1:1/"]) as session:
        with pytest.raises(OSError):
            await session.send(OTHER, "", attachments=[LocalFile(tmp_path / "none")], wait=False)
        assert await session.conversations.list() == []
