"""A bot that answers what it is told, to people and in groups that it was invited to.

`python echo_bot.py SEED_URL [DATABASE]`
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

from allium.client.session import Session


async def run(path: Path, seeds: list[str]) -> None:
    """Answers for ever. What came while it did not run is answered too; what it was answering when it ended, again."""
    async with await Session.open_or_create(path, "Echo", seeds=seeds) as session:
        print("write to", session.account_id, flush=True)
        async for message in session.incoming():
            await session.send(message.conversation, f"You said: {message.body[:1900]}", quote=message)
            await session.mark_read(message.conversation, up_to=message.timestamp)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(Path(*sys.argv[2:] or ["echo.db"]), [sys.argv[1]]))
