"""Files of messages that are fetched, a few at a time, and where they lie."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from allium.client.database.rows import StoredAttachment
from allium.messenger.account import PROGRESS_STEP, OpenAccount
from allium.messenger.errors import ApiError
from allium.messenger.places import private_directory

_log = logging.getLogger(__name__)
MAX_DOWNLOADS = 8


def begin(account: OpenAccount, stored: StoredAttachment) -> None:
    """Fetches a file in the background; does nothing while it is being fetched. `ApiError` for too many at once."""
    if stored.id in account.downloads:
        return
    if len(account.downloads) >= MAX_DOWNLOADS or account.is_busy:
        raise ApiError("busy", "Other files are being fetched; wait until one is here.")
    account.progress[stored.id] = 0.0
    account.downloads[stored.id] = account.start(_fetch(account, stored))


async def _fetch(account: OpenAccount, stored: StoredAttachment) -> None:
    told = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal told
        now = min(1.0, done / total) if total > 0 else 0.0
        account.progress[stored.id] = now
        if now - told >= PROGRESS_STEP or now == 1.0:
            told = now
            account.tell_progress(stored.message, stored.id, now)

    own = private_directory(account.keeper.directory / str(stored.id))
    try:
        path = await account.session.files.download(stored, own, progress=progress)
        await account.keeper.seal(replace(stored, path=str(path)))
    except Exception as error:
        _log.info("a file was not fetched: %s", type(error).__name__)
    finally:
        account.progress.pop(stored.id, None)
        account.downloads.pop(stored.id, None)
    await account.tell_changed(stored.message)


async def fetched(account: OpenAccount, stored: StoredAttachment) -> None:
    """The same, and returns when it is over, whatever came of it."""
    begin(account, stored)
    if (task := account.downloads.get(stored.id)) is not None:
        await asyncio.wait([task])


async def cancel(account: OpenAccount, number: int) -> None:
    """Ends it; what has come of the file is deleted."""
    task = account.downloads.get(number)
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
