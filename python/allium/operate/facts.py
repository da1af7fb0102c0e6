"""What a running node knows of itself at one moment: what metrics show, and what its health is judged by."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from allium.appchain.claims import claimable
from allium.appchain.nodes import Leaving
from allium.appchain.state import State
from allium.appchain.types import PublicKey
from allium.appchain.verdicts import Reason
from allium.base.files import STORE, STORE_LOG
from allium.liveness.clocks import Clocks
from allium.liveness.history import FILE as HISTORY
from allium.settings.config import NodeConfig
from allium.settings.keys import NodeKeys

if TYPE_CHECKING:
    from allium._native import Node as Engine
    from allium._native import NodeMetrics
    from allium.consensus import Consensus
    from allium.consensus.cometbft.engine import CometBFT
    from allium.liveness.service import Liveness
    from allium.membership.daemon import Daemon
    from allium.membership.oxend import OxendMembership
    from allium.staking.provider_quorum import ProviderQuorum

#: What a node's directory may have beside what is in it always.
_FILES = (STORE, *STORE_LOG, "appchain.sqlite", "cometbft.sqlite", HISTORY, "node.log")
_COMETBFT = "cometbft"
_COMETBFT_SECONDS = 2.0
_NO_REASON = Reason(0)


@dataclass(frozen=True)
class DiskFacts:
    """Where the messages are. Bytes."""

    size: int
    free: int
    #: By name; CometBFT's directory is one.
    files: Mapping[str, int]

    @classmethod
    def of(cls, directory: Path) -> DiskFacts:
        """What the file system says now."""
        held = os.statvfs(directory)
        sizes = {name: path.stat().st_size for name in _FILES if (path := directory / name).is_file()}
        if (home := directory / _COMETBFT).is_dir():
            sizes[_COMETBFT] = _tree(home)
        return cls(held.f_blocks * held.f_frsize, held.f_bavail * held.f_frsize, sizes)


@dataclass(frozen=True)
class ProcessFacts:
    """The process, as the system counts it."""

    open_files: int
    max_files: int

    @classmethod
    def own(cls) -> ProcessFacts:
        """The one that asks."""
        return cls(len(os.listdir("/proc/self/fd")), resource.getrlimit(resource.RLIMIT_NOFILE)[0])  # noqa: PTH208


@dataclass(frozen=True)
class DaemonFacts:
    """The network's daemon, as this node sees it."""

    connected: bool
    #: Whether it runs for another node than this one.
    other_keys: bool = False
    #: Why it did not take the last ping.
    refusal: str | None = None
    #: Whether its list has this node without the keys that others would have to know.
    keyless: bool = False

    @property
    def explains_absence(self) -> bool:
        """Whether it is the reason for which the node is in no swarm."""
        return self.other_keys or self.keyless


@dataclass(frozen=True)
class ThreadFacts:
    """A thread, or a task, that others depend on."""

    name: str
    #: Seconds without a sign of life; 0 while it is well.
    stalled: int
    ended: bool


@dataclass(frozen=True)
class ProviderFacts:
    """A provider of the EVM chain, known by its place in `l2_rpc`."""

    number: int
    trouble: str | None
    #: `None` while it has not said.
    final: int | None


@dataclass(frozen=True)
class StakeFacts:
    """What the chain has of this node. Amounts are atomic SESH, durations blocks."""

    registered: bool
    decommissioned: bool = False
    #: Why, as some of those said who voted it down.
    reasons: Reason = _NO_REASON
    #: Why the contract still holds a node that is not registered.
    left: str | None = None
    staked: int = 0
    requirement: int = 0
    credit: int = 0
    #: All that the operator ever earned, claimed or not; other nodes of the same operator included.
    earned: int = 0
    unlock_height: int = 0
    is_payable: bool = False

    @classmethod
    def of(cls, state: State, own: PublicKey) -> StakeFacts:
        """What the state says."""
        node = state.nodes.get(own)
        if node is None:
            gone = next((gone for gone in state.departed.values() if gone.pubkey == own), None)
            if gone is None:
                return cls(registered=False)
            left = gone.refusal.text if gone.leaving is Leaving.REFUSED else gone.leaving.name.lower()
            return cls(registered=False, left=left)
        return cls(
            registered=True,
            decommissioned=node.decommissioned,
            reasons=Reason(node.reasons_any) if node.decommissioned else _NO_REASON,
            staked=node.requirement,
            requirement=state.requirement,
            credit=node.credit(state.height, state.parameters),
            earned=claimable(state, node.operator),
            unlock_height=node.unlock_height,
            is_payable=node.is_payable(state.height, state.parameters),
        )


@dataclass(frozen=True)
class CommitteeFacts:
    """CometBFT, and who votes."""

    running: bool
    votes: bool
    members: int
    #: What its RPC says; `None` when it does not answer.
    height: int | None = None
    catching_up: bool | None = None
    peers: int | None = None


@dataclass(frozen=True)
class ChainFacts:
    """The replicated state as this node has it."""

    height: int
    #: Seconds since the time of the last height, and how far apart heights are meant to be.
    lag: float
    block_seconds: int
    l2_height: int
    members: int
    stake: StakeFacts
    #: When this node last proved to the others that it is there, in Unix time; 0 for never. And how long that holds.
    proven: float = 0.0
    proof_validity: float = 0.0
    providers: tuple[ProviderFacts, ...] = ()
    #: How many of them have to agree.
    quorum: int = 0
    committee: CommitteeFacts | None = None


