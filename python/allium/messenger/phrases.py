"""Which word of a recovery phrase is wrong, for a page that marks it."""

from __future__ import annotations

from allium.client import words


def wrong_word(phrase: str) -> int | None:
    """The index of the first word that is none, from 0; None if each is one."""
    for index, word in enumerate(phrase.lower().split()):
        if not words.is_listed(word):
            return index
    return None
