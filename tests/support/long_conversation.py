"""A conversation as long as many years make it, put straight into an account's database while nobody has it open."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from allium.client.database import Database
from allium.client.database.rows import ConversationKind, NewMessage
from allium.client.messages.kinds import Attachment
from allium.client.session import accountfile
from tests.support.messenger import Messenger

PEER = "05" + "6b" * 32
START = 1_600_000_000_000
#: Milliseconds between two messages.
STEP = 7 * 60_000
#: Those that are made one by one.
FIRST = 2_000
_TEXT = """
and the of we you it in that is not for was on are as with they be at have this from by hot but some what there out
other were all your when up use how said an each she which do their time will way about many then them would like so
these her long make thing see him two has look more day could go come did my sound no most number who over
"""
_WORDS = _TEXT.split()
_COPIED = "conversation, sender, kind, outgoing, state, read, extra, names"
#: Numbers of copies follow those of their originals, `before` later.
_COPY = (
    f"INSERT INTO messages (id, timestamp, received, position, body, {_COPIED}) SELECT id + :before, "
    "timestamp + :time, received + :time, position + :time, CASE WHEN instr(body, ': ') = 0 THEN body ELSE "
    f"printf('%d: %s', body + :before, substr(body, instr(body, ': ') + 2)) END, {_COPIED} "
    "FROM messages WHERE id > :first AND id <= :last ORDER BY id",
    "INSERT INTO reactions SELECT message + :before, sender, emoji, timestamp + :time FROM reactions "
    "WHERE message > :first AND message <= :last",
    "INSERT INTO attachments (message, url, key, digest, size, content_type, name, caption, width, height, voice) "
    "SELECT message + :before, url, key, digest, size, content_type, name, caption, width, height, voice "
    "FROM attachments WHERE message > :first AND message <= :last",
)
_EMOJI = ("👍", "😂", "🥰", "🎉 🎉", "👩‍👩‍👧")


def body(chance: random.Random, number: int) -> str:
    """What somebody may write: mostly a line, at times a paragraph, code, a link, a few emoji."""
    kind = chance.random()
    if number % 10 == 7 and kind < 0.4:
        return chance.choice(_EMOJI)
    count = min(1 + int(chance.expovariate(1 / 11)), 220)
    text = f"{number}: " + " ".join(chance.choice(_WORDS) for _ in range(count))
    if kind < 0.08:
        return text + f" https://example.org/{number}"
    if kind < 0.10:
        return text + "\n```\nfor each in range(3):\n    print(each)\n```"
    return text


def fill(database: Path, count: int) -> None:
    """`count` messages with `PEER`, the same in every run, numbered from 0; with reactions and files.

    Of `FIRST` messages the others are copies, which is far faster than to add each.
    """
    opened = accountfile.load(database, None, None, None)
    with opened.database as store:
        store.conversations.ensure(PEER, ConversationKind.CONTACT, name="Long ago")
        with store.transaction():
            _add(store, opened.account.account_id, min(count, FIRST))
            last = store.messages.last()
            for before in range(FIRST, count, FIRST):
                values = {"before": before, "time": before * STEP, "first": last - FIRST, "last": last}
                for statement in _COPY:
                    store.messages._connection.execute(statement, values)


def _add(store: Database, own: str, count: int) -> None:
    chance = random.Random(31)
    for number in range(count):
        outgoing = chance.random() < 0.45
        files: tuple[Attachment, ...] = ()
        if chance.random() < 0.02:
            files = (Attachment(f"http://files/{number}", bytes(32), name=f"report {number}.ods", size=50_000),)
        message = NewMessage(
            PEER,
            own if outgoing else PEER,
            START + number * STEP,
            body(chance, number),
            outgoing=outgoing,
            read=True,
            attachments=files,
        )
        added = store.messages.add(message)
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
