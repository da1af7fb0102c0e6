"""What control groups and the user's limits leave to a node: memory, processor time, threads."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from allium.operate.result import Result, failed, ok, warning

#: A node with an empty store is killed with less, and one that serves many may be with less than the second.
_FEWEST_BYTES, _FEW_BYTES = 192 << 20, 512 << 20
#: Threads of a node beside its workers.
_THREADS = 48
#: What v1 says in place of "no limit", rounded down to pages.
_UNLIMITED = 2**62


@dataclass(frozen=True)
class Quotas:
    """The narrowest limits of a process's control group and all above it; `None` without one."""

    #: Bytes.
    memory: int | None
    #: Cores.
    cores: float | None
    #: Threads and processes that may still be started.
    threads: int | None

    @classmethod
    def of(cls, pid: int | None, root: Path = Path("/")) -> Quotas:
        """Of a process, or of this one."""
        # "0::/system.slice/allium.service", and by version 1: "4:memory:/docker/4711"
        lines = _text(root / "proc" / str(pid or "self") / "cgroup").splitlines()
        groups = {name: path for line in lines for _, names, path in [line.split(":", 2)] for name in names.split(",")}
        memory = [*_numbers(root, groups, "memory", "memory.max", "memory.limit_in_bytes")]
        threads = [
            most - int(_text(place.with_name("pids.current")) or 0)
            for most, place in _numbers(root, groups, "pids", "pids.max", "pids.max")
        ]
        return cls(
            min((most for most, _ in memory if most < _UNLIMITED), default=None),
            min(_cores(root, groups), default=None),
            min(threads, default=None),
        )


def memory(quotas: Quotas) -> Result:
    """Whether a node has room."""
    if quotas.memory is None or quotas.memory >= _FEW_BYTES:
        return ok("memory", "no quota is in the way")
    told = f"the control group lets it have {quotas.memory >> 20} MiB"
    remedy = f"raise MemoryMax= in the unit, or the container's memory, to {_FEW_BYTES >> 20} MiB at least"
    return (failed if quotas.memory < _FEWEST_BYTES else warning)("memory", told, remedy)


def processor(quotas: Quotas, workers: int) -> Result:
    """Whether the workers can all run."""
    if quotas.cores is None or quotas.cores >= workers:
        return ok("processor", "no quota is in the way")
    told = f"the control group gives it {quotas.cores:g} cores, for {workers} worker_threads"
    fitting = max(1, int(quotas.cores))
    return warning("processor", told, f"set worker_threads = {fitting}, or raise CPUQuota= in the unit (--cpus)")


def threads(quotas: Quotas, workers: int, running: bool) -> Result:
    """Whether a node may start as many threads as it needs."""
    limits = {
        "TasksMax= in the unit, or --pids-limit": quotas.threads,
        "LimitNPROC= in the unit, or ulimit -u": _left(),
    }
    wanted = workers + _THREADS
    for what, left in limits.items():
        if not running and left is not None and left < wanted:
            told = f"{max(0, left)} more threads may be started, and a node needs some {wanted}"
            return failed("limits", told, f"raise {what}")
    return ok("limits", "threads enough may be started")


def _left() -> int | None:
    """What the user's limit leaves; root has none."""
    limit = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    if limit == resource.RLIM_INFINITY or os.geteuid() == 0:
        return None
    used = 0
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if place.stat().st_uid == os.getuid():
                used += len(list((place / "task").iterdir()))
        except OSError:
            continue  # it has ended
    return limit - used


def _cores(root: Path, groups: dict[str, str]) -> Iterator[float]:
    for place in _places(root, groups, "cpu"):
        quota, _, period = _text(place / "cpu.max").partition(" ")
        if not quota:
            quota, period = _text(place / "cpu.cfs_quota_us"), _text(place / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit() and int(period):
            yield int(quota) / int(period)


def _numbers(root: Path, groups: dict[str, str], name: str, file: str, old: str) -> Iterator[tuple[int, Path]]:
    """Each limit there is, and its file."""
    for place in _places(root, groups, name):
        for path in {place / file, place / old}:
            if (text := _text(path)).isdigit():
                yield int(text), path


def _places(root: Path, groups: dict[str, str], name: str) -> Iterator[Path]:
    """The directories of a controller's group and of those above it, by both versions."""
    mounted = root / "sys/fs/cgroup"
    for top, path in ((mounted, groups.get("")), (mounted / name, groups.get(name))):
        if path is not None:
            group = Path(path.lstrip("/"))
            yield from (top / each for each in (group, *group.parents))


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
