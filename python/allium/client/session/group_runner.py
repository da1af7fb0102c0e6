"""Changes of groups, from the transaction that plans one to the transaction that confirms it, one a group at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from allium.client.errors import NetworkError, RefusedError
from allium.client.groups import membership
from allium.client.groups.plan import Plan
from allium.client.groups.state import GroupState
from allium.client.network import Network
from allium.client.session import group_states, group_steps
from allium.client.session.core import Core, Work
from allium.client.session.events import GroupChanged
from allium.client.session.group_states import GroupStates
from allium.client.session.group_steps import ErrandLetter
from allium.client.session.worker import Worker
from allium.client.swarm import delete

P = ParamSpec("P")
T = TypeVar("T")

#: Plans that one change can need, one after the other: it, a removal, a new key, what was merged meanwhile.
_ROUNDS = 12
#: Accounts that are written to at the same time.
_PARALLEL = 4
#: Hashes of one deletion.
_MOST_DELETED = 500


class GroupRunner:
    """Runs what groups need, for one session."""

    def __init__(self, core: Core, worker: Worker, network: Network) -> None:
        self.states = GroupStates()
        self._core = core
        self._worker = worker
        self._network = network
        self._locks: dict[str, asyncio.Lock] = {}
        #: Group -> storage hashes that are to be deleted in its swarm, by an admin's device.
        self._deletions: dict[str, list[str]] = {}

    async def run(self, function: Callable[Concatenate[Work, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """One transaction. If it is undone, so is what the states have in memory."""
        return await self._worker.run(lambda: self._run(function, *args, **kwargs))

    def _run(self, function: Callable[Concatenate[Work, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return self._core.run(function, *args, **kwargs)
        except BaseException:
            self.states.evict()
            raise

    async def act(self, group_id: str, action: Callable[[Work, GroupState], Plan], *, settle: bool = True) -> None:
        """Changes a group: `action` plans it, the swarm does it, and then what follows from it."""
        group_id = group_id.lower()

        def begin(work: Work) -> Plan:
            plan = action(work, self.states.joined(work, group_id))
            self.states.save(work, self.states.joined(work, group_id))
            work.tell(GroupChanged(group_id))
            return plan

        async with self._lock(group_id):
            await self._do(group_id, await self.run(begin))
        if settle:
            await self.settle(group_id)

    async def settle(self, group_id: str) -> None:
        """Does all that our device has to do by itself: plans, and letters to accounts.

        Raises `NetworkError` or `RefusedError`; it is done with the next poll then.
        """
        async with self._lock(group_id):
            for _ in range(_ROUNDS):
                match await self.run(self._next, group_id):
                    case Plan() as plan:
                        await self._do(group_id, plan)
                    case [*letters] if letters:
                        await self._deliver(group_id, letters)
                    case _:
                        break
            await self._delete(group_id)

    def to_delete(self, group_id: str, hashes: list[str]) -> None:
        """What the swarm is to delete, if we are an admin."""
        if hashes:
            self._deletions.setdefault(group_id, []).extend(hashes)

    def _lock(self, group_id: str) -> asyncio.Lock:
        return self._locks.setdefault(group_id, asyncio.Lock())

    async def _do(self, group_id: str, plan: Plan) -> None:
        credentials = await self.run(group_states.credentials, group_id)
        if credentials is None:
            return
        try:
            hashes = await group_steps.run(self._network, credentials, plan) if plan.steps else []
        except (NetworkError, RefusedError):
            await self.run(self._outcome, group_id, plan, None)
            raise
        if hashes is not None:
            await self.run(self._outcome, group_id, plan, hashes)

    def _outcome(self, work: Work, group_id: str, plan: Plan, hashes: list[str] | None) -> None:
        state = self.states.get(work, group_id)
        if state is None:
            return
        if hashes is None:
            state.failed(plan)
        else:
            state.confirm(plan, hashes)
        self.states.save(work, state)
        if plan.removed:
            work.tell(GroupChanged(group_id))

    def _next(self, work: Work, group_id: str) -> Plan | list[ErrandLetter]:
        """What our device does next by itself: something in the group's swarm, or letters to accounts, or nothing."""
        state = self.states.get(work, group_id)
        if state is None or group_states.credentials(work, group_id) is None:
            return []
        plan = membership.due(state, work.now)
        self.states.save(work, state)
        if plan is not None:
            return plan
        if state.owes_response and not state.is_expired:
            return membership.respond(state, work.now)
        return group_steps.errands(work, state) if state.is_admin else []

    async def _deliver(self, group_id: str, letters: list[ErrandLetter]) -> None:
        limit = asyncio.Semaphore(_PARALLEL)

        async def one(letter: ErrandLetter) -> tuple[str, bool]:
            async with limit:
                return letter.account_id, await group_steps.deliver(self._network, letter)

        told = dict(await asyncio.gather(*(one(letter) for letter in letters)))
        await self.run(self._told, group_id, told)

    def _told(self, work: Work, group_id: str, told: dict[str, bool]) -> None:
        state = self.states.get(work, group_id)
        if state is None:
            return
        for account_id, done in told.items():
            state.told(account_id, done=done)
        self.states.save(work, state)
        work.tell(GroupChanged(group_id))

    async def _delete(self, group_id: str) -> None:
        hashes = self._deletions.pop(group_id, [])
        credentials = await self.run(group_states.credentials, group_id) if hashes else None
        if credentials is None or not await self.run(self._is_admin, group_id):
            return
        for start in range(0, len(hashes), _MOST_DELETED):
            await delete(self._network, credentials, hashes[start : start + _MOST_DELETED])

    def _is_admin(self, work: Work, group_id: str) -> bool:
        state = self.states.get(work, group_id)
        return state is not None and state.is_admin
