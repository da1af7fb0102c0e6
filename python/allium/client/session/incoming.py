"""What others write, each message once dealt with: for programs that answer, whatever ends them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from allium.client.database.rows import Message
from allium.client.session.core import Work
from allium.client.session.events import MessageReceived, RequestReceived

if TYPE_CHECKING:
    from allium.client.session.session import Session

_PAGE = 100


async def incoming(session: Session, name: str) -> AsyncIterator[Message]:
    """See `Session.incoming`."""
    news = asyncio.Event()

    async def listen() -> None:
        async for event in session.events():
            if isinstance(event, MessageReceived | RequestReceived):
                news.set()
        news.set()
        ended.append(True)

    ended: list[bool] = []
    last = await session.run(_begin, name)
    listening = asyncio.create_task(listen())
    try:
        while not ended:
            news.clear()
            while page := await session.run(_page, last):
                for message in page:
                    if not message.outgoing and message.kind == "text" and not message.deleted:
                        yield message
                    # Only now: what ends the program before this has it dealt with again.
                    last = message.id
                    await session.run(_set, name, last)
            await news.wait()
    finally:
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening


def _fact(name: str) -> str:
    return f"incoming-{name}"


def _begin(work: Work, name: str) -> int:
    """Up to where it was dealt with; whoever begins, begins now."""
    stored = work.database.facts.get(_fact(name))
    if stored is not None:
        return int(stored)
    last = work.database.messages.last()
    _set(work, name, last)
    return last


def _page(work: Work, after: int) -> list[Message]:
    return work.database.messages.after(after, _PAGE)


def _set(work: Work, name: str, last: int) -> None:
    work.database.facts.set(_fact(name), str(last).encode())
