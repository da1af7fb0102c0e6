"""Whether all is well with a running file server, and what to do when not; what `allium status` shows of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

#: How a status of a file server is told from a node's.
KIND = "files"
#: Parts of the limit beyond which the files are nearly, or as good as, too many.
_NEARLY_FULL, _FULL = 0.85, 0.97
_LITTLE_DISK = 256 << 20
_LITTLE_PART = 0.05
#: Blobs that a sweep should have removed.
_MANY_LOOSE = 10_000


def with_problems(told: dict[str, Any]) -> dict[str, Any]:
    """A status with what is not well in it, the worst first."""
    problems = sorted(_problems(told["files"]), key=lambda problem: problem["level"] != "failed")
    return {"well": not problems, "problems": problems, **told}


def _problems(numbers: dict[str, float]) -> Iterator[dict[str, str]]:
    held, limit = numbers["stored_bytes"], numbers["limit_bytes"]
    if held >= _FULL * limit:
        yield _problem("failed", f"the files take {held / limit:.0%} of what they may", "raise max_bytes")
    elif held >= _NEARLY_FULL * limit:
        yield _problem("warning", f"the files take {held / limit:.0%} of what they may", "raise max_bytes")
    free, disk = numbers["disk_free_bytes"], numbers["disk_bytes"]
    if free < _LITTLE_DISK:
        yield _problem("failed", f"the disk has {free:,.0f} bytes left", "free some of it, or move the data directory")
    elif free < _LITTLE_PART * disk:
        yield _problem("warning", f"the disk is {1 - free / disk:.0%} full", "free some of it")
    if numbers["missing_files"]:
        yield _problem("failed", "bytes of files are not there", "`allium files verify` says which")
    if numbers["loose_blobs"] > _MANY_LOOSE:
        yield _problem("warning", "what has expired is not removed", "the log says why; `allium files gc` removes it")


def _problem(level: str, what: str, remedy: str) -> dict[str, str]:
    return {"level": level, "what": what, "remedy": remedy}


def lines(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """A status for a person: what, and how it is."""
    numbers = told["files"]
    minutes = (told["now"] - told["started"]) / 60
    yield "file server", f"allium {told['version']}, process {told['pid']}, up {minutes:,.0f} min"
    yield "key", told["key"]
    held, limit = numbers["stored_bytes"], numbers["limit_bytes"]
    yield "files", f"{numbers['stored_files']:,.0f}, {held:,.0f} bytes of {limit:,.0f} ({held / limit:.0%})"
    yield "disk", f"{numbers['disk_free_bytes']:,.0f} bytes free of {numbers['disk_bytes']:,.0f}"
    yield "requests", f"{numbers.get('requests_total', 0):,.0f} answered, {numbers['refused_total']:,.0f} refused"
    sent, received = numbers["sent_bytes_total"], numbers["received_bytes_total"]
    yield "traffic", f"{received:,.0f} bytes received, {sent:,.0f} sent"
    yield "now", f"{numbers['connections']:,.0f} connections, {numbers['bodies']:,.0f} bodies under way"
