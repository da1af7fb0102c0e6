"""What a file is called: by a hash of its content, or by a number for old clients (`spec/files-and-calls` §1)."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import blake2b

_SALT = b"SessionFileSvr\0\0"
_DIGEST_BYTES = 33
#: Clients keep numbers in doubles.
_NUMBER_BITS = 53
_NAME = re.compile(r"[A-Za-z0-9_-]{44}")
_NUMBER = re.compile(r"[0-9]{1,16}")


def hasher() -> blake2b:
    """What a file's bytes are given to, in their order."""
    return hashlib.blake2b(digest_size=_DIGEST_BYTES, salt=_SALT)


def name(digest: bytes) -> str:
    """The 44 characters that stand for a content."""
    return base64.urlsafe_b64encode(digest).decode()


def is_name(text: str) -> bool:
    """Whether it may be a content's name."""
    return _NAME.fullmatch(text) is not None


def number(text: str) -> int | None:
    """The number that a file may be called by; `None` for text that is none."""
    return int(text) if _NUMBER.fullmatch(text) else None


def random_number() -> int:
    """A number for a new file: one that nobody guesses, of 16 digits."""
    lowest = 10**15
    return lowest + secrets.randbelow(2**_NUMBER_BITS - lowest)
