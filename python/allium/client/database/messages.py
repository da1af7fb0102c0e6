"""Messages: added once, read by the page, marked, deleted, and gone when their time is over."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from allium.client.database import forgetting
from allium.client.database.connection import Connection, Row, Value, bounded, clean
from allium.client.database.conversations import conversation_number, profile_number
from allium.client.database.rows import Deleted, Message, MessageState, NewMessage, Place
from allium.client.messages.kinds import Disappear, Disappearing, Target

#: What `message_of` reads, of `JOINED`.
COLUMNS = (
    "m.id, c.id, p.id, m.timestamp, m.body, m.kind, m.outgoing, m.received, m.position, m.state, m.read, m.deleted, "
    "m.hash, m.quote_timestamp, m.quote_author, m.timer_kind, m.timer_seconds, m.expires, m.names, m.extra"
)
JOINED = "messages m JOIN conversations c ON c.number = m.conversation JOIN profiles p ON p.number = m.sender"
_SELECT = f"SELECT {COLUMNS} FROM {JOINED}"  # noqa: S608 - our own text
#: Between the names of files, in what is searched.
_BETWEEN = "\n"
#: As many as there may be.
MANY = 1 << 40


class Messages:
    """The messages of all conversations."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, message: NewMessage) -> Message | None:
        """Keeps a message; None for one that is there already: of the same sender, time and kind in its conversation.

        The conversation has to be there, else `KeyError`.
        """
        with self._connection.joined():
            conversation = conversation_number(self._connection, message.conversation)
            if conversation is None:
                raise KeyError(message.conversation)
            number = self._connection.insert(*_insertion(self._connection, conversation, message))
            if number is None:
                return None
            if message.attachments:
                self._connection.many(_ADD_ATTACHMENT, (_attachment(number, each) for each in message.attachments))
            return self.get(number)

    def get(self, message: int) -> Message | None:
        """The message of this number."""
        return self._one("m.id = ?", message)

    def find(self, conversation: str | None, target: Target, *, kind: str | None = None) -> Message | None:
        """The message that others name by who sent it and when; one to be seen, if there are several.

        Without a conversation it may be in any.
        """
        return self._one(
            "m.timestamp = ? AND p.id = ? AND (?3 IS NULL OR c.id = ?3) AND (?4 IS NULL OR m.kind = ?4) "
            "ORDER BY m.kind = 'text' DESC",
            bounded(target.timestamp),
            clean(target.author),
            None if conversation is None else clean(conversation),
            kind,
        )

    def by_hash(self, stored: str) -> Message | None:
        """The message that a swarm or a server has under this hash."""
        return self._one("m.hash = ?", clean(stored))

    def page(
        self,
        conversation: str,
        *,
        before: Message | Place | None = None,
        after: Message | Place | None = None,
        first: bool = False,
        limit: int = 50,
    ) -> list[Message]:
        """Messages of a conversation, the oldest first: the last ones, those next to a place, or the `first`."""
        number = conversation_number(self._connection, conversation)
        if number is None:
            return []
        where, direction, values = "m.conversation = ?1", "DESC", [number, limit]
        if before is not None:
            where += " AND (m.position, m.id) < (?3, ?4)"
            values += [before.position, before.id]
        elif after is not None:
            where += " AND (m.position, m.id) > (?3, ?4)"
            direction = "ASC"
            values += [after.position, after.id]
        elif first:
            direction = "ASC"
        rows = self._connection.rows(
            f"{_SELECT} WHERE {where} ORDER BY m.position {direction}, m.id {direction} LIMIT ?2", values
        )
        found = [message_of(row) for row in rows]
        return found if direction == "ASC" else found[::-1]

    def after(self, message: int, limit: int = 100) -> list[Message]:
        """Messages of all conversations in the order in which they were added, behind the one of this number."""
        return [
            message_of(row)
            for row in self._connection.rows(f"{_SELECT} WHERE m.id > ? ORDER BY m.id LIMIT ?", (message, limit))
        ]

    def last(self) -> int:
        """The number of the message that was added last; 0 if there is none."""
        found: int = self._connection.value("SELECT coalesce(max(id), 0) FROM messages")
        return found

    def with_links(self, conversation: str, *, before: int | None = None, limit: int = 100) -> list[Message]:
        """Messages that name a page of the web, the newest first, before the one of a number."""
        return [
            message_of(row)
            for row in self._connection.rows(
                f"{_SELECT} WHERE m.conversation = (SELECT number FROM conversations WHERE id = ?1) AND m.deleted = 0 "  # noqa: S608
                "AND m.id < ?2 AND (m.body LIKE '%http://%' OR m.body LIKE '%https://%') ORDER BY m.id DESC LIMIT ?3",
                (clean(conversation), before if before is not None else MANY, bounded(limit)),
            )
        ]

    def of_sender(self, conversation: str, sender: str, *, until: int, limit: int = 500) -> list[Message]:
        """What somebody wrote in a conversation up to a time, and is not deleted, in the order in which it came."""
        where = (
            "m.sender = (SELECT number FROM profiles WHERE id = ?) AND c.id = ? AND m.timestamp <= ? "
            "AND m.deleted = 0 AND m.kind = 'text'"
        )
        rows = self._connection.rows(
            f"{_SELECT} WHERE {where} ORDER BY m.id LIMIT ?",
            (clean(sender), clean(conversation), bounded(until), limit),
        )
        return [message_of(row) for row in rows]

    def count(self, conversation: str | None = None) -> int:
        """How many there are."""
        if conversation is None:
            found: int = self._connection.value("SELECT count(*) FROM messages")
            return found
        number = conversation_number(self._connection, conversation)
        found = self._connection.value("SELECT count(*) FROM messages WHERE conversation = ?", (number,))
        return found

    def unread(self, conversation: str, *, up_to: int | None = None, limit: int = 1000) -> list[Message]:
        """What others sent and is not read, the oldest first; up to a `position`."""
        number = conversation_number(self._connection, conversation)
        rows = self._connection.rows(
            f"{_SELECT} WHERE m.conversation = ? AND m.read = 0 AND m.outgoing = 0 AND m.deleted = 0 "
            "AND (?2 IS NULL OR m.position <= ?2) ORDER BY m.position LIMIT ?3",
            (number, None if up_to is None else bounded(up_to), limit),
        )
        return [message_of(row) for row in rows]

    def mark_read(self, conversation: str, now: int, *, up_to: int | None = None) -> int:
        """Marks what others sent as read, up to a `position`, and starts timers of what disappears after that.

        Returns how many there were.
        """
        number = conversation_number(self._connection, conversation)
        end = None if up_to is None else bounded(up_to)
        with self._connection.joined():
            count = self._connection.value(
                "SELECT count(*) FROM messages WHERE conversation = ? AND read = 0 AND outgoing = 0 AND deleted = 0 "
                "AND (?2 IS NULL OR position <= ?2)",
                (number, end),
            )
            self._connection.execute(
                "UPDATE messages SET read = 1, expires = CASE WHEN expires IS NULL AND timer_kind = ?4 "
                "THEN ?3 + timer_seconds * 1000 ELSE expires END WHERE conversation = ?1 AND read = 0 AND outgoing = 0 "
                "AND deleted = 0 AND (?2 IS NULL OR position <= ?2)",
                (number, end, bounded(now), int(Disappear.AFTER_READ)),
            )
            self._connection.execute(
                "UPDATE conversations SET marked_unread = 0, last_read = max(last_read, coalesce(?2, last_activity)) "
                "WHERE number = ?1",
                (number, end),
            )
        return int(count)

    def mark_seen(self, conversation: str, timestamps: Sequence[int], when: int) -> int:
        """Marks messages of ours as read by the other side at a time, but not before they were sent.

        It stands in their `extra` as `read at`. Returns how many were not read.
        """
        number = conversation_number(self._connection, conversation)
        changed = 0
        with self._connection.joined():
            for timestamp in timestamps:
                # A receipt names many times, and any: each has to be a look-up.
                found = self._connection.rows(
                    "SELECT id FROM messages INDEXED BY messages_once "
                    "WHERE timestamp = ? AND conversation = ? AND outgoing AND read = 0",
                    (bounded(timestamp), number),
                )
                self._connection.many(
                    # What Python writes as JSON may be none to SQLite, such as an infinite number.
                    "UPDATE messages SET read = 1, extra = CASE WHEN deleted OR NOT json_valid(coalesce(extra, '{}')) "
                    "THEN extra ELSE json_set(coalesce(extra, '{}'), '$.\"read at\"', max(timestamp, ?)) END "
                    "WHERE id = ?",
                    ((bounded(when), row[0]) for row in found),
                )
                changed += len(found)
        return changed

    def set_read(self, message: int, *, read: bool) -> None:
        """Whether it is read; its timer is left alone."""
        self._connection.execute("UPDATE messages SET read = ? WHERE id = ?", (read, message))

    def set_state(self, message: int, state: MessageState) -> None:
        """How far it has come."""
        self._connection.execute("UPDATE messages SET state = ? WHERE id = ?", (state.value, message))

    def set_hash(self, message: int, stored: str) -> None:
        """Under which hash the own swarm, the group's, or the server has it."""
        self._connection.execute("UPDATE messages SET hash = ? WHERE id = ?", (clean(stored) or None, message))

    def set_expiry(self, message: int, expires: int | None) -> None:
        """When it disappears, in Unix milliseconds."""
        value = None if expires is None else bounded(expires)
        self._connection.execute("UPDATE messages SET expires = ? WHERE id = ?", (value, message))

    def set_extra(self, message: int, extra: dict[str, Any]) -> None:
        """What a kind has besides."""
        self._connection.execute("UPDATE messages SET extra = ? WHERE id = ?", (_json(extra), message))

    def delete(self, message: int, how: Deleted = Deleted.HERE) -> None:
        """Leaves only the place where the message was: its text, files and reactions are gone."""
        with self._connection.joined():
            self._connection.execute(
                "UPDATE messages SET deleted = ?, body = '', names = NULL, extra = NULL, quote_timestamp = NULL, "
                "quote_author = NULL WHERE id = ?",
                (int(how), message),
            )
            self._connection.execute("DELETE FROM attachments WHERE message = ?", (message,))
            self._connection.execute("DELETE FROM reactions WHERE message = ?", (message,))
            forgetting.step(self._connection)

    def remove(self, messages: Iterable[int]) -> None:
        """Forgets messages whole. Where they are many, their words leave the search index with `Database.tidy`."""
        with self._connection.joined():
            self._connection.many("DELETE FROM messages WHERE id = ?", ((each,) for each in messages))
            forgetting.step(self._connection)

    def clear(self, conversation: str, *, before: int | None = None, limit: int = MANY) -> int:
        """Forgets messages of a conversation: all, or those sent before a time; returns how many.

        They are at most `limit`, so that a call is not long: ten thousand take a second or two.
        """
        number = conversation_number(self._connection, conversation)
        found = self._connection.rows(
            "SELECT id FROM messages WHERE conversation = ? AND (?2 IS NULL OR timestamp < ?2) LIMIT ?3",
            (number, None if before is None else bounded(before), limit),
        )
        self.remove(row[0] for row in found)
        return len(found)

    def expired(self, now: int, limit: int = 1000) -> list[Message]:
        """What has to disappear by `now`; `remove` does it."""
        rows = self._connection.rows(
            f"{_SELECT} WHERE m.expires <= ? ORDER BY m.expires LIMIT ?", (bounded(now), limit)
        )
        return [message_of(row) for row in rows]

    def next_expiry(self) -> int | None:
        """When the next message disappears, in Unix milliseconds."""
        found: int | None = self._connection.value("SELECT min(expires) FROM messages WHERE expires IS NOT NULL")
        return found

    def _one(self, condition: str, *values: Value) -> Message | None:
        row = self._connection.row(f"{_SELECT} WHERE {condition}", values)
        return None if row is None else message_of(row)


