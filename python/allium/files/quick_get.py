"""Downloads without the machinery around a request: what a server of files does most.

As long as a connection sends nothing but whole, plain `GET /file/ID`s, whose files are on this machine and in its page
cache, each is answered in one go (`quick_handler`). What is plain is read strictly here: a head that two readers could
read differently is left to the one that everybody knows.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from allium.files import content
from allium.files.directory import DirectoryBlobs
from allium.files.index import Index
from allium.files.sqlite import SqliteIndex

_LONGEST_HEAD = 4096
_LINE = re.compile(rb"GET /file/([A-Za-z0-9_-]{44}|[0-9]{1,16}) HTTP/1\.1")
_FIELDS = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}:[\t -~\x80-\xff]*\r\n)+\r\n")
#: Fields that say something of the connection, of a body, or of what is wanted of the file.
_NOT_PLAIN = re.compile(
    rb"^(?:connection|content-length|expect|keep-alive|te|trailer|transfer-encoding|upgrade|range|if-[a-z-]*):",
    re.IGNORECASE | re.MULTILINE,
)
#: Of the first of them, what changes nothing.
_KEEP_ALIVE = re.compile(rb"^connection:[ \t]*keep-alive[ \t]*\r?$\n?", re.IGNORECASE | re.MULTILINE)
#: Fields that were found plain, which a program says alike with each request.
_MOST_FIELDS = 64
#: Rows of the index in memory, a few hundred bytes each; and for how long one is believed, so that what is done to the
#: index from outside is seen. A file's row changes in nothing but its expiry, which only becomes later.
_MOST_ROWS = 4096
_ROW_SECONDS = 10.0


@dataclass(slots=True)
class Download:
    """A file that may be sent: where it is, and what is said before it, without the date."""

    path: str
    size: int
    fields: bytes
    #: Unix seconds, until which that holds.
    until: float
    #: Whether the system was seen to have it in memory since it was looked up.
    in_memory: bool = False


class QuickGet:
    """Finds what plain downloads ask for, of a server whose index and blobs are on this machine."""

    def __init__(
        self,
        index: SqliteIndex,
        blobs: DirectoryBlobs,
        headers: dict[str, str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._index = index
        self._blobs = blobs
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._fields = f"HTTP/1.1 200 OK\r\n{lines}".encode()
        self._clock = clock
        self._rows: dict[bytes, Download] = {}
        self._plain: dict[bytes, None] = {}
        self._date = (0, b"")

    @classmethod
    def of(cls, index: Index, blobs: Any, headers: dict[str, str]) -> QuickGet | None:
        """One for this server, if it can have one."""
        if isinstance(index, SqliteIndex) and isinstance(blobs, DirectoryBlobs):
            return cls(index, blobs, headers)
        return None

    def find(self, data: bytes) -> Download | None:
        """What `data` asks for, if it is a plain download of a file that is there."""
        line, _, fields = data.partition(b"\r\n")
        found = _LINE.fullmatch(line)
        if found is None or (fields not in self._plain and not self._is_plain(fields)):
            return None
        name = found[1]
        download = self._rows.get(name)
        return download if download is not None and download.until > self._clock() else self._look_up(name)

    def head(self, download: Download) -> bytes:
        """What comes before the bytes of the file."""
        second = int(self._clock())
        if self._date[0] != second:
            self._date = second, f"Date: {formatdate(second, usegmt=True)}\r\n\r\n".encode()
        return download.fields + self._date[1]

    def _is_plain(self, fields: bytes) -> bool:
        if len(fields) > _LONGEST_HEAD or not _FIELDS.fullmatch(fields):
            return False
        if _NOT_PLAIN.search(_KEEP_ALIVE.sub(b"", fields)):
            return False
        if len(self._plain) >= _MOST_FIELDS:
            del self._plain[next(iter(self._plain))]
        self._plain[fields] = None
        return True

    def _look_up(self, name: bytes) -> Download | None:
        self._rows.pop(name, None)
        now, text = self._clock(), name.decode()
        asked: str | int | None = text if content.is_name(text) else content.number(text)
        record = None if asked is None else self._index.find_now(asked, now)
        if record is None:
            return None
        if len(self._rows) >= _MOST_ROWS:
            del self._rows[next(iter(self._rows))]
        fields = self._fields + b"Content-Length: %d\r\n" % record.size
        download = Download(
            self._blobs.place(record.blob), record.size, fields, min(record.expires, now + _ROW_SECONDS)
        )
        self._rows[name] = download
        return download
