"""A node's view of the EVM chain: what the rewards contract said up to a final height, and the reward rate there.

The state machine is the checkpoint: it knows the height up to which it has taken events, and the hash of the block
there. So nothing is kept here but what a provider was found to be good for, and a start is a question like any other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from eth_utils.address import to_checksum_address
from web3 import AsyncWeb3
from web3.exceptions import BlockNotFound, Web3RPCError
from web3.types import BlockIdentifier, FilterParams

from allium.appchain.events import Event
from allium.appchain.input import MAX_EVENTS, MAX_RATE, Observation
from allium.appchain.types import Address, AtomicSesh, Hash, L2Height
from allium.errors import ConsensusError, NotFinalError
from allium.staking import abi, completeness, logs, seeds
from allium.staking.provider import Provider, ProviderError, TooMuchError, quantity
from allium.staking.provider_quorum import ProviderQuorum
from allium.staking.span import Span

#: How many blocks of logs are asked for at once, at most.
LOG_BLOCKS = 1000
#: How far one observation reaches at most, so that a long way is made in steps.
_MAX_BLOCKS = 100_000
#: A provider that is further behind the others is named.
_LAG_BLOCKS = 120
#: How a provider says that it knows no block by the name "finalized".
_NO_TAG = re.compile(r"-3260[012]\b|finali|tag|block|param|argument|support", re.IGNORECASE)
_RATE = abi.selector(next(entry for entry in abi.load("RewardRatePool") if entry.get("name") == "rewardRate"))


class FinalityError(ConsensusError):
    """The EVM chain took back what was final. No state that was computed from it can be relied on."""


@dataclass(frozen=True)
class Contracts:
    """What is followed, and where."""

    chain_id: int
    rewards: Address
    pool: Address


@dataclass(frozen=True)
class _Answer:
    """What one provider says about the blocks after a height, up to another."""

    #: Of the block at the first height.
    before: Hash
    seen: Observation


class EventFollower:
    """An observer (`consensus.Observer`) over several providers."""

    def __init__(
        self,
        panel: ProviderQuorum,
        contracts: Contracts,
        *,
        depth: int | None = None,
        log_blocks: int = LOG_BLOCKS,
        lag_blocks: int = _LAG_BLOCKS,
        stride: int = 1,
    ) -> None:
        """With `depth`, a block is final when so many are above it, whatever the provider says of finality.

        What is final is looked at up to multiples of `stride`.
        """
        self._panel, self._contracts, self._depth = panel, contracts, depth
        self._rewards, self._pool = map(to_checksum_address, (contracts.rewards, contracts.pool))
        self._log_blocks, self._lag_blocks, self._stride = log_blocks, lag_blocks, stride
        self._spans = {provider: Span(log_blocks) for provider in panel.providers}
        #: How far the next observation reaches: less after one that came to nothing, as providers may limit requests.
        self._reach = _MAX_BLOCKS
        #: The last answer of enough of them to that; it stays while they are asked again.
        self._told = 0
        #: The last block that was told of: what is final stays.
        self._anchor: tuple[L2Height, Hash] | None = None

    @property
    def providers(self) -> ProviderQuorum:
        """Who is asked."""
        return self._panel

    def resume(self, height: L2Height, block: Hash) -> None:
        """Holds the providers to a block that was final before."""
        self._anchor = height, block

    @property
    def final(self) -> int:
        """Up to where enough providers have had the chain as final when they were asked last; 0 before."""
        return self._told

    async def close(self) -> None:
        """Ends all connections."""
        await self._panel.close()

    async def observe(self, after: L2Height, upto: L2Height | None = None) -> Observation:
        """As `Observer` says; also raises `FinalityError` when enough providers have another block than was final."""
        goal = await self._goal(after, upto)
        try:
            answer = await self._panel.agreed(
                lambda provider: self._answer(provider, after, goal, exactly=upto is not None),
                lambda provider: provider.final >= goal,
            )
        except NotFinalError:
            self._reach = max(self._log_blocks, self._stride, self._reach // 2)
            raise
        self._reach = min(_MAX_BLOCKS, 2 * self._reach)
        if self._anchor is not None and self._anchor[0] == after and self._anchor[1] != answer.before:
            raise FinalityError(
                f"the EVM chain's block {after} was final as {self._anchor[1].hex()} and is now {answer.before.hex()}: "
                f"either it was taken back, or {self._panel.quorum} providers say what is not true"
            )
        self._anchor = answer.seen.l2_height, answer.seen.l2_hash
        return answer.seen

    async def _goal(self, after: L2Height, upto: L2Height | None) -> L2Height:
        """Up to where to look: a height that enough providers have as final."""
        wanted = after if upto is None else upto
        if upto is None or self._agreed_final() < wanted:
            await self._learn_finality()
        final = self._agreed_final()
        if final < wanted:
            wrong = "".join(f"; {name}: {trouble}" for name, trouble in self._panel.troubles.items())
            raise NotFinalError(f"the EVM chain is final up to {max(final, 0)} here, and {wanted} is asked for{wrong}")
        return self._rounded(min(final, after + self._reach), after) if upto is None else upto

    def _rounded(self, height: int, after: L2Height) -> L2Height:
        """The last height to look up to; `after` when there is none beyond it yet."""
        return L2Height(max(after, height - height % self._stride))

    def _agreed_final(self) -> int:
        return sorted((provider.final for provider in self._panel.providers), reverse=True)[self._panel.quorum - 1]

    async def _learn_finality(self) -> None:
        answered = await self._panel.everybody(self._final)
        for provider in self._panel.providers:
            provider.final = -1
        for provider, height in answered:
            provider.final = height
        final = self._agreed_final()
        if final >= 0:
            self._told = final
        for provider, height in answered:
            if height < final - self._lag_blocks:
                self._panel.shun(provider, f"is {final - height} blocks behind the others")
            else:
                self._panel.acquit(provider)

    async def _final(self, provider: Provider) -> int:
        async def ask(w3: AsyncWeb3[Any]) -> int:
            await provider.check_chain(w3, self._contracts.chain_id)
            if self._depth is not None:
                return max(0, quantity(await w3.eth.block_number) - self._depth)
            try:
                return (await _block(w3, "finalized"))[0]
            except (BlockNotFound, Web3RPCError) as error:
                if isinstance(error, Web3RPCError) and not _NO_TAG.search(str(error)):
                    raise
                raise ProviderError("does not say which blocks are final; set l2_depth to how deep they are") from None

        return await provider.ask(ask)

    async def _answer(self, provider: Provider, after: L2Height, goal: L2Height, exactly: bool) -> _Answer:
        began = await provider.ask(lambda w3: _block(w3, goal))
        events = await self._events(provider, after, goal)
        reached = goal
        if len(events) > MAX_EVENTS:
            if exactly:
                raise ProviderError(f"has more than {MAX_EVENTS} events after {after}, up to {goal}")
            # The block of the first that is too many is left for the next time, as a whole.
            goal = self._rounded(events[MAX_EVENTS].position.l2_height - 1, after)
            events = [event for event in events if event.position.l2_height <= goal]
        if self._panel.quorum == 1:
            # Nobody else's word is needed, so that what it leaves out would stay unseen.
            await completeness.check(provider, self._rewards, range(after + 1, goal + 1), events)
        events = await seeds.complete(provider, self._rewards, events)

        async def ask(w3: AsyncWeb3[Any]) -> _Answer:
            before, last = await _block(w3, after), await _block(w3, goal)
            if (before[0], last[0]) != (after, goal):
                raise ProviderError("gives another block than it was asked for")
            # With a depth that is too small, logs could be those of blocks that others have taken the place of.
            if (last if reached == goal else await _block(w3, reached)) != began:
                raise ProviderError(f"has taken back block {reached}, while it was asked for what is in it")
            told = await w3.eth.call({"to": self._pool, "data": f"0x{_RATE.hex()}"}, goal)  # type: ignore[typeddict-item]
            if len(told) not in (0, 32) or (rate := int.from_bytes(told, "big")) > MAX_RATE:
                raise ProviderError("gives a reward rate that is none")
            return _Answer(before[1], Observation(goal, last[1], AtomicSesh(rate), tuple(events)))

        return await provider.ask(ask)

    async def _events(self, provider: Provider, after: L2Height, goal: L2Height) -> list[Event]:
        """All events in a range, in order; more than `MAX_EVENTS` mean that there may be more."""
        events: list[Event] = []
        first = after + 1
        while first <= goal and len(events) <= MAX_EVENTS:
            span = self._spans[provider]
            blocks = min(span.blocks, goal - first + 1)
            try:
                events += await self._part(provider, first, first + blocks - 1)
            except TooMuchError:
                span.refused(blocks)
                if blocks == 1:
                    raise
            else:
                span.answered(blocks)
                first += blocks
        return events

    async def _part(self, provider: Provider, first: int, last: int) -> list[Event]:
        wanted: FilterParams = {
            "address": self._rewards,
            "topics": [logs.TOPICS],
            "fromBlock": first,
            "toBlock": last,
        }

        async def ask(w3: AsyncWeb3[Any]) -> list[Event]:
            told = await w3.eth.get_logs(wanted)
            return [self._event(entry, first, last) for entry in told]

        events = await provider.ask(ask)
        if any(not left.position < right.position for left, right in pairwise(events)):
            raise ProviderError("gives logs that are not in order")
        return events

    def _event(self, entry: Mapping[str, Any], first: int, last: int) -> Event:
        if entry["address"] != self._rewards or not first <= entry["blockNumber"] <= last or entry.get("removed"):
            raise ProviderError("gives logs that it was not asked for")
        return logs.read(entry)


async def _block(w3: AsyncWeb3[Any], which: BlockIdentifier) -> tuple[int, Hash]:
    block = await w3.eth.get_block(which)
    height, digest = quantity(block["number"]), Hash(bytes(block["hash"]))
    if len(digest) != 32:
        raise ProviderError("gives a block that is none")
    return height, digest
