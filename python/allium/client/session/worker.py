"""The one thread on which a session's database and configs are touched.

What runs there is short and runs whole: between two calls everything is in order, so no lock is needed anywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from allium.errors import Complaint

P = ParamSpec("P")
T = TypeVar("T")


class ClosedError(Complaint):
    """The session was closed; what was acknowledged before is kept."""


class Worker:
    """Runs one function after the other."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, "session")
        self._closed = False

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `function` returns or raises. Once begun it is finished, even if who awaits it is cancelled.

        `ClosedError` after `close`.
        """
        if self._closed:
            raise ClosedError("the session is closed")
        return await asyncio.wrap_future(self._executor.submit(function, *args, **kwargs))

    async def close(self) -> None:
        """After what was given to it is done."""
        self._closed = True
        await asyncio.to_thread(self._executor.shutdown)
