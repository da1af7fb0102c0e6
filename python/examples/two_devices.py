"""Two devices of one account: what one of them does, the other one has.

`python two_devices.py SEED_URL [DIRECTORY]`
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from allium.client.messages.kinds import Disappear, Disappearing
from allium.client.session import Session


async def run(directory: Path, seeds: list[str]) -> tuple[str, list[str]]:
    """The name and the notes to self that the second device has after the first one made them."""
    async with await Session.create(directory / "phone.db", "Ada", seeds=seeds) as phone:
        await phone.conversations.set_timer(phone.account_id, Disappearing(Disappear.AFTER_SEND, 86_400))
        await phone.send(phone.account_id, "remember the milk")
        await phone.sync()
        phrase = phone.account.phrase
        async with await Session.restore(directory / "laptop.db", phrase, seeds=seeds) as laptop:
            await laptop.sync()
            notes = await laptop.conversations.messages(laptop.account_id)
            print(laptop.profile.name, [note.body for note in notes])
            # And the other way.
            await laptop.set_display_name("Ada Lovelace")
            await laptop.sync()
            await phone.sync()
            print(phone.profile.name)
            return phone.profile.name, [note.body for note in notes if note.kind == "text"]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        asyncio.run(run(Path(*sys.argv[2:] or [made]), [sys.argv[1]]))
