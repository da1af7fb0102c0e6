"""Tells others that we type: at the first key, again while we do, and when we ceased to (`spec/messages` §13)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from allium.client import swarm
from allium.client.errors import NetworkError, RefusedError
from allium.client.session import actions
from allium.client.session.worker import ClosedError

if TYPE_CHECKING:
    from allium.client.session.session import Session

#: It is told again after so many seconds, and that we ceased to after so many without a key.
REPEAT, IDLE = 10.0, 10.0


class TypingState:
    """Of one conversation. Times are seconds, from anywhere."""

    def __init__(self) -> None:
        self._told: float | None = None
        self._pressed = 0.0

    def pressed(self, now: float) -> bool:
        """A key was pressed; whether it is to be told that we type."""
        self._pressed = now
        if self._told is not None and now - self._told < REPEAT:
            return False
        self._told = now
        return True

    @property
    def end(self) -> float | None:
        """When we have ceased to type, unless another key is pressed; None if we do not type."""
        return None if self._told is None else self._pressed + IDLE

    def ceased(self) -> bool:
        """We ceased to; whether that is to be told."""
        was, self._told = self._told is not None, None
        return was


class Typist:
    """Of one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._states: dict[str, TypingState] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._telling = asyncio.Lock()
        self.clock: Callable[[], float] = asyncio.get_running_loop().time

    async def pressed(self, conversation_id: str) -> None:
        """A key was pressed."""
        state = self._states.setdefault(conversation_id, TypingState())
        news = state.pressed(self.clock())
        self._wait(conversation_id, IDLE)
        if news:
            await self._tell(conversation_id, True)

    async def ceased(self, conversation_id: str) -> None:
        """What was typed is not sent, or not now."""
        if self._end(conversation_id):
            await self._tell(conversation_id, False)

    def sent(self, conversation_id: str) -> None:
        """The message that was typed is sent, which says it all."""
        self._end(conversation_id)

    def _wait(self, conversation_id: str, seconds: float) -> None:
        if (timer := self._timers.pop(conversation_id, None)) is not None:
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._timers[conversation_id] = loop.call_later(seconds, self._idle, conversation_id)

    def _idle(self, conversation_id: str) -> None:
        task = asyncio.get_running_loop().create_task(self.ceased(conversation_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _end(self, conversation_id: str) -> bool:
        if (timer := self._timers.pop(conversation_id, None)) is not None:
            timer.cancel()
        state = self._states.pop(conversation_id, None)
        return state is not None and state.ceased()

    async def _tell(self, conversation_id: str, typing: bool) -> None:
        # One after the other, or it ends before it begins.
        async with self._telling:
            await self._tell_now(conversation_id, typing)

    async def _tell_now(self, conversation_id: str, typing: bool) -> None:
        with contextlib.suppress(NetworkError, RefusedError, ClosedError):
            store = await self._session.run(actions.typing, conversation_id, typing)
            if store is not None:
                await swarm.store(self._session.network, conversation_id, store)

    async def close(self) -> None:
        """Nobody is told any more."""
        for conversation_id in list(self._timers):
            self._end(conversation_id)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
