"""Calls of one session: what a page or a program does with them, and the clock that ends them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from allium.client.messages.kinds import Call, CallStep
from allium.client.session import actions, call_steps, calling, outbound
from allium.client.session.call_state import Candidate, OngoingCall, Phase

if TYPE_CHECKING:
    from allium.client.session.session import Session

#: While a call is set up, the inbox is asked so often, seconds.
POLL_SECONDS = 1.0
_HURRIED = (Phase.CALLING, Phase.RINGING, Phase.CONNECTING)


class Calls:
    """There is one call at most. All of these raise `CallError`, a `ValueError`, for what cannot be."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._changed = asyncio.Event()

    async def current(self) -> OngoingCall | None:
        """The call that there is."""
        return await self._session.run(calling.current)

    async def start(self, account_id: str, owner: str = "") -> OngoingCall:
        """We call a contact. `owner` is a name of who has the call; it sends an offer next."""
        wanted = actions.conversation_id(account_id)
        return await self._session.run(call_steps.start, self._session.groups, wanted, owner)

    async def accept(self, uuid: str, owner: str = "") -> OngoingCall:
        """We take a call; who takes it sends an answer as soon as there is an offer."""
        return await self._session.run(call_steps.accept, uuid, owner)

    async def offer(self, uuid: str, sdp: str) -> None:
        """Sends an offer: the first one, or one that has the two sides look for another way."""
        await self._session.run(call_steps.describe, self._session.groups, uuid, CallStep.OFFER, sdp)

    async def answer(self, uuid: str, sdp: str) -> None:
        """Sends an answer; our other devices get it too, and ring no longer."""
        await self._session.run(call_steps.describe, self._session.groups, uuid, CallStep.ANSWER, sdp)

    async def candidates(self, uuid: str, found: Sequence[Candidate]) -> None:
        """Sends ways to reach us."""
        await self._session.run(call_steps.candidates, self._session.groups, uuid, found)

    async def alive(self, uuid: str, *, connected: bool) -> OngoingCall:
        """To be said each minute by who has a call; a call of which nothing is heard ends."""
        return await self._session.run(call_steps.alive, uuid, connected=connected)

    async def end(self, uuid: str, *, failed: bool = False) -> OngoingCall:
        """Hangs up, or declines."""
        return await self._session.run(call_steps.end, self._session.groups, uuid, failed=failed)

    async def send(self, account_id: str, step: Call) -> None:
        """Any step of a call (`spec/files-and-calls` §4), for programs that keep track of it themselves."""
        wanted = actions.conversation_id(account_id)
        await self._session.run(outbound.call, self._session.groups, wanted, step)

    # --- in the background

    def wake(self) -> None:
        """A call has begun, gone on, or ended."""
        self._changed.set()

    async def run(self) -> None:
        """Ends calls when it is time, and asks for what the other side says while one is set up; for ever."""
        await self._session.run(call_steps.settle)
        while True:
            self._changed.clear()
            deadline = await self._session.run(call_steps.expire, self._session.groups)
            call = await self.current() if deadline is not None else None
            wait = None
            if deadline is not None:
                wait = max(0.05, (deadline - self._session.network.now()) / 1000)
            if call is not None and call.phase in _HURRIED:
                wait = POLL_SECONDS if wait is None else min(wait, POLL_SECONDS)
                self._session.hurry()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()
