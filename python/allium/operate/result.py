"""What a check has found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from allium.operate.health import Level


@dataclass(frozen=True)
class Result:
    """One check: what it is about, how it is, and what to do about it."""

    check: str
    level: Level
    found: str
    #: Empty when all is well.
    remedy: str = ""

    @property
    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def ok(check: str, found: str) -> Result:
    """As it should be."""
    return Result(check, Level.OK, found)


def warning(check: str, found: str, remedy: str) -> Result:
    """The node can do its work, and something should be changed."""
    return Result(check, Level.WARNING, found, remedy)


def failed(check: str, found: str, remedy: str) -> Result:
    """The node cannot do its work, or its secrets are in danger."""
    return Result(check, Level.FAILED, found, remedy)
