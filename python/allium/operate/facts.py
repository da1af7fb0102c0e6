"""What a running node knows of itself at one moment: what metrics show, and what its health is judged by."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from allium.appchain.types import PublicKey
from allium.base.files import STORE, STORE_LOG
from allium.liveness import HISTORY
from allium.liveness.reachability import SILENCE
from allium.settings.config import NodeConfig
from allium.settings.keys import NodeKeys

if TYPE_CHECKING:
    from allium._native import Node as Engine
    from allium._native import NodeMetrics
    from allium.membership.daemon import Daemon
    from allium.membership.oxend import OxendMembership
    from allium.operate.chain_facts import ChainFacts, ChainPart

#: What a node's directory may have beside what is in it always.
_FILES = (STORE, *STORE_LOG, "appchain.sqlite", "cometbft.sqlite", HISTORY, "node.log")
_COMETBFT = "cometbft"


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
class Facts:
    """All of it."""

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
        disk, engine = await asyncio.to_thread(lambda: (DiskFacts.of(self.config.data_dir), self.engine.metrics()))
        return Facts(
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

    async def _chain(self) -> ChainFacts | None:
        if self.chain is None:
            return None
        from allium.operate import chain_facts

        return await chain_facts.gather(self.chain, self.config, self.engine.time(), self.own)

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


def _tree(directory: Path) -> int:
    size = 0
    for root, _, names in os.walk(directory):
        for name in names:
            try:
                size += (Path(root) / name).stat().st_size
            except OSError:
                continue  # it went while we looked
    return size
