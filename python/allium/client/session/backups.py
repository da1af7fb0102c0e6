"""`session.backups`: everything of an account in one encrypted file, and back (`allium.client.database.archive`)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from allium.client.account import Account
from allium.client.database import archive
from allium.client.database.archive import Backup
from allium.client.session import accountfile

if TYPE_CHECKING:
    from allium.client.session.core import Core
    from allium.client.session.worker import Worker

T = TypeVar("T")
#: Is told how many rows of tables were written or read so far.
Progress = Callable[[int], object]


class Backups:
    """Backups of an account, under a password or under its recovery phrase. They raise `DatabaseError`."""

    def __init__(self, core: Core, worker: Worker) -> None:
        self._core = core
        self._worker = worker

    async def write(self, path: Path | str, *, password: str | None = None, progress: Progress | None = None) -> Backup:
        """Writes everything into a file, or adds to one what is new since the last time; the session goes on meanwhile.

        Without a password the recovery phrase opens it. What opened a file the first time opens it ever after.
        Whatever ends this, also who cancels it, the file has what it had before.
        """
        steps = archive.backup_steps(self._core.database, Path(path), self._opener(password))
        return await self._worker.run_steps(steps, progress)

    async def verify(
        self, path: Path | str, *, password: str | None = None, progress: Progress | None = None
    ) -> Backup:
        """Reads all of a backup of this account, or of one with this password; what is in it."""
        return await _verified(Path(path), self._opener(password), progress)

    def _opener(self, password: str | None) -> str | bytes:
        return accountfile.secret(self._core.account) if password is None else password


async def verify_backup(
    path: Path | str, *, phrase: str | None = None, password: str | None = None, progress: Progress | None = None
) -> Backup:
    """Reads all of a backup, which its password opens or the recovery phrase; `DatabaseError` if it is not whole."""
    return await _verified(Path(path), _opener(phrase, password), progress)


async def restore_backup(
    backup: Path | str,
    path: Path | str,
    *,
    phrase: str | None = None,
    backup_password: str | None = None,
    password: str | None = None,
    keep_phrase: bool = True,
    progress: Progress | None = None,
) -> Backup:
    """Makes a new file of a backup, all of it or nothing; `Session.open` opens it.

    The recovery phrase opens the backup, or the password that it has. `password` and `keep_phrase` are of the new file,
    as in `Session.create`. What was on its way is `failed`: it may have been sent since, and may be tried again.
    """
    opener = _opener(phrase, backup_password)
    return await _threaded(
        lambda told: accountfile.restore(Path(backup), opener, Path(path), password, keep_phrase, told), progress
    )


def _opener(phrase: str | None, password: str | None) -> str | bytes:
    if phrase is not None and password is None:
        return accountfile.secret(Account.from_phrase(phrase))
    if password is not None and phrase is None:
        return password
    raise ValueError("a backup is opened by its password, or by the recovery phrase")


async def _verified(path: Path, opener: str | bytes, progress: Progress | None) -> Backup:
    return await _threaded(lambda told: archive.verify(path, opener, told), progress)


class _CancelledError(Exception):
    """Nobody waits for it any more."""


async def _threaded(function: Callable[[Progress], T], progress: Progress | None) -> T:
    """Runs what touches no session on a thread of its own, which ends soon after this is cancelled."""
    loop, cancelled = asyncio.get_running_loop(), threading.Event()

    def told(rows: int) -> None:
        if cancelled.is_set():
            raise _CancelledError
        if progress is not None:
            loop.call_soon_threadsafe(progress, rows)

    try:
        return await asyncio.to_thread(function, told)
    finally:
        cancelled.set()
