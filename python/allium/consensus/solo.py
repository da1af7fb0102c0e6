"""One node orders the inputs and signs what comes of them; all others follow, compute the same and say so if not.

For networks on one machine and for tests: whoever trusts a `solo` network trusts its sequencer to go on, and to leave
nothing out. It cannot make anybody accept a state that does not follow from the inputs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import aiohttp

from allium.appchain.admission import InvalidInputError, admissible, objection
from allium.appchain.certificates import Certificate
from allium.appchain.encoding import EncodingError, decode
from allium.appchain.input import Input, Observation
from allium.appchain.machine import apply
from allium.appchain.parameters import Parameters
from allium.appchain.state import State
from allium.appchain.types import Height, PublicKey, Seconds
from allium.base import log
from allium.consensus import CertificateRefusedError, Observer
from allium.consensus.block import Block, sign
from allium.consensus.feed import WAIT_SECONDS, Feed, FeedError
from allium.consensus.replica import Replica
from allium.consensus.store import BlockStore, confirmed
from allium.errors import ConsensusError, DivergedError, NotFinalError

#: How many certificates may wait for their turn.
_MAX_PENDING = 4096
_RETRY_SECONDS = 0.5
_MAX_RETRY_SECONDS = 10.0

Clock = Callable[[], float]


@dataclass(frozen=True)
class Listen:
    """Where a node answers those who follow."""

    host: str
    port: int


class Sequencer:
    """The one that orders. A `Consensus`."""

    def __init__(
        self,
        store: BlockStore,
        source: Observer,
        secret: bytes,
        listen: Listen,
        *,
        snapshot_every: int = 360,
        clock: Clock = time.time,
    ) -> None:
        """Continues what is in `store`. `secret` is libsodium's Ed25519 secret key of the sequencer (64 bytes)."""
        self._replica = Replica(store, snapshot_every)
        self._source, self._secret, self._listen, self._clock = source, secret, listen, clock
        self._pending: dict[Certificate, None] = {}
        self._logger = log.get("consensus")

    @property
    def state(self) -> State:
        """The last state."""
        return self._replica.state

    def __aiter__(self) -> AsyncIterator[State]:
        return aiter(self._replica.states)

    async def submit(self, certificate: Certificate) -> None:
        """Takes a certificate for one of the next inputs; raises `CertificateRefusedError`."""
        if certificate in self._pending:
            return
        if len(self._pending) >= _MAX_PENDING:
            raise CertificateRefusedError("too many certificates are waiting; try again later")
        if (why := objection(self.state, certificate)) is not None:
            raise CertificateRefusedError(why)
        self._pending[certificate] = None

    async def run(self) -> None:
        """Makes a height every `block_seconds`, and answers those who follow."""
        from allium.consensus.feed_server import serving

        async with serving(self._replica, self.submit, self._listen.host, self._listen.port):
            loop = asyncio.get_running_loop()
            due = loop.time()
            while True:
                await asyncio.sleep(due - loop.time())
                due = max(due + self.state.parameters.block_seconds, loop.time())
                try:
                    observation = await self._source.observe(self.state.l2_height)
                except NotFinalError as error:
                    self._logger.warning("no height can be made", reason=str(error))
                    continue
                await self._propose(observation)

    async def _propose(self, observation: Observation) -> None:
        before = self.state
        now = Seconds(max(before.time, int(self._clock())))
        given = Input(Height(before.height + 1), now, observation, admissible(before, list(self._pending)))
        try:
            after = await self._replica.computed(lambda state: apply(state, given))
        except InvalidInputError as error:
            raise ConsensusError(f"the EVM chain's view of this node cannot be followed: {error}") from None
        block = await asyncio.to_thread(sign, before, given, after, self._secret)
        await self._replica.commit(block, after)
        self._pending = {each: None for each in self._pending if objection(after, each) is None}