@dataclass(frozen=True)
class Facts:
    """All of it."""

    version: str
    pid: int
    #: Unix time.
    started: float
    now: float
    #: Whether there ever was a network, and why requests are refused.
    has_network: bool
    not_ready: str | None
    engine: NodeMetrics
    #: When somebody last tested whether this node is reached, by transport; 0 for never.
    pinged: Mapping[str, int]
    #: Seconds without a test after which something is wrong.
    silence: float
    disk: DiskFacts
    process: ProcessFacts
    threads: tuple[ThreadFacts, ...]
    #: Whether metrics are served, where they should be; `None` where not.
    metrics_trouble: str | None
    #: `None` without a chain of our own.
    chain: ChainFacts | None = None
    #: `None` without one.
    daemon: DaemonFacts | None = None
    #: Seconds that the node's clock is ahead of most others'; `None` while too few have said.
    clock_ahead: float | None = None


class ChainPart(Protocol):
    """A node's part in the appchain, as its facts are gathered from it."""

    @property
    def consensus(self) -> Consensus:
        """The engine of agreement."""
        ...

    @property
    def liveness(self) -> Liveness:
        """What it knows of other nodes, and of itself."""
        ...

    @property
    def cometbft(self) -> CometBFT | None:
        """The engine of agreement, where many machines order the inputs."""
        ...

    @property
    def providers(self) -> ProviderQuorum | None:
        """Who is asked for the EVM chain; `None` when the node does not look there."""
        ...


@dataclass
class FactSource:
    """Gathers them. What it is made of is the node's."""

    config: NodeConfig
    engine: Engine
    own: PublicKey
    #: What the node has when it takes part in the appchain.
    chain: ChainPart | None
    daemon: Daemon | None
    #: The list that the daemon gives.
    oxend: OxendMembership | None
    #: Whether there is a network in force.
    has_network: Callable[[], bool]
    started: float = field(default_factory=time.time)
    metrics_trouble: str | None = None
    #: Of the node, where a daemon gave them.
    own_keys: NodeKeys | None = None

    async def gather(self) -> Facts:
        """What is so now; `OSError` when the store cannot be read."""
        from allium import __version__
        from allium.liveness.reachability import SILENCE

        disk, engine = await asyncio.to_thread(lambda: (DiskFacts.of(self.config.data_dir), self.engine.metrics()))
        return Facts(
            version=__version__,
            pid=os.getpid(),
            started=self.started,
            now=self.engine.time(),
            has_network=self.has_network(),
            not_ready=self.engine.not_ready(),
            engine=engine,
            pinged=self.engine.pinged(),
            silence=SILENCE * self.config.reachability_seconds,
            disk=disk,
            process=ProcessFacts.own(),
            threads=tuple(ThreadFacts(*told) for told in self.engine.threads()),
            metrics_trouble=self.metrics_trouble,
            chain=await self._chain(),
            daemon=self._daemon(),
            clock_ahead=self.engine.clock_ahead(),
        )

    def _daemon(self) -> DaemonFacts | None:
        if self.daemon is None or self.own_keys is None:
            return None
        given = self.daemon.legacy_public
        return DaemonFacts(
            connected=self.daemon.connected,
            other_keys=given is not None and given != self.own_keys.legacy_public,
            refusal=self.daemon.refusal,
            keyless=self.oxend is not None and self.own_keys.legacy_public.hex() in self.oxend.keyless,
        )

    async def _chain(self) -> ChainFacts | None:
        if self.chain is None:
            return None
        state = self.chain.consensus.state
        providers, quorum = _provider_facts(self.chain.providers)
        return ChainFacts(
            height=state.height,
            lag=max(0.0, self.engine.time() - state.time) if state.height else 0.0,
            block_seconds=state.parameters.block_seconds,
            l2_height=state.l2_height,
            members=len(state.nodes),
            stake=StakeFacts.of(state, self.own),
            proven=_proven(self.chain.liveness, self.own),
            proof_validity=Clocks.of(self.config.uptime_seconds).limits.proof_validity,
            providers=providers,
            quorum=quorum,
            committee=await self._committee(self.chain.cometbft),
        )

    async def _committee(self, cometbft: CometBFT | None) -> CommitteeFacts | None:
        if cometbft is None:
            return None
        status = cometbft.status
        committee = CommitteeFacts(status.pid is not None, status.votes, status.committee)
        if status.pid is None:
            return committee
        told = await _ask_cometbft(f"http://{self.config.cometbft_rpc}/")
        return committee if told is None else CommitteeFacts(True, status.votes, status.committee, *told)


def _proven(liveness: Liveness, own: PublicKey) -> float:
    last = liveness.records.last(own)
    return 0.0 if last is None else float(last.proof.uptime.time)


def _provider_facts(asked: ProviderQuorum | None) -> tuple[tuple[ProviderFacts, ...], int]:
    if asked is None:
        return (), 0
    told = (
        ProviderFacts(number, provider.trouble, provider.final if provider.final >= 0 else None)
        for number, provider in enumerate(asked.providers)
    )
    return tuple(told), asked.quorum


async def _ask_cometbft(url: str) -> tuple[int, bool, int] | None:
    """Its height, whether it catches up, and its peers; `None` without an answer that makes sense."""
    from allium.consensus.cometbft import rpc

    calls = (rpc.call(url, method, seconds=_COMETBFT_SECONDS) for method in ("status", "net_info"))
    try:
        status, network = await asyncio.gather(*calls)
        told: Any = status["sync_info"]
        return int(told["latest_block_height"]), bool(told["catching_up"]), int(network["n_peers"])
    except (rpc.RpcError, KeyError, ValueError, TypeError):
        return None


def _tree(directory: Path) -> int:
    size = 0
    for root, _, names in os.walk(directory):
        for name in names:
            try:
                size += (Path(root) / name).stat().st_size
            except OSError:
                continue  # it went while we looked
    return size
