"""Conversations, and what is known of who speaks in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from allium.client.database import forgetting
from allium.client.database.connection import Connection, Row, Value, bounded, clean
from allium.client.database.rows import Conversation, ConversationKind
from allium.client.messages.kinds import Profile

_COLUMNS = "id, kind, name, draft, priority, muted_until, marked_unread, last_read, last_activity, unread, extra"


def conversation_number(connection: Connection, conversation: str) -> int | None:
    """By which tables name a conversation; None if there is none of this id."""
    found: int | None = connection.value("SELECT number FROM conversations WHERE id = ?", (clean(conversation),))
    return found


def profile_number(connection: Connection, account: str) -> int:
    """By which tables name an account; it has one from then on."""
    account = clean(account)
    found = connection.value("SELECT number FROM profiles WHERE id = ?", (account,))
    if found is None:
        found = connection.insert("INSERT INTO profiles (id) VALUES (?)", (account,))
    return int(found)


class Conversations:
    """The list of conversations."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def ensure(self, conversation: str, kind: ConversationKind, *, name: str = "") -> Conversation:
        """The conversation of this id, made if there was none."""
        self._connection.execute(
            "INSERT INTO conversations (id, kind, name) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (clean(conversation), kind.value, clean(name)),
        )
        found = self.get(conversation)
        assert found is not None  # noqa: S101 - it was made
        return found

    def get(self, conversation: str) -> Conversation | None:
        """The conversation of this id."""
        row = self._connection.row(
            f"SELECT {_COLUMNS} FROM conversations WHERE id = ?",  # noqa: S608 - our own text
            (clean(conversation),),
        )
        return None if row is None else _conversation(row)

    def all(self, *, hidden: bool = True) -> list[Conversation]:
        """As a list shows them: pinned ones first, then by last activity."""
        rows = self._connection.rows(
            f"SELECT {_COLUMNS} FROM conversations WHERE ?1 OR priority >= 0 "  # noqa: S608 - our own text
            "ORDER BY priority DESC, last_activity DESC",
            (hidden,),
        )
        return [_conversation(row) for row in rows]

    def update(
        self,
        conversation: str,
        *,
        kind: ConversationKind | None = None,
        name: str | None = None,
        draft: str | None = None,
        priority: int | None = None,
        muted_until: int | None = None,
        marked_unread: bool | None = None,
        last_read: int | None = None,
        last_activity: int | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> bool:
        """Changes what is given; False if there is no such conversation."""
        given: dict[str, Value] = {
            "kind": None if kind is None else kind.value,
            "name": None if name is None else clean(name),
            "draft": None if draft is None else clean(draft),
            "priority": None if priority is None else bounded(priority),
            "muted_until": None if muted_until is None else bounded(muted_until),
            "marked_unread": marked_unread,
            "last_read": None if last_read is None else bounded(last_read),
            "last_activity": None if last_activity is None else bounded(last_activity),
            "extra": None if extra is None else json.dumps(extra),
        }
        changed = {column: value for column, value in given.items() if value is not None}
        if not changed:
            return conversation_number(self._connection, conversation) is not None
        columns = ", ".join(f"{column} = :{column}" for column in changed)
        statement = f"UPDATE conversations SET {columns} WHERE id = :id"  # noqa: S608 - our own text
        return self._connection.execute(statement, {**changed, "id": clean(conversation)}) > 0

    def remove(self, conversation: str) -> bool:
        """Forgets the conversation and all its messages; False if there was none.

        Of one that has very many, `Messages.clear` can take them first, some at a time.
        """
        with self._connection.joined():
            removed = self._connection.execute("DELETE FROM conversations WHERE id = ?", (clean(conversation),)) > 0
            forgetting.step(self._connection)
        return removed

    def unread(self) -> int:
        """Messages that are not read, of all conversations."""
        found: int = self._connection.value("SELECT coalesce(sum(unread), 0) FROM conversations")
        return found


class Profiles:
    """What accounts say of themselves."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, account: str) -> Profile | None:
        """What is known of an account."""
        row = self._connection.row(
            "SELECT name, picture_url, picture_key, updated FROM profiles WHERE id = ?", (clean(account),)
        )
        return None if row is None else Profile(*row)

    def all(self) -> list[tuple[str, Profile]]:
        """Of all accounts that said something of themselves."""
        rows = self._connection.rows(
            "SELECT id, name, picture_url, picture_key, updated FROM profiles WHERE name <> '' OR updated <> 0"
        )
        return [(account, Profile(*fields)) for account, *fields in rows]

    def set(self, account: str, profile: Profile) -> bool:
        """Takes a profile that is newer than what is known (`spec/messages` §2.1); False if it is not."""
        with self._connection.joined():
            number = profile_number(self._connection, account)
            changed = self._connection.execute(
                "UPDATE profiles SET name = ?, picture_url = ?, picture_key = ?, updated = ? WHERE number = ? "
                "AND (updated < ?4 OR (updated = 0 AND name = ''))",
                (
                    clean(profile.name),
                    clean(profile.picture_url),
                    profile.picture_key,
                    bounded(profile.updated),
                    number,
                ),
            )
        return changed > 0


def _conversation(row: Row) -> Conversation:
    number, kind, name, draft, priority, muted, marked, last_read, last_activity, unread, extra = row
    flags = name, draft, priority, muted, bool(marked), last_read, last_activity, unread
    return Conversation(number, ConversationKind(kind), *flags, json.loads(extra))
