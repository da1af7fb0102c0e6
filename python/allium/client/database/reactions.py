"""Emoji that people have put on messages, of each as many as somebody would."""

from __future__ import annotations

from collections.abc import Sequence

from allium.client.database.connection import Connection, bounded, clean
from allium.client.database.conversations import profile_number
from allium.client.database.rows import StoredReaction

#: Of one sender on one message, and of all; more are not kept.
MAX_OF_SENDER, MAX_OF_MESSAGE = 20, 2_000
#: Code points; the longest sequence that is one emoji has ten.
MAX_EMOJI = 32


class Reactions:
    """Reactions of all messages."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, message: int, sender: str, emoji: str, timestamp: int) -> bool:
        """Puts an emoji on a message; False if it was there, or there are too many, or it is none."""
        if not 0 < len(emoji) <= MAX_EMOJI:
            return False
        with self._connection.joined():
            number = profile_number(self._connection, sender)
            row = self._connection.row(
                "SELECT count(*), count(*) FILTER (WHERE sender = ?2) FROM reactions WHERE message = ?1",
                (message, number),
            )
            if row is None or row[0] >= MAX_OF_MESSAGE or row[1] >= MAX_OF_SENDER:
                return False
            changed = self._connection.execute(
                "INSERT INTO reactions SELECT id, ?2, ?3, ?4 FROM messages WHERE id = ?1 ON CONFLICT DO NOTHING",
                (message, number, clean(emoji), bounded(timestamp)),
            )
        return changed > 0

    def remove(self, message: int, sender: str, emoji: str) -> bool:
        """Takes it off; False if it was not there."""
        changed = self._connection.execute(
            "DELETE FROM reactions WHERE message = ? AND emoji = ? "
            "AND sender = (SELECT number FROM profiles WHERE id = ?)",
            (message, clean(emoji), clean(sender)),
        )
        return changed > 0

    def clear(self, message: int, emoji: str | None = None) -> int:
        """Takes off all of an emoji, or all; returns how many."""
        return self._connection.execute(
            "DELETE FROM reactions WHERE message = ?1 AND (?2 IS NULL OR emoji = ?2)",
            (message, None if emoji is None else clean(emoji)),
        )

    def of(self, messages: Sequence[int]) -> list[StoredReaction]:
        """Those of some messages, by message and time."""
        found = []
        for message in messages:
            rows = self._connection.rows(
                "SELECT r.message, p.id, r.emoji, r.timestamp FROM reactions r JOIN profiles p ON p.number = r.sender "
                "WHERE r.message = ? ORDER BY r.timestamp, r.emoji, p.id",
                (message,),
            )
            found += [StoredReaction(*row) for row in rows]
        return found
