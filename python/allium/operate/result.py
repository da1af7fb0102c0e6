"""What a check has found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from allium.base import complaint
from allium.operate.finding import Level


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


def together(first: Result, *others: Result) -> Result:
    """One result of several about the same: whatever is not well, or else the first."""
    bad = [result for result in (first, *others) if result.remedy]
    if not bad:
        return first
    worst = next((result.level for result in bad if result.level is Level.FAILED), Level.WARNING)
    return Result(
        first.check,
        worst,
        *("; ".join(texts) for texts in zip(*((each.found, each.remedy) for each in bad), strict=True)),
    )


def refused(check: str, error: OSError) -> Result:
    """What the machine said to a check."""
    found, _, remedy = complaint.sentence(error).text.partition("; ")
    return failed(check, found, remedy or "see the system's log (journalctl, dmesg)")


def ok(check: str, found: str) -> Result:
    """As it should be."""
    return Result(check, Level.OK, found)


def warning(check: str, found: str, remedy: str) -> Result:
    """The node can do its work, and something should be changed."""
    return Result(check, Level.WARNING, found, remedy)


def failed(check: str, found: str, remedy: str) -> Result:
    """The node cannot do its work, or its secrets are in danger."""
    return Result(check, Level.FAILED, found, remedy)
