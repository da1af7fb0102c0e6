"""What is shown of a search, besides the messages that the database finds."""

from __future__ import annotations

#: Characters around the first word that was found.
_BEFORE, _AFTER = 40, 120


def snippet(text: str, wanted: str) -> str:
    """The part of a text around the first of the words that was looked for."""
    lowered = text.lower()
    places = [place for word in wanted.lower().split() if (place := lowered.find(word)) >= 0]
    start = max(0, min(places, default=0) - _BEFORE)
    end = start + _BEFORE + _AFTER
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"


def matches(wanted: str, *names: str) -> bool:
    """Whether all words are in one of the names."""
    words = wanted.lower().split()
    return bool(words) and any(all(word in name.lower() for word in words) for name in names)
