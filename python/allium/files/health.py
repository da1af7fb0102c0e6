"""Whether all is well with a running file server, and what to do when not; what `allium status` shows of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from allium.server import health
from allium.server.health import Problem

#: How a status of a file server is told from a node's.
KIND = "files"
#: Parts of the limit beyond which the files are nearly, or as good as, too many.
_NEARLY_FULL, _FULL = 0.85, 0.97
#: Blobs that a sweep should have removed.
_MANY_LOOSE = 10_000


def problems(numbers: dict[str, float]) -> Iterator[Problem]:
    """What is not well with its files."""
    held, limit = numbers["stored_bytes"], numbers["limit_bytes"]
    if held >= _FULL * limit:
        yield Problem("failed", f"the files take {held / limit:.0%} of what they may", "raise max_bytes")
    elif held >= _NEARLY_FULL * limit:
        yield Problem("warning", f"the files take {held / limit:.0%} of what they may", "raise max_bytes")
    if numbers["missing_files"]:
        yield Problem("failed", "bytes of files are not there", "`allium files verify` says which")
    if numbers["loose_blobs"] > _MANY_LOOSE:
        yield Problem("warning", "what has expired is not removed", "the log says why; `allium files gc` removes it")


def lines(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """A status for a person: what, and how it is."""
    numbers = told["files"]
    yield from health.head(told, "file server")
    held, limit = numbers["stored_bytes"], numbers["limit_bytes"]
    yield "files", f"{numbers['stored_files']:,.0f}, {held:,.0f} bytes of {limit:,.0f} ({held / limit:.0%})"
    yield from health.tail(numbers)
