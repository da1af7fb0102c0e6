"""Texts of strangers made fit for being shown: names, file names, mentions (`spec/messages` §12)."""

from __future__ import annotations

import re
import unicodedata

from allium.client.configs.fields import truncated

MAX_FILE_NAME_BYTES = 200
#: Marks that turn the direction of what follows, by which `gpj.exe` looks like `exe.jpg`.
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_MENTION = re.compile(r"@((?:05|15|25)[0-9a-f]{64})(?![0-9a-f])")
_NO_PATH = str.maketrans({"/": "_", "\\": "_", ":": "_"})


def plain(text: str) -> str:
    """One line without control characters, marks of direction and lone surrogates."""
    kept = (" " if each in "\n\r\t\u2028\u2029" else each for each in text if each not in _BIDI)
    return "".join(each for each in kept if unicodedata.category(each) not in ("Cc", "Cs")).strip()


def name(text: str) -> str:
    """A display name, of at most 100 bytes."""
    return truncated(plain(text)).strip()


def file_name(text: str) -> str:
    """A name that a file can have in a directory, or `file`; an extension stays."""
    cleaned = plain(text).translate(_NO_PATH).strip(". ")
    if not cleaned:
        return "file"
    stem, dot, extension = cleaned.rpartition(".")
    if not dot or len(extension.encode()) > 16:
        return truncated(cleaned, MAX_FILE_NAME_BYTES)
    return truncated(stem, MAX_FILE_NAME_BYTES - 17) + dot + extension


def mentions(body: str) -> list[str]:
    """The ids that a text mentions, in order, each once."""
    return list(dict.fromkeys(_MENTION.findall(body)))
