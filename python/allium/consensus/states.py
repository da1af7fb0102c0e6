"""The last state, and who waits for the next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from allium.appchain.state import State
from allium.appchain.types import Height
from allium.base import log


class States:
    """What an engine publishes. Only the engine that owns it does."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._moved = asyncio.Event()
        self._logger = log.get("consensus")

    @property
    def last(self) -> State:
        """The last state."""
        return self._state

    async def __aiter__(self) -> AsyncIterator[State]:
        """The state now, then newer ones; those that came while the last was looked at are one."""
        told: State | None = None
        while True:
            if self._state is not told:
                told = self._state
                yield told
            else:
                await self._moved.wait()

    async def reached(self, height: Height, seconds: float | None) -> None:
        """Returns when there is a state beyond `height`, or after a time if there is one."""
        try:
            async with asyncio.timeout(seconds):
                while self._state.height <= height:
                    await self._moved.wait()
        except TimeoutError:
            return

    def publish(self, state: State) -> None:
        """Makes `state` the last, and says what happened at its height."""
        self._state = state
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
        for note in state.notes:
            self._logger.info(note.text, height=state.height, contract_id=note.contract_id)
