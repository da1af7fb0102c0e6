"""Small things that are said of people and conversations: colours, letters, ids in URLs."""

from __future__ import annotations

import base64
import binascii
import hashlib

from allium.messenger.errors import unknown

#: Colours of places where a picture would be: green, blue, yellow, pink, purple, orange, red.
COLORS = 7
_COMMUNITY = "c-"


def color(account_id: str) -> int:
    """Of somebody without a picture, as in the other clients: 0 to 6."""
    return int(hashlib.sha512(account_id.lower().encode()).hexdigest()[:12], 16) % COLORS


def letters(name: str, account_id: str) -> str:
    """Up to two: initials of two words, the first two of one word, of a bare id its third digit."""
    words = [word for each in name.split() if (word := "".join(letter for letter in each if letter.isalnum()))]
    if not words:
        return account_id[2:3].upper()
    if len(words) > 1:
        return (words[0][0] + words[1][0]).upper()
    return words[0][:2].upper()


def in_url(conversation_id: str) -> str:
    """A conversation's id as it stands in a URL."""
    if not conversation_id.startswith("http"):
        return conversation_id
    return _COMMUNITY + base64.urlsafe_b64encode(conversation_id.encode()).decode().rstrip("=")


def from_url(given: str) -> str:
    """The inverse; `ApiError` for what is none."""
    if not given.startswith(_COMMUNITY):
        return given.lower()
    text = given[len(_COMMUNITY) :]
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, ValueError):
        raise unknown("conversation") from None
