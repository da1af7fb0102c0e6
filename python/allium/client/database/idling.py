"""What a database does when nothing else is to be done, in short steps.

Whoever writes would have to do it else: one commit in a thousand would take fifty times as long as the others.
"""

from __future__ import annotations

from allium.client.database import forgetting
from allium.client.database.connection import Connection

#: Pages of the search index that a step writes.
_MERGED = 32
#: Pages of the write-ahead log that are worth the work.
_PAGES = 64


def step(connection: Connection) -> bool:
    """Does a little of it; whether there is more."""
    if forgetting.step(connection):
        return True
    if _merge(connection):
        return True
    _checkpoint(connection)
    return False


def _merge(connection: Connection) -> bool:
    """Merges parts of the search index; whether it had any."""
    raw = connection.raw
    before = raw.total_changes()
    with connection.joined():
        connection.execute("INSERT INTO search (search, rank) VALUES ('merge', ?)", (_MERGED,))
    # FTS5 says so: the statement itself is one change.
    return raw.total_changes() - before > 1


def _checkpoint(connection: Connection) -> None:
    """Puts the write-ahead log into the file if there is much of it, beside whoever reads; not within a transaction."""
    if connection.raw.in_transaction:
        return
    size = connection.row("PRAGMA wal_checkpoint(NOOP)") or (0, 0, 0)
    if size[1] - size[2] >= _PAGES:
        connection.row("PRAGMA wal_checkpoint(PASSIVE)")
