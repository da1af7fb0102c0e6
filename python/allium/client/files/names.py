"""File names of strangers, as a file may be called on this machine (`spec/files-and-calls` §3).

A name may be a path, be longer than a disk allows, look like another one by steering the text's direction, or mean a
device. What is left of it is a name in one directory, on every system.
"""

from __future__ import annotations

import mimetypes
import unicodedata

#: What every file system takes, with room for a number.
MAX_BYTES = 200
_MAX_SUFFIX_BYTES = 32
_UNNAMED = "attachment"
_FORBIDDEN = frozenset('<>:"|?*/\\')
#: Joins emoji to one; harmless in a name.
_JOINER = "\u200d"
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"]
)


def safe_name(name: str, content_type: str = "") -> str:
    """A name for a file that a stranger calls `name`; one of its type where nothing is left."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    normal = unicodedata.normalize("NFC", last[: 4 * MAX_BYTES])
    kept = "".join(_letter(letter) for letter in normal)
    # A dot in front hides a file, a dash makes an option of it, and dots and blanks at the end vanish on Windows.
    kept = " ".join(kept.split()).lstrip(".-~ ").rstrip(". ")
    if not kept.strip("_"):
        kept = _UNNAMED + suffix_of(content_type)
    if kept.partition(".")[0].rstrip().casefold() in _DEVICES:
        kept = f"_{kept}"
    return _cut(kept)


def numbered(name: str, number: int) -> str:
    """Another name beside `name`: `picture (2).png`."""
    stem, suffix = split(name)
    return f"{stem} ({number}){suffix}"


def split(name: str) -> tuple[str, str]:
    """What is before the last dot, and the rest of a name."""
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix.encode()) > _MAX_SUFFIX_BYTES or " " in suffix:
        return name, ""
    return stem, dot + suffix


def suffix_of(content_type: str) -> str:
    """What names of a media type end in; nothing for one that is not known."""
    return mimetypes.guess_extension(content_type.partition(";")[0].strip().lower(), strict=False) or ""


def _letter(letter: str) -> str:
    if letter == _JOINER:
        return letter
    match unicodedata.category(letter):
        # Controls, directions, surrogates, and what no font has.
        case "Cc" | "Cf" | "Cs" | "Co" | "Cn":
            return ""
        case "Zs" | "Zl" | "Zp":
            return " "
        case _:
            return "_" if letter in _FORBIDDEN else letter


def _cut(name: str) -> str:
    if len(name.encode()) <= MAX_BYTES:
        return name
    stem, suffix = split(name)
    most = MAX_BYTES - len(suffix.encode())
    while len(stem.encode()) > most:
        stem = stem[:-1]
    return stem.rstrip(". ") + suffix
