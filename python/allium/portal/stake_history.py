"""From which block of the EVM chain on the ledger had which stake that came back: so claims can be told apart for good.

The ledger knows today's totals and those of some last heights, so what a height changed is kept when it is seen. What
happened while nobody looked is taken to have happened as early as it can have: then no claim is larger than what there
was. What events tell of it is not kept here, so that blocks that are taken back leave nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from allium.portal.database import PortalDatabase

#: From a block on, so much had come back in all; ascending.
Steps = Sequence[tuple[int, int]]


class StakeHistory:
    """Of all addresses."""

    def __init__(self, database: PortalDatabase) -> None:
        """Takes up what was kept; raises `PortalDatabaseError`."""
        self._database = database
        self._height, self._block = database.followed()
        self._steps = database.returned()

    @property
    def steps(self) -> Mapping[str, Steps]:
        """By checksummed address. Never changed: another takes its place."""
        return self._steps

    def note(self, height: int, block: int, returned: Mapping[str, int]) -> None:
        """What had come back at a height, which has taken all events up to a block; raises `PortalDatabaseError`."""
        if (height, block) == (self._height, self._block):
            return
        again = block < self._block or height < self._height
        steps = {who: [step for step in each if step[0] <= block] for who, each in self._steps.items()} if again else {}
        merged = {**self._steps, **steps}
        # Of heights that nobody saw it could have been the first.
        since = block if height == self._height + 1 or again else min(block, self._block + 1)
        changed = []
        for who, stakes in returned.items():
            before = merged.get(who, ())
            if stakes != (before[-1][1] if before else 0):
                merged[who] = [*(step for step in before if step[0] < since), (since, stakes)]
                changed.append((who, since, stakes))
        self._database.keep_returned(height, block, changed)
        self._height, self._block, self._steps = height, block, merged
