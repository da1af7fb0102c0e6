"""What a running node knows of itself at one moment: what metrics show, and what its health is judged by."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allium.appchain.claims import claimable
from allium.appchain.nodes import Leaving
from allium.appchain.state import State
from allium.appchain.types import PublicKey
from allium.appchain.verdicts import Reason
from allium.config import NodeConfig
from allium.consensus.liveness.clocks import Clocks
from allium.consensus.liveness.history import FILE as HISTORY
from allium.files import STORE, STORE_LOG
from allium.keys import NodeKeys
from allium.membership import Membership
from allium.membership.appchain import AppchainMembership
from allium.membership.daemon import Daemon as DaemonConnection
from allium.membership.oxend import OxendMembership

if TYPE_CHECKING:
    from allium._native import Node as Engine
    from allium._native import NodeMetrics
    from allium.consensus.liveness.part import Liveness

#: What a node's directory may have beside what is in it always.
_FILES = (STORE, *STORE_LOG, "appchain.sqlite", "cometbft.sqlite", HISTORY, "node.log")
_COMETBFT = "cometbft"
_COMETBFT_SECONDS = 2.0
_NO_REASON = Reason(0)


@dataclass(frozen=True)
class Disk:
    """Where the messages are. Bytes."""

    size: int
    free: int
    #: By name; CometBFT's directory is one.
    files: Mapping[str, int]

    @classmethod
    def of(cls, directory: Path) -> Disk:
        """What the file system says now."""
        held = os.statvfs(directory)
        sizes = {name: path.stat().st_size for name in _FILES if (path := directory / name).is_file()}
        if (home := directory / _COMETBFT).is_dir():
            sizes[_COMETBFT] = _tree(home)
        return cls(held.f_blocks * held.f_frsize, held.f_bavail * held.f_frsize, sizes)


@dataclass(frozen=True)
class Process:
    """The process, as the system counts it."""

    open_files: int
    max_files: int

    @classmethod
    def own(cls) -> Process:
        """The one that asks."""
        return cls(len(os.listdir("/proc/self/fd")), resource.getrlimit(resource.RLIMIT_NOFILE)[0])  # noqa: PTH208


@dataclass(frozen=True)
class Daemon:
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
class Thread:
    """A thread, or a task, that others depend on."""

    name: str
    #: Seconds without a sign of life; 0 while it is well.
    stalled: int
    ended: bool


@dataclass(frozen=True)
class Provider:
    """A provider of the EVM chain, known by its place in `l2_rpc`."""

    number: int
    trouble: str | None
    #: `None` while it has not said.
    final: int | None


@dataclass(frozen=True)
class Stake:
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
    def of(cls, state: State, own: PublicKey) -> Stake:
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
class Committee:
    """CometBFT, and who votes."""

    running: bool
    votes: bool
    members: int
    #: What its RPC says; `None` when it does not answer.
    height: int | None = None
    catching_up: bool | None = None
    peers: int | None = None


@dataclass(frozen=True)
class Chain:
    """The replicated state as this node has it."""

    height: int
    #: Seconds since the time of the last height, and how far apart heights are meant to be.
    lag: float
    block_seconds: int
    l2_height: int
    members: int
    stake: Stake
    #: When this node last proved to the others that it is there, in Unix time; 0 for never. And how long that holds.
    proven: float = 0.0
    proof_validity: float = 0.0
    providers: tuple[Provider, ...] = ()
    #: How many of them have to agree.
    quorum: int = 0
    committee: Committee | None = None


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
    disk: Disk
    process: Process
    threads: tuple[Thread, ...]
    #: Whether metrics are served, where they should be; `None` where not.
    metrics_trouble: str | None
    #: `None` without a chain of our own.
    chain: Chain | None = None
    #: `None` without one.
    daemon: Daemon | None = None
    #: Seconds that the node's clock is ahead of most others'; `None` while too few have said.
    clock_ahead: float | None = None


@dataclass
class Source:
    """Gathers them. What it is made of is the node's."""

    config: NodeConfig
    engine: Engine
    own: PublicKey
    membership: Membership | None
    daemon: DaemonConnection | None
    liveness: Liveness | None
    #: Whether there is a network in force.
    has_network: Callable[[], bool]
    started: float = field(default_factory=time.time)
    metrics_trouble: str | None = None
    #: Of the node, where a daemon gave them.
    own_keys: NodeKeys | None = None

    async def gather(self) -> Facts:
        """What is so now; `OSError` when the store cannot be read."""
        from allium import __version__
        from allium.reachability import SILENCE

        disk, engine = await asyncio.to_thread(lambda: (Disk.of(self.config.data_dir), self.engine.metrics()))
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
            process=Process.own(),
            threads=tuple(Thread(*told) for told in self.engine.threads()),
            metrics_trouble=self.metrics_trouble,
            chain=await self._chain(),
            daemon=self._daemon(),
            clock_ahead=self.engine.clock_ahead(),
        )

    def _daemon(self) -> Daemon | None:
        if self.daemon is None or self.own_keys is None:
            return None
        given = self.daemon.legacy_public
        membership = self.membership
        return Daemon(
            connected=self.daemon.connected,
            other_keys=given is not None and given != self.own_keys.legacy_public,
            refusal=self.daemon.refusal,
            keyless=isinstance(membership, OxendMembership) and self.own_keys.legacy_public.hex() in membership.keyless,
        )

    async def _chain(self) -> Chain | None:
        if not isinstance(self.membership, AppchainMembership):
            return None
        state = self.membership.consensus.state
        providers, quorum = self._providers(self.membership)
        return Chain(
            height=state.height,
            lag=max(0.0, self.engine.time() - state.time) if state.height else 0.0,
            block_seconds=state.parameters.block_seconds,
            l2_height=state.l2_height,
            members=len(state.nodes),
            stake=Stake.of(state, self.own),
            proven=self._proven(),
            proof_validity=Clocks.of(self.config.uptime_seconds).limits.proof_validity,
            providers=providers,
            quorum=quorum,
            committee=await self._committee(self.membership),
        )

    def _proven(self) -> float:
        last = None if self.liveness is None else self.liveness.records.last(self.own)
        return 0.0 if last is None else float(last.proof.uptime.time)

    def _providers(self, membership: AppchainMembership) -> tuple[tuple[Provider, ...], int]:
        if not self.config.l2_rpc:
            return (), 0
        from allium.staking.follower import Follower

        if not isinstance(membership.view, Follower):
            return (), 0
        panel = membership.view.panel
        told = (
            Provider(number, provider.trouble, provider.final if provider.final >= 0 else None)
            for number, provider in enumerate(panel.providers)
        )
        return tuple(told), panel.quorum

    async def _committee(self, membership: AppchainMembership) -> Committee | None:
        from allium.consensus.cometbft.engine import CometBFT

        if not isinstance(membership.consensus, CometBFT):
            return None
        status = membership.consensus.status
        committee = Committee(status.pid is not None, status.votes, status.committee)
        if status.pid is None:
            return committee
        told = await _ask_cometbft(f"http://{self.config.cometbft_rpc}/")
        return committee if told is None else Committee(True, status.votes, status.committee, *told)


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
