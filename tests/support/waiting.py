"""Waiting for what only the nodes know of."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def await_that(what: str, holds: Callable[[], bool], seconds: float = 40) -> None:
    """Looks until it holds; an event that only the nodes know of."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.05)


def await_each(what: str, several: Iterable[T], holds: Callable[[T], bool], seconds: float = 40) -> None:
    """Looks at one after the other until it holds of each."""
    for one in several:
        deadline = time.monotonic() + seconds
        while not holds(one):
            assert time.monotonic() < deadline, f"{what}: not within {seconds} s: {one}"
            time.sleep(0.05)
