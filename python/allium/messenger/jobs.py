"""What takes longer than a request: begun, asked how far it is, cancelled."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable

from allium.messenger.errors import ApiError, of, unknown
from allium.messenger.hub import Hub
from allium.messenger.views import JobView

_log = logging.getLogger(__name__)
#: Those that are remembered; the oldest that has ended goes.
MAX_JOBS = 16

#: Is told how far something is: what is done, and of how many, or None.
Told = Callable[[int, int | None], None]
Work = Callable[[Told], Awaitable[object]]


class Jobs:
    """All jobs of the service."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._views: dict[str, tuple[str, JobView]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, account: str, kind: str, work: Work) -> str:
        """Its id. `ApiError` if too many are under way."""
        for number in [each for each in self._views if each not in self._tasks][: len(self._views) - MAX_JOBS + 1]:
            del self._views[number]
        if len(self._views) >= MAX_JOBS:
            raise ApiError("busy", "Too much is under way; wait until something is done.")
        number = secrets.token_urlsafe(9)
        view = JobView(id=number, kind=kind, done=0, total=None, state="running", error=None)
        self._views[number] = account, view
        self._tasks[number] = asyncio.create_task(self._run(account, number, view, work))
        return number

    async def _run(self, account: str, number: str, view: JobView, work: Work) -> None:
        def told(done: int, total: int | None) -> None:
            view.done, view.total = done, total

        try:
            await work(told)
            view.state = "done"
        except asyncio.CancelledError:
            view.state = "cancelled"
        except Exception as error:
            _log.info("a job failed: %s", type(error).__name__)
            view.state, view.error = "failed", of(error).message
        finally:
            self._tasks.pop(number, None)
            self._hub.tell("job_changed", account, job=view)

    def get(self, account: str, number: str) -> JobView:
        """How far it is."""
        owner, view = self._views.get(number, ("", None))
        if view is None or owner != account:
            raise unknown("job")
        return view

    async def cancel(self, account: str, number: str) -> JobView:
        """Ends it; what it has made half-way is gone."""
        view = self.get(account, number)
        await self._stop([number])
        return view

    async def end(self, account: str) -> None:
        """Ends all of an account."""
        await self._stop([number for number, (owner, _) in self._views.items() if owner == account])

    async def close(self) -> None:
        """Ends all, and forgets them."""
        await self._stop(list(self._tasks))
        self._views.clear()

    async def _stop(self, numbers: list[str]) -> None:
        tasks = [self._tasks[number] for number in numbers if number in self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
