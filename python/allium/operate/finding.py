"""What is found when somebody looks whether all is well."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad something is."""

    OK = "ok"
    #: The node serves, and something needs looking after.
    WARNING = "warning"
    #: The node does not do its work, or soon will not.
    FAILED = "failed"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    level: Level
    what: str
    remedy: str


def failed(what: str, remedy: str) -> Finding:
    """The node does not do its work, or soon will not."""
    return Finding(Level.FAILED, what, remedy)


def warning(what: str, remedy: str) -> Finding:
    """Something needs looking after."""
    return Finding(Level.WARNING, what, remedy)
