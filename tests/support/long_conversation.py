"""A conversation as long as many years make it, put straight into an account's database while no service has it open."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from allium.client.database.rows import ConversationKind, NewMessage
from allium.client.messages.kinds import Attachment
from allium.client.session import accountfile
from tests.support.messenger import Messenger

PEER = "05" + "6b" * 32
START = 1_600_000_000_000
#: Milliseconds between two messages.
STEP = 7 * 60_000
_BATCH = 2_000
_WORDS = (
    "and the of we you it in that is not for was on are as with they be at have this from by hot but some what there "
    "out other were all your when up use how said an each she which do their time will way about many then them would "
    "like so these her long make thing see him two has look more day could go come did my sound no most number who over"
).split()
_EMOJI = ("👍", "😂", "🥰", "🎉 🎉", "👩‍👩‍👧")


def body(chance: random.Random, number: int) -> str:
    """What somebody may write: mostly a line, at times a paragraph, code, a link, a few emoji."""
    kind = chance.random()
    if kind < 0.04:
        return chance.choice(_EMOJI)
    count = min(1 + int(chance.expovariate(1 / 11)), 220)
    text = f"{number}: " + " ".join(chance.choice(_WORDS) for _ in range(count))
    if kind < 0.08:
        return text + f" https://example.org/{number}"
    if kind < 0.10:
        return text + "\n```\nfor each in range(3):\n    print(each)\n```"
    return text


def fill(database: Path, count: int) -> None:
    """`count` messages with `PEER`, the same in every run, numbered from 0; with quotes, reactions and files."""
    chance = random.Random(31)
    opened = accountfile.load(database, None, None, None)
    own = opened.account.account_id
    with opened.database as store:
        store.conversations.ensure(PEER, ConversationKind.CONTACT, name="Long ago")
        for first in range(0, count, _BATCH):
            with store.transaction():
                for number in range(first, min(first + _BATCH, count)):
                    outgoing = chance.random() < 0.45
                    files = ()
                    if chance.random() < 0.02:
                        name = f"report {number}.ods"
                        files = (Attachment(f"http://files/{number}", bytes(32), name=name, size=50_000),)
                    added = store.messages.add(
                        NewMessage(
                            PEER,
                            own if outgoing else PEER,
                            START + number * STEP,
                            body(chance, number),
                            outgoing=outgoing,
                            read=True,
                            attachments=files,
                        )
                    )
                    if added is not None and chance.random() < 0.05:
                        store.reactions.add(added.id, PEER, chance.choice(_EMOJI[:3]), added.timestamp)


def with_long_conversation(service: Messenger, count: int) -> dict[str, Any]:
    """Starts a service with an account that has it; the account."""
    service.start()
    account: dict[str, Any] = service.do("POST", "/api/accounts", {"display_name": "Alice"})
    path = f"/api/accounts/{account['id']}"
    service.do("PATCH", f"{path}/contacts/{PEER}", {"nickname": "Long ago", "approved": True})
    service.end()
    fill(service.directory / "accounts" / account["id"] / "account.db", count)
    service.start()
    return account
