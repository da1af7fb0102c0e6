"""How a running node is, looked at again and again: for its line in `systemctl status`, and for its log."""

from __future__ import annotations

import asyncio

from allium.base import log, pulse
from allium.operate.facts import FactSource
from allium.operate.finding import Finding, Level
from allium.operate.health import judge

_PERIOD = 15.0


class Condition:
    """What keeps a node from its work."""

    def __init__(self, source: FactSource) -> None:
        self._source = source
        #: The worst that was found last.
        self._trouble: Finding | None = None
        self._logger = log.get("node")

    def stalled(self) -> list[str]:
        """What gives no sign of life now."""
        return [name for name, seconds, _ in self._source.engine.threads() if seconds]

    def words(self) -> str | None:
        """What is wrong and what helps; `None` while the node does its work."""
        if stalled := self.stalled():
            return f"stands still: {', '.join(stalled)}"
        return None if self._trouble is None else f"{self._trouble.what}: {self._trouble.remedy}"

    async def follow(self) -> None:
        """Looks until cancelled, and has it in the log when something begins and ends."""
        while True:
            await asyncio.sleep(_PERIOD)
            pulse.beat()
            before, self._trouble = self._trouble, await self._worst()
            if self._trouble is None:
                if before is not None:
                    self._logger.info("is well again")
            elif before is None or before.remedy != self._trouble.remedy:
                self._logger.error("is not well", what=self._trouble.what, remedy=self._trouble.remedy)

    async def _worst(self) -> Finding | None:
        try:
            found = judge(await self._source.gather())
        except (OSError, RuntimeError) as error:
            return Finding(Level.FAILED, f"it cannot say how it is: {error}", "see its log")
        return next((finding for finding in found if finding.level is Level.FAILED), None)
