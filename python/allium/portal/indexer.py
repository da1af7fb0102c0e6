"""Follows the contracts' events over several providers, and what the contracts hold.

What a provider says counts when enough of them say the same. The last blocks are read again each time, as they may have
been replaced by others.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from eth_typing import ChecksumAddress, HexAddress, HexStr
from web3 import AsyncWeb3
from web3.types import FilterParams

from allium.appchain.events import Event
from allium.base import log
from allium.errors import NotFinalError
from allium.portal import contract_index, documents
from allium.portal.contract_events import CORE_TOPICS, POT_TOPICS, SEEDED, ContractEvent, Log, read
from allium.portal.contract_index import ContractIndex
from allium.portal.database import PortalDatabase
from allium.portal.sql import PortalDatabaseError
from allium.portal.turns import pause
from allium.staking import seeds
from allium.staking.addresses import Addresses
from allium.staking.provider import Provider, ProviderError, TooMuchError, quantity
from allium.staking.provider_quorum import ProviderQuorum
from allium.staking.span import Span

#: How many of the last blocks may be replaced (`spec/portal` §4).
RESCAN_BLOCKS = 60
#: How many blocks of logs are asked for at once at most, and how far one step reaches, after which all is kept.
_LOG_BLOCKS, _STEP_BLOCKS = 1000, 50_000
#: How many contracts one question for logs names.
_CONTRACTS = 100
_BALANCES = ("pool", "rewards")


@dataclass(frozen=True)
class _Tip:
    """Where the chain is."""

    block: int
    timestamp: int
    pool: int
    rewards: int


class Indexer:
    """The events up to the newest block that enough providers have."""

    def __init__(self, panel: ProviderQuorum, addresses: Addresses, database: PortalDatabase) -> None:
        self._panel, self._addresses, self._database = panel, addresses, database
        self._spans = {provider: Span(_LOG_BLOCKS) for provider in panel.providers}
        self._events: list[ContractEvent] = []
        self.index: ContractIndex = contract_index.index(())
        #: Counts up with each other `index` and `tip`.
        self.version = 0
        self.tip = documents.ArbitrumInfo(
            block=0, timestamp=0, balance_reward_rate_pool=0, balance_service_node_rewards=0
        )
        #: Why the last look came to nothing; `None` when it did not.
        self.trouble: str | None = None
        self._logger = log.get("portal")

    async def open(self) -> None:
        """Takes up what was kept."""
        self._events = await asyncio.to_thread(self._database.events)
        await self._publish()

    async def run(self, seconds: float) -> None:
        """Looks every so often, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(seconds)

    async def look(self) -> None:
        """Goes on up to the newest block; what goes wrong is in `trouble`, and the next time goes on from there."""
        try:
            tip = await self._learn_tip()
            await self._follow(tip.block)
        except (NotFinalError, ProviderError, PortalDatabaseError) as error:
            if str(error) != self.trouble:
                self._logger.warning("the EVM chain cannot be followed", reason=str(error))
            self.trouble = str(error)
            return
        self.trouble = None
        self.tip = documents.ArbitrumInfo(
            block=tip.block,
            timestamp=tip.timestamp,
            balance_reward_rate_pool=documents.amount(tip.pool),
            balance_service_node_rewards=documents.amount(tip.rewards),
        )
        self.version += 1

    async def _learn_tip(self) -> _Tip:
        answered = await self._panel.everybody(self._newest)
        heights = sorted((height for _, height in answered), reverse=True)
        if len(heights) < self._panel.quorum:
            wrong = "".join(f"; {name}: {trouble}" for name, trouble in self._panel.troubles.items())
            raise NotFinalError(f"too few providers of the EVM chain say where it is{wrong}")
        block = heights[self._panel.quorum - 1]
        for provider, height in answered:
            provider.final = height
        return await self._panel.agreed(
            lambda provider: self._tip(provider, block), lambda provider: provider.final >= block
        )

    async def _newest(self, provider: Provider) -> int:
        async def ask(w3: AsyncWeb3[Any]) -> int:
            await provider.check_chain(w3, self._addresses.chain_id)
            return quantity(await w3.eth.block_number)

        return await provider.ask(ask)

    async def _tip(self, provider: Provider, block: int) -> _Tip:
        token = provider.contract("SESH", self._addresses.token).functions

        async def ask(w3: AsyncWeb3[Any]) -> _Tip:
            timestamp = quantity((await w3.eth.get_block(block))["timestamp"])
            balances = [
                quantity(await token.balanceOf(getattr(self._addresses, name)).call(block_identifier=block))
                for name in _BALANCES
            ]
            return _Tip(block, timestamp, *balances)

        return await provider.ask(ask)

    async def _follow(self, goal: int) -> None:
        scanned = await asyncio.to_thread(lambda: self._database.scanned)
        after = max(self._addresses.block - 1, min(scanned, goal) - RESCAN_BLOCKS)
        while after < goal:
            upto = min(goal, after + _STEP_BLOCKS)
            found = await self._between(after, upto)
            kept = self._events[: bisect_right(self._events, after, key=lambda event: event.told.block)]
            known = self._events[len(kept) :]
            await asyncio.to_thread(self._database.replace, after, upto, found)
            if found != known:
                self._events = [*kept, *found]
                await self._publish()
            after = upto

    async def _between(self, after: int, upto: int) -> list[ContractEvent]:
        core = await self.logs(after, upto, [(self._addresses.rewards, self._addresses.factory)], CORE_TOPICS)
        events = await self._with_stakers([read(log, pot=False) for log in core])
        made = (event.told.args.get("contributorContract") for event in events)
        pots = [*dict.fromkeys([*self.index.pots, *filter(None, made)])]
        groups = [tuple(pots[start : start + _CONTRACTS]) for start in range(0, len(pots), _CONTRACTS)]
        events += [read(log, pot=True) for log in await self.logs(after, upto, groups, POT_TOPICS)]
        return sorted(events, key=lambda event: event.place)

    async def _with_stakers(self, events: list[ContractEvent]) -> list[ContractEvent]:
        """Of a node that the contract was started with the log does not say who staked: it is asked for."""
        wanted = [event.seed() for event in events if event.told.name == SEEDED]
        if not wanted:
            return events

        async def question(provider: Provider) -> tuple[Event, ...]:
            return tuple(await seeds.complete(provider, self._addresses.rewards, wanted))

        found = iter(await self._panel.agreed(question))
        return [event.staked_by(next(found)) if event.told.name == SEEDED else event for event in events]

    async def logs(self, after: int, upto: int, groups: Sequence[tuple[str, ...]], topics: Sequence[str]) -> list[Log]:
        """What enough providers say that groups of contracts logged after a block, up to another."""
        found: list[Log] = []
        for group in groups:

            async def question(provider: Provider, group: tuple[str, ...] = group) -> tuple[Log, ...]:
                return await self._logs_of(provider, after, upto, group, topics)

            found += await self._panel.agreed(question, lambda provider: provider.final >= upto)
        return found

    async def _logs_of(
        self, provider: Provider, after: int, upto: int, group: tuple[str, ...], topics: Sequence[str]
    ) -> tuple[Log, ...]:
        """All logs in a range, asked for in parts as long as this provider gives them."""
        found: list[Log] = []
        span = self._spans[provider]
        while after < upto:
            blocks = min(span.blocks, upto - after)
            try:
                found += await self._part(provider, after, after + blocks, group, topics)
            except TooMuchError:
                span.refused(blocks)
                if blocks == 1:
                    raise
            else:
                span.answered(blocks)
                after += blocks
        return tuple(found)

    @staticmethod
    async def _part(
        provider: Provider, after: int, upto: int, group: tuple[str, ...], topics: Sequence[str]
    ) -> list[Log]:
        wanted: FilterParams = {
            "address": [ChecksumAddress(HexAddress(HexStr(each))) for each in group],
            "topics": [list(topics)],
            "fromBlock": after + 1,
            "toBlock": upto,
        }

        async def ask(w3: AsyncWeb3[Any]) -> list[Log]:
            return _checked(await w3.eth.get_logs(wanted), group, after, upto)

        return await provider.ask(ask)

    async def _publish(self) -> None:
        self.index = await asyncio.to_thread(contract_index.index, self._events, pause)
        self.version += 1


def _checked(entries: Sequence[Any], group: tuple[str, ...], after: int, upto: int) -> list[Log]:
    logs = [Log.of(entry) for entry in entries]
    if any(log.address not in group or not after < log.block <= upto for log in logs):
        raise ProviderError("gives logs that it was not asked for")
    if any((left.block, left.index) >= (right.block, right.index) for left, right in pairwise(logs)):
        raise ProviderError("gives logs that are not in order")
    return logs
