"""The engine of agreement of many machines: a `Consensus` by CometBFT."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from allium._native import verify_ed25519
from allium.appchain.admission import objection
from allium.appchain.certificates import Certificate
from allium.appchain.encoding import encode
from allium.appchain.parameters import Parameters
from allium.appchain.state import State, genesis
from allium.appchain.types import Height
from allium.base import log
from allium.consensus import CertificateRefusedError, Observer
from allium.consensus.chainfile import Beginning, ChainFile
from allium.consensus.cometbft import abci, home, rpc
from allium.consensus.cometbft.application import Application
from allium.consensus.cometbft.committee import drawn_again
from allium.consensus.cometbft.home import Place, Settings, Trust
from allium.consensus.cometbft.peers import Peers, name
from allium.consensus.cometbft.process import CometBFTProcess, find
from allium.consensus.cometbft.signer import VoteSigner
from allium.consensus.cometbft.store import CometBFTStore, Standing
from allium.errors import ConsensusError, DivergedError, NotFinalError

STORE_FILE = "cometbft.sqlite"
DIRECTORY = "cometbft"
_RETRY_SECONDS = 0.5
_SNAPSHOT_EVERY = 360
#: For how many heights' time, and how long at least, there may be none before CometBFT is started anew; the longest
#: pause up to the next time.
_STALL_HEIGHTS, _STALL_SECONDS, _LONGEST_STALL_SECONDS = 10, 30.0, 3600.0


@dataclass(frozen=True)
class CometBFTOptions:
    """How one node runs CometBFT."""

    listen: Place
    rpc: Place
    #: `None`: wherever it is found.
    binary: Path | None = None
    sync: Sequence[str] = ()
    trust: Trust | None = None
    #: All are on one machine.
    private: bool = False


@dataclass(frozen=True)
class CometBFTStatus:
    """What an operator wants to know."""

    height: int
    #: Whether this node is in the committee, and how many are.
    votes: bool
    committee: int
    #: Of CometBFT, while it runs.
    pid: int | None

    def __str__(self) -> str:
        part = "votes in" if self.votes else "follows"
        process = "CometBFT is down" if self.pid is None else f"CometBFT is process {self.pid}"
        return f"height {self.height}, {part} a committee of {self.committee}, {process}"


class CometBFT:
    """One node's part in the agreement. A `Consensus`."""

    def __init__(
        self,
        store: CometBFTStore,
        parameters: Parameters,
        beginning: Beginning,
        settings: Settings,
        binary: Path,
        *,
        source: Observer | None = None,
        snapshot_every: int = _SNAPSHOT_EVERY,
        stall_seconds: float | None = None,
    ) -> None:
        """Continues what is in `store`; raises `ConsensusError` when that is not on the way that `beginning` says.

        Without a `source` the node computes what the committee decides and can vote for nothing new. `stall_seconds`:
        for how long there may be no new height before CometBFT is started anew; `None`: by the time between heights.
        """
        self._settings, self._parameters, self._beginning, self._binary = settings, parameters, beginning, binary
        self._store, self._source = store, source
        by_heights = max(_STALL_SECONDS, _STALL_HEIGHTS * parameters.block_seconds)
        self._stall_seconds = by_heights if stall_seconds is None else stall_seconds
        standing = store.load(Standing(genesis(parameters, verifier=verify_ed25519), beginning.keys))
        self._standing = standing = _on_the_way(store, standing, beginning, settings)
        # Before the node serves with the state that it has: somebody has to do something first.
        home.check(settings, parameters, beginning, standing.state.height, store.path)
        self._application = Application(
            store,
            standing,
            Height(beginning.height),
            source,
            Peers((peer.key for peer in settings.peers), (peer.place.host for peer in settings.peers)),
            patience=home.timeout(parameters),
            snapshot_every=snapshot_every,
            retain=home.RETAIN_DAYS * parameters.day,
        )
        self._process = CometBFTProcess(binary, settings.directory, home.node_key(settings.secret))
        self._logger = log.get("consensus")

    @property
    def state(self) -> State:
        """The last state."""
        return self._application.states.last

    @property
    def status(self) -> CometBFTStatus:
        """How far it is, and in which part."""
        committee = self._application.committee
        votes = self._settings.secret[32:] in committee
        return CometBFTStatus(self.state.height, votes, len(committee), self._process.pid)

    def __aiter__(self) -> AsyncIterator[State]:
        return aiter(self._application.states)

    async def submit(self, certificate: Certificate) -> None:
        """Gives a certificate to CometBFT, which tells all others; raises `CertificateRefusedError`."""
        if (why := objection(self.state, certificate)) is not None:
            raise CertificateRefusedError(why)
        try:
            why = await rpc.broadcast(f"http://{self._settings.rpc}/", encode(certificate))
        except rpc.RpcError as error:
            if "tx already exists in cache" in str(error):
                return
            raise CertificateRefusedError(f"CometBFT does not take it: {error}; try again later") from None
        if why is not None:
            raise CertificateRefusedError(why)

    def cut_off(self, keys: Collection[bytes]) -> None:
        """Lets CometBFT speak no more to the nodes with these Ed25519 keys, as if the network were cut there."""
        shunned = frozenset(map(name, keys))
        if shunned != self._application.peers.shunned:
            self._application.peers.shunned = shunned
            self._process.restart()

    async def run(self) -> None:
        """Takes part until cancelled; raises `ConsensusError`."""
        settings = await self._with_trust()
        home.prepare(settings, self._parameters, self._beginning)
        signer = VoteSigner(settings.directory, settings.secret, home.chain_id(self._parameters, self._beginning))
        async with abci.serving(self._settings.directory, self._application.answer):
            process = asyncio.create_task(self._process.run(), name="CometBFT")
            tasks = {
                process,
                asyncio.create_task(signer.run(), name="signer"),
                asyncio.create_task(self._look_again(), name="looking again"),
                asyncio.create_task(self._keep_going(begun=settings.trust is None), name="keeping it going"),
                asyncio.create_task(self._fatal(), name="fatal"),
            }
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for ended in done:
                    ended.result()
            finally:
                # It does not end while what it asks stays without an answer.
                process.cancel()
                await asyncio.gather(process, return_exceptions=True)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _fatal(self) -> None:
        raise await asyncio.shield(self._application.fatal)

    async def _keep_going(self, begun: bool) -> None:
        """Starts CometBFT anew when there has been no new height for long.

        It asks for each signature once, and tells each other node of each vote once: where every vote counts, one that
        was lost on either way stops the network for good. What fails in its agreement ends that, but not the process.
        A new one takes up its log, signs what is not signed, and tells all of it to everybody. When nothing comes of
        that, others are missing, and the next time is later. `begun`: it does not fetch a snapshot first.
        """
        states = self._application.states
        if not begun:
            await states.reached(self._standing.state.height, None)
        pause = self._stall_seconds
        while True:
            height = self.state.height
            # Not all of them at the same time.
            await states.reached(height, pause * random.uniform(1, 1.5))  # noqa: S311 - nothing depends on it
            if self.state.height > height:
                pause = self._stall_seconds
                continue
            where = await rpc.standing(f"http://{self._settings.rpc}/")
            self._logger.warning("there is no new height, CometBFT is started anew", height=height, where=where)
            self._process.restart()
            pause = min(2 * pause, max(_LONGEST_STALL_SECONDS, self._stall_seconds))

    async def _look_again(self) -> None:
        """Compares with the own view what was put in before this node could."""
        while True:
            after, said = await self._application.unseen.get()
            while self._source is not None:
                try:
                    seen = await self._source.observe(after, said.l2_height)
                except NotFinalError as error:
                    self._logger.warning("waits for its own view of the EVM chain", reason=str(error))
                    await asyncio.sleep(_RETRY_SECONDS)
                    continue
                if seen != said:
                    raise DivergedError(
                        f"the committee's view of the EVM chain up to {said.l2_height} is not what this node sees "
                        f"there; if its l2_rpc is not to blame, the committee is"
                    )
                break

    async def _with_trust(self) -> Settings:
        """The settings, for a node that is to begin at a snapshot with what to trust."""
        settings = self._settings
        if not settings.sync or self._standing.state.height > self._beginning.height:
            return replace(settings, trust=None)
        home.forget(settings.directory, but_signatures=True)
        return settings if settings.trust is not None else replace(settings, trust=await _newest(settings.sync))