_ADD = (
    "INSERT INTO messages (conversation, sender, timestamp, received, position, kind, outgoing, state, read, hash, "
    "quote_timestamp, quote_author, timer_kind, timer_seconds, expires, extra, names, body) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_ADD_ATTACHMENT = (
    "INSERT INTO attachments (message, url, key, digest, size, content_type, name, caption, width, height, voice) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def _insertion(connection: Connection, conversation: int, message: NewMessage) -> tuple[str, Sequence[Value]]:
    timestamp = bounded(message.timestamp)
    received = bounded(message.received) or timestamp
    timer = message.timer
    quote = message.quote
    names = [clean(each.name) for each in message.attachments]
    return _ADD, (
        conversation,
        profile_number(connection, message.sender),
        timestamp,
        received,
        min(timestamp, received),
        clean(message.kind),
        message.outgoing,
        message.state.value,
        message.read,
        clean(message.hash) or None,
        None if quote is None else bounded(quote.timestamp),
        None if quote is None else clean(quote.author),
        None if timer is None else int(timer.kind),
        None if timer is None else bounded(timer.seconds),
        None if message.expires is None else bounded(message.expires),
        _json(dict(message.extra)),
        _BETWEEN.join(names) if names else None,
        clean(message.body),
    )


def _attachment(message: int, each: Any) -> Sequence[Value]:
    texts = clean(each.content_type), clean(each.name), clean(each.caption)
    sizes = bounded(each.width), bounded(each.height), each.voice
    return message, clean(each.url), each.key, each.digest, bounded(each.size), *texts, *sizes


def _json(extra: dict[str, Any]) -> str | None:
    return json.dumps(extra) if extra else None


def message_of(row: Row) -> Message:
    """The message of a row of `COLUMNS`."""
    (number, conversation, sender, timestamp, body, kind, outgoing, received, position, state, read, deleted, *rest) = (
        row
    )
    (stored, quote_timestamp, quote_author, timer_kind, timer_seconds, expires, names, extra) = rest
    return Message(
        number,
        conversation,
        sender,
        timestamp,
        body,
        kind,
        bool(outgoing),
        received,
        position,
        MessageState(state),
        bool(read),
        Deleted(deleted),
        stored or "",
        None if quote_author is None else Target(quote_timestamp, quote_author),
        None if timer_kind is None else Disappearing(Disappear(timer_kind), timer_seconds),
        expires,
        names is not None,
        json.loads(extra) if extra else {},
    )
