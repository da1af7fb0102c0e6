"""Text from strangers, as people may be shown it."""

from __future__ import annotations


def printable(text: str) -> str:
    """Without what would steer the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def line(text: str, longest: int) -> str:
    """In one line, of so many characters at most."""
    text = " ".join(printable(text).split())
    return text if len(text) <= longest else text[:longest] + "…"