def open_cometbft(
    chain: ChainFile, network_file: Path, data_dir: Path, secret: bytes, source: Observer | None, part: CometBFTOptions
) -> CometBFT:
    """The engine by a chain file that asks for CometBFT; `secret` is the node's. Raises `ConsensusError`."""
    if chain.cometbft is None:
        raise ConsensusError("the chain file does not ask for CometBFT")
    peers = home.read_peers(network_file)
    settings = Settings(
        data_dir / DIRECTORY,
        secret,
        part.listen,
        part.rpc,
        peers,
        external=next((peer.place for peer in peers if peer.key == secret[32:]), None),
        sync=part.sync,
        trust=part.trust,
        private=part.private,
    )
    binary = find(part.binary)
    store = CometBFTStore(data_dir / STORE_FILE, chain.parameters)
    return CometBFT(store, chain.parameters, chain.cometbft, settings, binary, source=source)


def _on_the_way(store: CometBFTStore, standing: Standing, beginning: Beginning, settings: Settings) -> Standing:
    state = standing.state
    if beginning.height == 0 or state.height > beginning.height:
        return standing
    if state.height == 0 and settings.sync:
        return standing
    if state.height < beginning.height:
        raise ConsensusError(
            f"the network goes on after height {beginning.height}, and this node has {state.height}; let it catch up "
            f"by the chain file before, or give it cometbft_sync and move {store.path} away"
        )
    if state.root.hex() != beginning.root:
        raise DivergedError(f"the network goes on from root {beginning.root}, and this node has {state.root.hex()}")
    if drawn_again(state, beginning.attempt) != beginning.keys:
        raise ConsensusError(f"the committee is not the one of attempt {beginning.attempt}")
    if standing.committee != beginning.keys:
        standing = Standing(state, beginning.keys)
        store.rebase(standing)
    return standing


async def _newest(urls: Collection[str]) -> Trust | None:
    """What all of `urls` say is the newest header; `None` when there is no snapshot to be had yet."""
    heights, headers = [], set()
    try:
        for url in urls:
            status = await rpc.call(url, "status")
            heights.append(int(status["sync_info"]["latest_block_height"]))
        for url in urls:
            commit = await rpc.call(url, "commit", height=str(min(heights)))
            headers.add(str(commit["signed_header"]["commit"]["block_id"]["hash"]))
    except (rpc.RpcError, KeyError, ValueError, TypeError) as error:
        raise ConsensusError(f"cometbft_sync: {error}; set it to nodes that answer") from None
    if len(headers) != 1:
        raise ConsensusError(
            f"cometbft_sync: they disagree about height {min(heights)}; set cometbft_trust to the right"
        )
    return Trust(min(heights), headers.pop())
