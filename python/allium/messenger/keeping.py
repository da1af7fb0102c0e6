"""Files of messages on this machine: sealed as soon as they are whole, and gone when their message is.

Each lies in a directory of its own, which is what is removed. What a crash has left in the clear, or for no message, is
found when the account is opened.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from allium.client.database import DatabaseError
from allium.client.database.rows import AttachmentState, StoredAttachment
from allium.client.session.core import Work
from allium.messenger import sealed
from allium.messenger.places import private_directory

if TYPE_CHECKING:
    from allium.messenger.account import OpenAccount

_log = logging.getLogger(__name__)
#: How long it is waited for more that is deleted, seconds.
SWEEP_SECONDS = 1.0


class Keeper:
    """Of one account."""

    def __init__(self, account: OpenAccount) -> None:
        self._account = account
        self.key = sealed.key_of(account.session.account.ed25519_secret[:32])
        self._wanted = asyncio.Event()
        self._wanted.set()
        #: Directories whose file is still to become a message's.
        self.arriving: set[str] = set()

    @property
    def directory(self) -> Path:
        """Where they lie."""
        return private_directory(self._account.directory / "attachments")

    def has(self, path: Path) -> bool:
        """Whether a file lies there, wherever links lead."""
        return path.resolve().is_relative_to(self.directory.resolve())

    async def seal(self, stored: StoredAttachment) -> None:
        """Encrypts a file that is whole; it stays as it is where that cannot be."""
        path = Path(stored.path)
        if not stored.path or path.name.endswith(sealed.SUFFIX) or not await asyncio.to_thread(self.has, path):
            return
        target = path.with_name(path.name + sealed.SUFFIX)
        try:
            await asyncio.to_thread(sealed.seal, path, target, self.key)
        except OSError as error:
            _log.error("a file was not encrypted: %s", type(error).__name__)
            return

        def change(work: Work) -> None:
            found = work.database.attachments.get(stored.id)
            if found is not None and found.path == stored.path:
                work.database.attachments.set_state(stored.id, AttachmentState.HERE, str(target))

        await self._account.session.run(change)
        await asyncio.to_thread(path.unlink, missing_ok=True)

    async def seal_all(self, message: int | None = None) -> None:
        """Encrypts what is whole and in the clear: of a message that was sent, or of all."""

        def found(work: Work) -> list[StoredAttachment]:
            if message is not None:
                files = work.database.attachments.of([message])
            else:
                files = work.database.attachments.in_state(AttachmentState.HERE, limit=1 << 20)
            here = [each for each in files if each.state is AttachmentState.HERE and each.attachment.url]
            return [each for each in here if not each.path.endswith(sealed.SUFFIX)]

        for each in await self._account.session.run(found):
            await self.seal(each)

    def sweep(self) -> None:
        """Something was deleted."""
        self._wanted.set()

    async def run(self) -> None:
        """Removes files of messages that are gone, for ever."""
        begun = False
        while True:
            await self._wanted.wait()
            await asyncio.sleep(SWEEP_SECONDS)
            self._wanted.clear()
            try:
                if not begun:
                    await self.seal_all()
                begun = True
                await self._sweep_now()
            except (DatabaseError, OSError) as error:
                # A full disk, for example: it is done with the next deletion.
                _log.error("files of deleted messages were not removed: %s", type(error).__name__)

    async def _sweep_now(self) -> None:
        before = self._under_way()
        paths = await self._account.session.run(lambda work: work.database.attachments.paths())
        # What arrived meanwhile is in one of the three.
        kept = {Path(each).parent.name for each in paths} | before | self._under_way()
        await asyncio.to_thread(_sweep, self.directory, kept)

    def _under_way(self) -> set[str]:
        return self.arriving | set(map(str, self._account.downloads))


def _sweep(directory: Path, kept: Collection[str]) -> None:
    for each in directory.iterdir():
        if each.name not in kept:
            shutil.rmtree(each, ignore_errors=True)
