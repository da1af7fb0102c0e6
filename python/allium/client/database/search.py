"""Full-text search over texts and file names.

FTS5 finds words. Scripts that put no spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese) have spaces
put between all characters, in what is indexed and in what is looked for, which is then found wherever it stands. What
`searchable` makes of a text is in files: whoever changes it needs a migration that indexes all texts anew.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from allium.client.database.connection import Connection, clean
from allium.client.database.messages import COLUMNS, JOINED, message_of
from allium.client.database.rows import Message

MAX_TERMS = 16
MAX_TERM = 100

_UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U0001b000-\U0001b16f\U00020000-\U0003ffff])"
)


def searchable(*texts: Any) -> str:
    """`text` with spaces around what its script writes without."""
    [text] = texts
    if not isinstance(text, str):
        return ""
    if text.isascii():
        return text
    return _UNSPACED.sub(r" \1 ", text)


def terms(text: str) -> Sequence[str]:
    """What is to be found, of what a person typed: phrases of FTS5, the last of which may go on."""
    words = clean(text).replace('"', " ").replace("\0", " ").split()[:MAX_TERMS]
    phrases = ['"' + searchable(word[:MAX_TERM]).strip() + '"' for word in words]
    if phrases and text[-1:].strip() and not _UNSPACED.search(words[-1][-1]) and len(words[-1]) > 1:
        phrases[-1] += " *"
    return phrases


class Search:
    """Finds messages."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(
        self, text: str, *, conversation: str | None = None, before: int | None = None, limit: int = 50
    ) -> list[Message]:
        """Messages that have all the words of `text`, the last of which may be the beginning of one; the newest first.

        The next page is what is `before` the `id` of the last one found.
        """
        words = terms(text)
        if not words:
            return []
        query = "{body names} : (" + " AND ".join(words) + ")"
        if conversation is not None:
            number = self._connection.value("SELECT number FROM conversations WHERE id = ?", (clean(conversation),))
            if number is None:
                return []
            query += f" AND place : c{number}"
        # CROSS JOIN keeps the order: what the index has found is looked up, one by one, until there are enough. Of a
        # message that was deleted, words may still be there.
        rows = self._connection.rows(
            f"SELECT {COLUMNS} FROM search CROSS JOIN {JOINED} WHERE search MATCH ?1 AND search.rowid < ?2 "  # noqa: S608
            "AND m.id = search.rowid ORDER BY search.rowid DESC LIMIT ?3",
            (query, before if before is not None else 1 << 62, limit),
        )
        return [message_of(row) for row in rows]
