"""Keeps at one server: every ten seconds one batch, less often while it does not answer (`spec/groups` §9.3)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from allium.client.communities.polling import PollOutcome
from allium.client.communities.server import CommunityServer
from allium.client.errors import NetworkError, RefusedError

CADENCE_SECONDS = 10.0
SLOWEST_SECONDS = 120.0
#: Polls in a row without a pause, while there is more.
_MOST_AT_ONCE = 20

#: Keeps events and state, in one transaction. What it raises ends the polling.
Commit = Callable[[PollOutcome], Awaitable[None]]
#: Told of each poll that failed.
Failed = Callable[[NetworkError | RefusedError], None]


def pause_after(failures: int) -> float:
    """Seconds until the next poll, after so many that failed in a row."""
    return min(SLOWEST_SECONDS, CADENCE_SECONDS * 2.0 ** min(failures, 10))


async def poll_once(server: CommunityServer, commit: Commit) -> int:
    """Polls until there is no more, and has each outcome kept; the number of events. Errors of `CommunityServer`."""
    count = 0
    for _ in range(_MOST_AT_ONCE):
        outcome = await server.poll()
        await commit(outcome)
        # Meanwhile a room may have been joined or left.
        kept = server.state.rooms
        server.state = outcome.state.within(kept)
        count += len(outcome.events)
        if not outcome.more:
            break
    return count


async def follow(server: CommunityServer, commit: Commit, failed: Failed, wake: asyncio.Event | None = None) -> None:
    """Polls until it is cancelled. `wake`: set, it has the next poll made at once."""
    failures = 0
    while True:
        try:
            await poll_once(server, commit)
            failures = 0
        except (NetworkError, RefusedError) as error:
            failures += 1
            failed(error)
        await pause(failures, wake)


async def pause(failures: int, wake: asyncio.Event | None = None) -> None:
    """Until the next poll is due, or `wake` is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(pause_after(failures)):
            await (wake or asyncio.Event()).wait()
    if wake is not None:
        wake.clear()
