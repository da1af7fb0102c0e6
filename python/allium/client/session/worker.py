"""The one thread on which a session's database and configs are touched.

What runs there is short and runs whole: between two calls everything is in order, so no lock is needed anywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from allium.errors import Complaint

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")


class ClosedError(Complaint):
    """The session was closed; what was acknowledged before is kept."""


class Worker:
    """Runs one function after the other."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, "session")
        self._closed = False
        self._awaited = 0

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `function` returns or raises. Once begun it is finished, even if who awaits it is cancelled.

        `ClosedError` after `close`.
        """
        if self._closed:
            raise ClosedError("the session is closed")
        self._awaited += 1
        try:
            return await asyncio.wrap_future(self._executor.submit(function, *args, **kwargs))
        finally:
            self._awaited -= 1

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for anything."""
        return self._awaited == 0

    async def run_steps(self, steps: Generator[S, None, T], progress: Callable[[S], object] | None = None) -> T:
        """What a generator returns, of which each step runs as one function; `progress` is told what it yields.

        Others are served in between. Who is cancelled has it closed after the step that runs.
        """
        ended: list[T] = []

        def step() -> S | None:
            try:
                return next(steps)
            except StopIteration as end:
                ended.append(end.value)
                return None

        try:
            while True:
                told = await self.run(step)
                if ended:
                    return ended[0]
                if progress is not None and told is not None:
                    progress(told)
        finally:
            try:
                await asyncio.shield(self.run(steps.close))
            except ClosedError:
                await asyncio.to_thread(self._executor.shutdown)
                await asyncio.to_thread(steps.close)

    async def close(self, last: Callable[[], object] | None = None) -> None:
        """After what was given to it is done, and `last`."""
        self._closed = True
        try:
            if last is not None:
                await asyncio.wrap_future(self._executor.submit(last))
        finally:
            await asyncio.to_thread(self._executor.shutdown)
