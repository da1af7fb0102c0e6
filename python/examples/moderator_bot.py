"""A bot that keeps groups in order.

It joins those that it is invited to. Where it is an admin, it deletes what has a banned word, and removes whoever does
it again.

`python moderator_bot.py SEED_URL WORD[,WORD...] [DATABASE]`
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import Counter
from pathlib import Path

from allium.client.database.rows import Message
from allium.client.session import Session
from allium.client.session.events import GroupChanged, MessageReceived

#: So often somebody is warned.
WARNINGS = 1


async def moderate(session: Session, message: Message, warned: Counter[str]) -> None:
    """Deletes a message for everybody, and warns or removes who wrote it."""
    group = await session.groups.get(message.conversation)
    if group is None or not group.admin:
        return
    await session.delete(message, everywhere=True)
    warned[message.sender] += 1
    if warned[message.sender] > WARNINGS:
        await session.groups.remove(group.id, [message.sender])
        await session.send(group.id, "Somebody was removed: there are rules here.")
    else:
        await session.send(group.id, f"@{message.sender} please mind the rules.")


async def run(path: Path, seeds: list[str], words: list[str]) -> None:
    """Moderates for ever."""
    warned: Counter[str] = Counter()
    async with await Session.open_or_create(path, "Moderator", seeds=seeds) as session:
        print("invite, and promote,", session.account_id, flush=True)
        async for event in session.events():
            match event:
                case GroupChanged(group_id):
                    group = await session.groups.get(group_id)
                    if group is not None and group.invited:
                        await session.groups.accept(group_id)
                case MessageReceived(message) if message.conversation.startswith("03") and not message.outgoing:
                    if any(word in message.body.lower() for word in words):
                        await moderate(session, message, warned)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(Path(*sys.argv[3:] or ["moderator.db"]), [sys.argv[1]], sys.argv[2].lower().split(",")))
