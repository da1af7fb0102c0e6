"""One group that is polled."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

from allium.client.credentials import Credentials
from allium.client.errors import NetworkError, RefusedError
from allium.client.groups.state import INFO, KEYS, MEMBERS, MESSAGES
from allium.client.polling import PollResult
from allium.client.session import group_inbound
from allium.client.session.core import Work
from allium.client.session.group_inbound import GroupNews
from allium.client.session.group_runner import GroupRunner

#: Configs are renewed for 30 days; so often is enough, in milliseconds.
_RENEW_EVERY = 6 * 3600 * 1000


class GroupPoll:
    """Polls of a group."""

    namespaces: Sequence[int] = (MESSAGES, INFO, MEMBERS, KEYS)

    def __init__(self, runner: GroupRunner, group_id: str, credentials: Credentials, active: int) -> None:
        self.group_id = group_id
        self.credentials = credentials
        #: When something last happened in it, Unix milliseconds.
        self.active = active
        self._runner = runner
        self._renewed = 0
        self._renewing = False

    async def cursors(self) -> Mapping[bytes, Mapping[int, str]]:
        """By node (Ed25519 key) and namespace, the last hash that was handled."""
        return await self._runner.run(lambda work: work.database.cursors.all(self.group_id))

    async def renew(self) -> Sequence[str]:
        """Storage hashes of configs that have to stay in the swarm; none while they were renewed not long ago."""

        def active(work: Work) -> Sequence[str]:
            state = self._runner.states.get(work, self.group_id)
            self._renewing = work.now >= self._renewed + _RENEW_EVERY and state is not None
            return state.active_hashes if state is not None and self._renewing else ()

        return await self._runner.run(active)

    async def handle(self, result: PollResult) -> None:
        """Takes what a poll brought, cursors included, and does what follows from it, if the network lets us."""

        def receive(work: Work) -> GroupNews:
            if self._renewing:
                self._renewed = work.now
            return group_inbound.receive(work, self._runner.states, self.group_id, result)

        news = await self._runner.run(receive)
        self.active = max(self.active, news.active)
        self._runner.to_delete(self.group_id, news.deletions)
        if not result.more:
            # It is done with the next poll.
            with contextlib.suppress(NetworkError, RefusedError):
                await self._runner.settle(self.group_id)
