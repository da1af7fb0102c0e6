"""Versions of the tables: each step is one transaction, with the number that says that it was done."""

from __future__ import annotations

from collections.abc import Callable

from allium.client.database.connection import Connection
from allium.client.database.errors import NewerVersionError, WrongKeyError
from allium.client.database.schema import FIRST, SECOND

#: `Alcl`: how `file` and a mistaken program know the file.
APPLICATION = 0x416C636C

Step = Callable[[Connection], None]


def _first(connection: Connection) -> None:
    connection.raw.execute(FIRST).fetchall()
    connection.raw.pragma("application_id", APPLICATION)


def _second(connection: Connection) -> None:
    connection.raw.execute(SECOND).fetchall()


#: What leads from each version to the next, from an empty file on. A step that was released is never changed.
STEPS: tuple[Step, ...] = (_first, _second)


def migrate(connection: Connection, steps: tuple[Step, ...] = STEPS) -> None:
    """Brings the tables up to date; `NewerVersionError` for what a newer version has written."""
    version = connection.value("PRAGMA user_version")
    application = connection.value("PRAGMA application_id")
    if (version, application) != (0, 0) and application != APPLICATION:
        raise WrongKeyError(f"{connection.path} is no database of this program; name another file")
    if version == 0 and connection.row("SELECT 1 FROM sqlite_schema") is not None:
        raise WrongKeyError(f"{connection.path} is no database of this program; name another file")
    if version > len(steps):
        raise NewerVersionError(
            f"{connection.path} was written by a newer version (format {version}, this one knows {len(steps)}); "
            "use that one"
        )
    for number, step in enumerate(steps[version:], version + 1):
        with connection.transaction():
            step(connection)
            connection.raw.pragma("user_version", number)
