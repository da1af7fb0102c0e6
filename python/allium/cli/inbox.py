"""`allium inbox --json`: what is new in all conversations, an object a line, each message told once."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from allium.cli import session

if TYPE_CHECKING:
    from allium.client.session import Session
    from allium.client.session.core import Work

#: Under this name the database has the number of the last message that was told.
_TOLD = "inbox.told"


def tell(file: Path, seeds: list[str], follow: bool) -> None:
    """Tells of what is new, and with `follow` of what comes, until Ctrl-C."""

    async def run() -> None:
        async with await session.opened(file, seeds) as opened:
            if not follow:
                await opened.sync()
                await _tell(opened)
                return
            await _follow(opened)

    with contextlib.suppress(KeyboardInterrupt):
        session.finished(run)


async def _follow(opened: Session) -> None:
    from allium.client.session.events import MessageReceived, NoticeReceived, RequestReceived

    await _tell(opened)
    async for event in opened.events():
        if isinstance(event, (MessageReceived, NoticeReceived, RequestReceived)):
            await _tell(opened)


async def _tell(opened: Session) -> None:
    """What could not be written is told the next time: the number moves only behind what was."""
    last = await opened.run(_last)
    while messages := await opened.conversations.since(last):
        for message in messages:
            session.told(session.as_object(message))
            last = message.id
            await opened.run(_remember, last)


def _last(work: Work) -> int:
    return int(work.database.facts.get(_TOLD) or b"0")


def _remember(work: Work, last: int) -> None:
    work.database.facts.set(_TOLD, str(last).encode())
