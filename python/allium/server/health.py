"""Whether all is well with a running server, and what to do when not; what `allium status` shows of any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

_LITTLE_DISK = 256 << 20
_LITTLE_PART = 0.05


class Problem(NamedTuple):
    """What is not well, and what to do."""

    level: Literal["failed", "warning"]
    what: str
    remedy: str


def with_problems(told: dict[str, Any], problems: Sequence[Problem]) -> dict[str, Any]:
    """A status with what is not well in it, the worst first."""
    worst_first = sorted(problems, key=lambda problem: problem.level != "failed")
    return {"well": not problems, "problems": [problem._asdict() for problem in worst_first], **told}


def of_disk(numbers: dict[str, float]) -> Iterator[Problem]:
    """What is not well with the disk that the data directory is on."""
    free, disk = numbers["disk_free_bytes"], numbers["disk_bytes"]
    if free < _LITTLE_DISK:
        yield Problem("failed", f"the disk has {free:,.0f} bytes left", "free some of it, or move the data directory")
    elif free < _LITTLE_PART * disk:
        yield Problem("warning", f"the disk is {1 - free / disk:.0%} full", "free some of it")


def head(told: dict[str, Any], title: str) -> Iterator[tuple[str, str]]:
    """Which server it is, for a person: what, and how it is."""
    minutes = (told["now"] - told["started"]) / 60
    yield title, f"allium {told['version']}, process {told['pid']}, up {minutes:,.0f} min"
    yield "key", told["key"]


def tail(numbers: dict[str, float]) -> Iterator[tuple[str, str]]:
    """What strangers and the disk are up to."""
    yield "disk", f"{numbers['disk_free_bytes']:,.0f} bytes free of {numbers['disk_bytes']:,.0f}"
    yield "requests", f"{numbers.get('requests_total', 0):,.0f} answered, {numbers['refused_total']:,.0f} refused"
    sent, received = numbers["sent_bytes_total"], numbers["received_bytes_total"]
    yield "traffic", f"{received:,.0f} bytes received, {sent:,.0f} sent"
    yield "now", f"{numbers['connections']:,.0f} connections, {numbers['bodies']:,.0f} bodies under way"
