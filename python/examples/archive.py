"""Writes all that was said as JSON, one conversation after the other.

`python archive.py SEED_URL [DATABASE] > archive.json`
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from allium.client.database.rows import Conversation, Message
from allium.client.errors import NetworkError
from allium.client.session import Session


async def archived(session: Session, conversation: Conversation) -> dict[str, Any]:
    """A conversation with all its messages, the oldest first."""
    messages: list[dict[str, Any]] = []
    oldest: Message | None = None
    while page := await session.conversations.messages(conversation.id, before=oldest, limit=500):
        messages = [await shown(session, message) for message in page] + messages
        oldest = page[0]
    return {"id": conversation.id, "name": conversation.name, "messages": messages}


async def shown(session: Session, message: Message) -> dict[str, Any]:
    """One message, with its files and what was put on it."""
    files = await session.conversations.attachments(message)
    reactions = await session.conversations.reactions(message)
    return {
        "sender": message.sender,
        "timestamp": message.timestamp,
        "kind": message.kind,
        "text": message.body,
        "files": [each.attachment.name for each in files],
        "reactions": [{"sender": each.sender, "emoji": each.emoji} for each in reactions],
        **message.extra,
    }


async def run(path: Path, seeds: list[str]) -> list[dict[str, Any]]:
    """Everything, after what is new was fetched; offline, everything that is there."""
    async with await Session.open(path, seeds=seeds) as session:
        try:
            await session.sync()
        except NetworkError as error:
            print("without what is new:", error, file=sys.stderr)
        return [await archived(session, each) for each in await session.conversations.list(hidden=True)]


if __name__ == "__main__":
    everything = asyncio.run(run(Path(*sys.argv[2:] or ["echo.db"]), [sys.argv[1]]))
    print(json.dumps(everything, indent=2, ensure_ascii=False))
