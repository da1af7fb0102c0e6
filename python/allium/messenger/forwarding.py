"""A message that is sent on to another conversation, with its files.

They are fetched where they are not here, and uploaded anew, so that nobody can tell by a URL or a key where else a file
is, and so that it is kept as long as any other that is sent now.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from allium.client.database.rows import Deleted, Message, StoredAttachment
from allium.client.session.core import Work
from allium.messenger import downloads, requests, sealed, uploads
from allium.messenger.account import OpenAccount
from allium.messenger.errors import ApiError

_PIECE = 256 << 10


async def forward(account: OpenAccount, message: Message, conversation: str) -> Message:
    """Sends it; it is there, on its way, when this returns. `ApiError`, and nothing sent, if a file cannot be had."""
    files = await account.session.run(lambda work: work.database.attachments.of([message.id]))
    if message.deleted is not Deleted.NO or message.kind != "text" or not (message.body or files):
        raise ApiError("invalid", "There is nothing in it that can be forwarded.")
    taken: dict[str, str] = {}
    try:
        for each in files:
            upload = await uploads.again(account, _read(account, await _here(account, each)), each.attachment)
            taken[upload.id] = each.attachment.caption
        wanted = requests.NewMessage(text=message.body, attachments=list(taken), captions=taken)
        return await uploads.outgoing(account, conversation, wanted, None)
    except BaseException:
        for number in taken:
            with contextlib.suppress(ApiError):
                uploads.remove(account, number)
        raise


async def _here(account: OpenAccount, wanted: StoredAttachment) -> StoredAttachment:
    """The file when it is on this machine; one of our own is while it is still being uploaded."""

    def found(work: Work) -> StoredAttachment | None:
        return work.database.attachments.get(wanted.id)

    now = await account.session.run(found)
    if now is not None and not now.path:
        await downloads.fetched(account, now)
        now = await account.session.run(found)
    if now is None or not now.path or not await asyncio.to_thread(account.keeper.has, Path(now.path)):
        raise ApiError("refused", "A file of this message cannot be had, so nothing was sent.")
    return now


async def _read(account: OpenAccount, stored: StoredAttachment) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(sealed.opened, Path(stored.path), account.keeper.key)
    try:
        start = 0
        while piece := await asyncio.to_thread(file.read, start, _PIECE):
            start += len(piece)
            yield piece
    finally:
        file.close()
