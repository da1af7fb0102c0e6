"""A process that writes into an account's database until it is killed, or something ends it.

database_writer.py write PATH COUNT      a message, a cursor and an item for the outbox at a time; says each number
database_writer.py hold PATH             opens it, says so, and keeps it
database_writer.py fill PATH             writes until that fails, and says why
database_writer.py open PATH             opens it, writes, and says what came of it
database_writer.py stranger PATH         the same, as somebody else where root starts it
database_writer.py verify PATH COUNT     looks whether the first so many messages are there, and says so
database_writer.py password PATH HOW     changes the password from "old" to "new" and dies: at once `before` or
                                         `after` the file is encrypted anew, or so many seconds after that begins
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

from allium.client.database import Database, DatabaseError, keys
from allium.client.database.rows import ConversationKind, NewMessage

KEY = bytes(range(32))
ME, PEER, NODE = "05" + "aa" * 32, "05" + "bb" * 32, bytes(32)
NOW = 1_700_000_000_000


def write_one(database: Database, number: int, text: str) -> None:
    """As much as a message that is sent and a poll are."""
    with database.transaction():
        message = database.messages.add(NewMessage(PEER, PEER, NOW + number, f"{text} {number}"))
        if message is None:
            raise SystemExit(f"{number} was there")
        database.cursors.set(NODE, ME, {0: str(number)})
        item = database.outbox.add(PEER, 0, text.encode() + b"%d" % number, ttl=1, timestamp=NOW, message=message.id)
        database.outbox.sending([item.id])


def write(database: Database, first: int, text: str) -> None:
    """For ever."""
    database.conversations.ensure(PEER, ConversationKind.CONTACT)
    number = first
    while True:
        write_one(database, number, text)
        print(number, flush=True)
        number += 1


def verify(database: Database, count: int) -> None:
    """The first `count` messages are there, and what came after them whole or not at all."""
    assert database.check() == []
    found = [message.timestamp - NOW for message in database.messages.after(0, 100_000)]
    assert found == list(range(len(found)))
    assert len(found) >= count
    conversation = database.conversations.get(PEER)
    assert conversation is not None
    assert conversation.unread == len(found) == len(database.search.find("text ", limit=100_000))
    assert database.cursors.get(NODE, ME) == {0: str(len(found) - 1)}
    items = database.outbox.due(NOW, 100_000)
    assert len(items) == len(found)
    assert all(item.hash and item.attempts == 1 for item in items)


def die() -> None:
    """As a power cut is for a process."""
    os.kill(os.getpid(), signal.SIGKILL)


def change_password(path: Path, how: str) -> None:
    """See above."""
    with keys.open_with_password(path, "old") as database:
        rekey = database.rekey

        def dying(key: bytes) -> None:
            if how == "before":
                die()
            if how != "after":
                # Nobody handles it, so that it ends the process between two instructions.
                signal.setitimer(signal.ITIMER_REAL, float(how))
            rekey(key)
            die()

        database.rekey = dying  # type: ignore[method-assign]
        keys.change_password(database, "old", "new")


def main() -> None:
    """See above."""
    how, path, *rest = sys.argv[1:]
    try:
        if how == "password":
            change_password(Path(path), rest[0])
        if how == "stranger" and os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65_534)
            os.setuid(65_534)
        with Database.open(path, KEY) as database:
            if how == "write":
                write(database, int(rest[0]), "text")
            elif how == "fill":
                with contextlib.suppress(KeyboardInterrupt):
                    write(database, 0, "a long text " * 500)
            elif how == "verify":
                verify(database, int(rest[0]))
                print("sound", flush=True)
            elif how in ("open", "stranger"):
                database.conversations.ensure(PEER, ConversationKind.CONTACT)
                print("opened", flush=True)
            else:
                print("opened", flush=True)
                sys.stdin.read()
    except DatabaseError as error:
        print(type(error).__name__, error, flush=True)


if __name__ == "__main__":
    main()
