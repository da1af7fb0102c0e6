"""How the words of deleted messages leave the search index.

FTS5 takes a message's words out of its pages (`secure-delete`) when it is told the text, which costs some milliseconds
a message. The tables' triggers put the text aside, in `forgotten`; where few messages are deleted it goes from there at
once, else in steps, when nothing else is to be done. No search finds it in between.
"""

from __future__ import annotations

from allium.client.database.connection import Connection

#: Messages of a step: of a million some fifty milliseconds.
STEP = 5


def step(connection: Connection, count: int = STEP) -> bool:
    """Forgets the words of so many messages; whether there are more."""
    if connection.row("SELECT 1 FROM forgotten") is None:
        return False
    with connection.joined():
        connection.execute(
            "INSERT INTO search (search, rowid, body, names, place) SELECT 'delete', id, searchable(body), "
            "searchable(names), place FROM forgotten ORDER BY id LIMIT ?",
            (count,),
        )
        connection.execute("DELETE FROM forgotten WHERE id IN (SELECT id FROM forgotten ORDER BY id LIMIT ?)", (count,))
    return connection.row("SELECT 1 FROM forgotten") is not None
