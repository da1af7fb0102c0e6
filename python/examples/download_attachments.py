"""Puts the files of all messages, and of those that come, into a directory, under names that are safe there.

`python download_attachments.py SEED_URL DIRECTORY [DATABASE]`
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from allium.client.database.rows import Message
from allium.client.errors import NetworkError, RefusedError
from allium.client.files.legacy import FileError
from allium.client.files.urls import FileUrlError
from allium.client.session import Session


async def download(session: Session, message: Message, directory: Path) -> list[Path]:
    """The files of one message that there are; somebody unknown cannot fill our disk."""
    contact = await session.contacts.get(message.sender)
    if contact is None or not contact.approved:
        return []
    found: list[Path] = []
    for stored in await session.conversations.attachments(message):
        try:
            found.append(await session.files.download(stored, directory))
        except (FileError, FileUrlError, NetworkError, RefusedError) as error:
            print(stored.attachment.name, "cannot be had:", error, file=sys.stderr)
        else:
            print(found[-1], flush=True)
    return found


async def run(path: Path, seeds: list[str], directory: Path) -> None:
    """Downloads for ever."""
    async with await Session.open(path, seeds=seeds) as session:
        async for message in session.incoming("downloads"):
            await download(session, message, directory)


if __name__ == "__main__":
    asyncio.run(run(Path(*sys.argv[3:] or ["echo.db"]), [sys.argv[1]], Path(sys.argv[2])))