class SoloFollower:
    """One of the others. A `Consensus`."""

    def __init__(
        self,
        store: BlockStore,
        parameters: Parameters,
        sequencer: PublicKey,
        urls: Sequence[str],
        *,
        source: Observer | None = None,
        listen: Listen | None = None,
        snapshot_every: int = 360,
    ) -> None:
        """Continues what is in `store`, asking the feeds at `urls` by turns.

        With a `source`, events are compared with this node's own view. With `listen`, others may follow this node.
        """
        self._store, self._parameters, self._sequencer = store, parameters, sequencer
        self._replica = Replica(store, snapshot_every)
        self._urls, self._source, self._listen = list(urls), source, listen
        self._logger = log.get("consensus")

    @property
    def state(self) -> State:
        """The last state."""
        return self._replica.state

    def __aiter__(self) -> AsyncIterator[State]:
        return aiter(self._replica.states)

    async def submit(self, certificate: Certificate) -> None:
        """Hands a certificate to the first feed that answers; raises `CertificateRefusedError`."""
        reasons = []
        async with aiohttp.ClientSession() as session:
            for url in self._urls:
                try:
                    return await Feed(session, url).submit(certificate)
                except FeedError as error:
                    reasons.append(str(error))
        # Whose certificate it is may be a stranger.
        self._logger.warning("a certificate could not be handed on", reasons=reasons)
        raise CertificateRefusedError("no feed can be reached; try again later")

    async def run(self) -> None:
        """Follows until cancelled; raises `DivergedError`."""
        if self._listen is None:
            await self._follow()
        else:
            from allium.consensus.feed_server import serving

            async with serving(self._replica, self.submit, self._listen.host, self._listen.port):
                await self._follow()

    async def _follow(self) -> None:
        pause, turn = _RETRY_SECONDS, 0
        async with aiohttp.ClientSession() as session:
            while True:
                feed = Feed(session, self._urls[turn % len(self._urls)])
                try:
                    if self.state.height == 0:
                        await self._begin(feed)
                    if not (blocks := await feed.blocks(self.state.height, WAIT_SECONDS)):
                        turn += 1  # it may have stopped itself
                    for encoded in blocks:
                        await self._take(encoded)
                        pause = _RETRY_SECONDS
                except FeedError as error:
                    self._logger.warning("the feed gives nothing, another try follows", reason=str(error), url=feed.url)
                    turn += 1
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, _MAX_RETRY_SECONDS)

    async def _begin(self, feed: Feed) -> None:
        """Starts from a snapshot, if there is one, in place of all the heights before it."""
        if (offered := await feed.snapshot()) is None:
            return
        block, snapshot = offered
        state = await asyncio.to_thread(confirmed, snapshot, block, self._parameters, self._sequencer)
        if state is None:
            raise FeedError("its snapshot is not what the sequencer signed")
        await self._replica.adopt(decode(Block, block), state)
        self._logger.info("begins at a snapshot", height=state.height)

    async def _take(self, encoded: bytes) -> None:
        before = self.state
        try:
            block = decode(Block, encoded)
        except EncodingError as error:
            raise FeedError(f"no block: {error}") from None
        if not block.is_signed(before.parameters.chain, self._sequencer):
            raise FeedError("a block that the sequencer did not sign")
        given = block.given
        if given.height != before.height + 1:
            raise FeedError(f"height {given.height} after height {before.height}")
        if block.previous != before.root:
            raise DivergedError(
                f"height {before.height} has root {before.root.hex()} here, and the sequencer goes on from "
                f"{block.previous.hex()}: it signed two histories, or this node's store is not its own"
            )
        if given.offenders:
            raise DivergedError(
                f"height {given.height}: the sequencer takes out nodes that voted, and nobody votes here"
            )
        if self._source is not None:
            await self._compare(self._source, before, given)
        try:
            after = await self._replica.computed(lambda state: apply(state, given))
        except InvalidInputError as error:
            raise DivergedError(f"the sequencer signed an input that may not follow: {error}") from None
        if after.root != block.root:
            raise DivergedError(
                f"height {after.height} has root {after.root.hex()} here, and the sequencer signed {block.root.hex()}: "
                f"their versions compute differently; this node follows no further"
            )
        await self._replica.commit(block, after)

    async def _compare(self, source: Observer, before: State, given: Input) -> None:
        """Returns once this node sees the same on the EVM chain."""
        while True:
            try:
                seen = await source.observe(before.l2_height, given.observation.l2_height)
            except NotFinalError as error:
                self._logger.warning("waits for its own view of the EVM chain", height=given.height, reason=str(error))
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            if seen != given.observation:
                raise DivergedError(
                    f"height {given.height}: the sequencer's view of the EVM chain is not what this node sees there"
                )
            return
