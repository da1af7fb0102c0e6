"""The database of an account: one encrypted file, and what is in it by subject."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

import apsw

from allium.client.database import forgetting, idling
from allium.client.database.attachments import Attachments
from allium.client.database.configs import Configs, Facts
from allium.client.database.connection import Connection
from allium.client.database.conversations import Conversations, Profiles
from allium.client.database.cursors import Cursors, Seen
from allium.client.database.errors import DamagedError, DatabaseError, UnwritableError
from allium.client.database.messages import Messages
from allium.client.database.migrations import migrate
from allium.client.database.nodes import Nodes
from allium.client.database.outbox import Outbox
from allium.client.database.peer_keys import PeerKeys
from allium.client.database.reactions import Reactions
from allium.client.database.search import Search, searchable
from allium.client.database.secrets import Secrets
from allium.client.database.unreadable import UnreadableMessages

#: Messages whose words are forgotten when a database is closed; a third of a second at most.
_LAST_STEP = 30


def prepared(path: Path, key: bytes | None) -> Connection:
    """A connection with what the tables' triggers call, and no tables yet if the file is new."""
    connection = Connection(path, key)
    connection.raw.create_scalar_function("searchable", searchable, 1, deterministic=True, flags=apsw.SQLITE_INNOCUOUS)
    return connection


class Database:
    """One open file. All calls are short, and come from one thread at a time; each is on disk when it returns.

    Text and numbers from strangers may be anything: a number too large becomes the largest that fits, half a character
    a question mark.
    """

    def __init__(self, connection: Connection) -> None:
        """See `open`."""
        #: For what is about the file as a whole.
        self.connection = connection
        self.attachments = Attachments(connection)
        self.configs = Configs(connection)
        self.conversations = Conversations(connection)
        self.cursors = Cursors(connection)
        self.facts = Facts(connection)
        self.messages = Messages(connection)
        self.nodes = Nodes(connection)
        self.outbox = Outbox(connection)
        self.peer_keys = PeerKeys(connection)
        self.profiles = Profiles(connection)
        self.reactions = Reactions(connection)
        self.search = Search(connection)
        self.secrets = Secrets(connection)
        self.seen = Seen(connection)
        self.unreadable = UnreadableMessages(connection)

    @classmethod
    def open(cls, path: Path | str, key: bytes | None) -> Database:
        """Opens the file at `path`, or makes it, and locks it; `DatabaseError` with a reason if that cannot be.

        `key` is 32 bytes, see `keys`; without one the file is in the clear.
        """
        connection = prepared(Path(path), key)
        try:
            migrate(connection)
            database = cls(connection)
            database.outbox.recover()
        except BaseException:
            connection.close()
            raise
        return database

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self.connection.path

    def check_other(self, path: Path) -> None:
        """`UnwritableError` if something is to be written over the database itself."""
        # What cannot be looked at cannot be written either, which says itself.
        with contextlib.suppress(OSError):
            if not path.samefile(self.path):
                return
            raise UnwritableError(f"{path} is the database itself; name another file")

    def transaction(self) -> AbstractContextManager[None]:
        """Several calls that are one commit: all on disk when it ends, or none.

        One within another is a part of that, which an error undoes alone.
        """
        return self.connection.transaction()

    def rekey(self, key: bytes) -> None:
        """Encrypts the file under another key of 32 bytes: all of it, or nothing if this ends half-way."""
        self.connection.rekey(key)

    def second(self) -> Database | None:
        """The same database for another thread, that only reads; None where that cannot be. Close it before this one.

        What it reads is what was last committed, and it waits for nobody who writes.
        """
        connection = self.connection.second()
        return None if connection is None else Database(connection)

    def tidy(self) -> bool:
        """A short step of what need not be done while anybody waits; False when there is no more to do.

        It forgets the words of messages that were deleted with many others, merges parts of the search index, and puts
        the write-ahead log into the file.
        """
        return idling.step(self.connection)

    def check(self) -> list[str]:
        """Reads all of the file and says what is wrong with it; long, for a million messages some seconds."""
        try:
            found = [row[0] for row in self.connection.rows("PRAGMA integrity_check") if row[0] != "ok"]
            orphans = self.connection.rows("PRAGMA foreign_key_check")
            found += [f"{table} has a row without what it belongs to" for table, *_ in orphans]
            self.connection.execute("INSERT INTO search (search) VALUES ('integrity-check')")
        except DamagedError as error:
            return [str(error)]
        return found

    def close(self) -> None:
        """Lets go of the file, and does some of what `tidy` would do. A second time it does nothing."""
        if self.connection.is_closed:
            return
        try:
            with contextlib.suppress(DatabaseError):
                forgetting.step(self.connection, _LAST_STEP)
        finally:
            self.connection.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
