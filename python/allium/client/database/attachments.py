"""Files of messages: where they are on the network, and on this machine."""

from __future__ import annotations

from collections.abc import Sequence

from allium.client.database.connection import Connection, Row, bounded, clean
from allium.client.database.rows import AttachmentState, StoredAttachment
from allium.client.messages.kinds import Attachment

#: Messages of one call, so that it is not long.
MANY = 10_000
_SELECT = (
    "SELECT id, message, url, key, digest, size, content_type, name, caption, width, height, voice, state, path "
    "FROM attachments"
)


class Attachments:
    """The files of all messages. They are added with their message."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, messages: Sequence[int]) -> list[StoredAttachment]:
        """Those of some messages, in their order."""
        found = []
        for message in messages:
            rows = self._connection.rows(f"{_SELECT} WHERE message = ? ORDER BY id", (message,))
            found += [_attachment(row) for row in rows]
        return found

    def get(self, attachment: int) -> StoredAttachment | None:
        """The file of this number."""
        row = self._connection.row(f"{_SELECT} WHERE id = ?", (attachment,))
        return None if row is None else _attachment(row)

    def messages_with(
        self, conversation: str, types: Sequence[str] = (), *, before: int | None = None, limit: int = 100
    ) -> list[int]:
        """Messages of a conversation with files, the newest first, before the one of a number.

        With `types`, beginnings of media types, only with a file of one of them.
        """
        wanted = [each for each in types if "%" not in each and "_" not in each]
        like = " OR ".join(f"a.content_type LIKE ?{number}" for number in range(4, 4 + len(wanted)))
        rows = self._connection.rows(
            "SELECT DISTINCT a.message FROM attachments a JOIN messages m ON m.id = a.message "  # noqa: S608 - our own text
            "WHERE m.conversation = (SELECT number FROM conversations WHERE id = ?1) AND m.deleted = 0 "
            f"AND a.message < ?2 {f'AND ({like})' if like else ''} ORDER BY a.message DESC LIMIT ?3",
            (
                clean(conversation),
                before if before is not None else 1 << 62,
                limit,
                *(f"{clean(each)}%" for each in wanted),
            ),
        )
        return [int(row[0]) for row in rows]

    def here(self, types: Sequence[str], before: int | None, limit: int) -> list[StoredAttachment]:
        """Files of these media types that are on this machine, the newest first, before the one of a number."""
        marks = ", ".join("?" * len(types))
        rows = self._connection.rows(
            f"{_SELECT} WHERE state = ? AND id < ? AND content_type IN ({marks}) ORDER BY id DESC LIMIT ?",
            (AttachmentState.HERE.value, 1 << 62 if before is None else before, *types, limit),
        )
        return [_attachment(row) for row in rows]

    def in_state(self, state: AttachmentState, limit: int = 100) -> list[StoredAttachment]:
        """Files in this state, the newest first."""
        rows = self._connection.rows(f"{_SELECT} WHERE state = ? ORDER BY id DESC LIMIT ?", (state.value, limit))
        return [_attachment(row) for row in rows]

    def paths(self) -> list[str]:
        """Where files lie on this machine, or are to lie."""
        return [str(row[0]) for row in self._connection.rows("SELECT path FROM attachments WHERE path <> ''", ())]

    def set_state(self, attachment: int, state: AttachmentState, path: str = "") -> None:
        """Where the file is, and under which path on this machine."""
        self._connection.execute(
            "UPDATE attachments SET state = ?, path = ? WHERE id = ?", (state.value, clean(path), attachment)
        )

    def clear(self, conversation: str, before: int, limit: int = MANY) -> list[int]:
        """Forgets files of messages sent before a time (Unix milliseconds); the numbers of at most `limit` messages.

        Those that were nothing else are the caller's to remove.
        """
        found = self._connection.rows(
            "SELECT m.id FROM messages m WHERE m.names IS NOT NULL AND m.timestamp < ? AND m.conversation = "
            "(SELECT number FROM conversations WHERE id = ?) AND "
            "EXISTS (SELECT 1 FROM attachments a WHERE a.message = m.id) LIMIT ?",
            (bounded(before), clean(conversation), limit),
        )
        self._connection.many("DELETE FROM attachments WHERE message = ?", found)
        return [row[0] for row in found]

    def set_uploaded(self, attachment: int, file: Attachment) -> None:
        """Where others find the file, once it was uploaded, and what it was made into before."""
        self._connection.execute(
            "UPDATE attachments SET url = ?, key = ?, digest = ?, size = ?, content_type = ?, name = ?, width = ?, "
            "height = ? WHERE id = ?",
            (
                clean(file.url),
                file.key,
                file.digest,
                bounded(file.size),
                clean(file.content_type),
                clean(file.name),
                bounded(file.width),
                bounded(file.height),
                attachment,
            ),
        )


def _attachment(row: Row) -> StoredAttachment:
    number, message, url, key, digest, size, content_type, name, caption, width, height, voice, state, path = row
    file = Attachment(url, key, digest, size, content_type, name, caption, width, height, bool(voice))
    return StoredAttachment(number, message, file, AttachmentState(state), path)
