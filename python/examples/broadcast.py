"""Sends one text to all contacts, who have all written before.

`python broadcast.py SEED_URL TEXT [DATABASE]`
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from allium.client.database.rows import MessageState
from allium.client.session import Session


async def run(path: Path, seeds: list[str], text: str) -> int:
    """How many it reached; the others get it as soon as the network answers, with the next run at the latest."""
    async with await Session.open(path, seeds=seeds) as session:
        await session.sync()
        contacts = [each for each in await session.contacts.list() if each.approved_me and not each.blocked]
        reached = 0
        for contact in contacts:
            sent = await session.send(contact.account_id, text)
            reached += sent.state is MessageState.SENT
            print(contact.shown_name or contact.account_id, sent.state.value)
        # That they are approved now is for our other devices too.
        await session.sync()
        return reached


if __name__ == "__main__":
    asyncio.run(run(Path(*sys.argv[3:] or ["echo.db"]), [sys.argv[1]], sys.argv[2]))
