"""Who has earned most on a test network, and what they have staked: made once for a height, when somebody asks."""

from __future__ import annotations

import asyncio
import csv
import io

from allium.portal.documents import Leader, amount
from allium.portal.epoch import Epoch, members
from allium.portal.prepared import Told
from allium.portal.replies import bare
from allium.portal.turns import pause
from allium.server.messages import Answer

_MOST = 1000
#: How many addresses are looked at before others have the interpreter again.
_AT_ONCE = 64
_COLUMNS = ("rank", "address", "lifetime_rewards", "staked", "nodes")


class Leaders:
    """The first of everybody, by what they have earned, then by what they have staked."""

    def __init__(self) -> None:
        self._of: tuple[str, list[Leader]] = ("", [])
        self._turn = asyncio.Lock()

    async def json(self, epoch: Epoch) -> Told:
        """As JSON."""
        return Told.of(members(leaders=await self._made(epoch)))

    async def csv(self, epoch: Epoch) -> Answer:
        """As a table of commas, in atomic units."""
        text = io.StringIO()
        table = csv.writer(text)
        table.writerow((*_COLUMNS, "height"))
        for each in await self._made(epoch):
            table.writerow((*(getattr(each, name) for name in _COLUMNS), epoch.state.height))
        answer = bare(text.getvalue().encode())
        answer.headers["content-type"] = "text/csv; charset=utf-8"
        answer.headers["content-disposition"] = 'attachment; filename="leaderboard.csv"'
        answer.headers["cache-control"] = "no-cache"
        return answer

    async def _made(self, epoch: Epoch) -> list[Leader]:
        async with self._turn:
            if self._of[0] != epoch.tag:
                self._of = (epoch.tag, await asyncio.to_thread(_leaders, epoch))
            return self._of[1]


def _leaders(epoch: Epoch) -> list[Leader]:
    view = epoch.view
    everybody = dict.fromkeys([*(who for who, _ in view.earned(pause)), *view.stakers()])
    found = []
    for number, who in enumerate(everybody):
        told = view.rewards(who)
        earned, staked = int(told.lifetime_rewards), int(told.locked_stakes)
        if earned or staked:
            found.append((-earned, -staked, who))
        if number % _AT_ONCE == 0:
            pause()
    nodes = view.node_counts()
    return [
        Leader(rank=rank, address=who, lifetime_rewards=amount(-earned), staked=amount(-staked), nodes=nodes[who])
        for rank, (earned, staked, who) in enumerate(sorted(found)[:_MOST], start=1)
    ]
