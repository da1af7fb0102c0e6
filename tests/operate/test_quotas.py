"""What keeps a node from what it needs is named with its remedy: quotas, file systems, addresses, modes."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from allium.devnet import ports
from allium.operate import machine, quotas
from allium.operate.finding import Level
from allium.operate.quotas import Quotas
from allium.settings import keys
from allium.settings.config import commented_toml
from tests.support.command import NOBODY, allium, root_only


def tree(root: Path, files: dict[str, str]) -> Path:
    """As the kernel shows control groups."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def test_the_narrowest_quota_of_a_group_and_those_above_counts(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/system.slice/allium.service/"
    unified = {
        "proc/7/cgroup": "0::/system.slice/allium.service",
        f"{group}memory.max": "max",
        f"{group}cpu.max": "150000 100000",
        f"{group}pids.max": "64",
        f"{group}pids.current": "60",
        "sys/fs/cgroup/system.slice/memory.max": str(100 << 20),
        "sys/fs/cgroup/system.slice/cpu.max": "max 100000",
        "sys/fs/cgroup/pids.max": "max",
    }
    assert Quotas.of(7, tree(tmp_path / "two", unified)) == Quotas(100 << 20, 1.5, 4)
    split = {
        "proc/7/cgroup": "9:name=systemd:/\n4:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n2:pids:/docker/x\n0::/",
        "sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes": str(1 << 30),
        "sys/fs/cgroup/memory/memory.limit_in_bytes": str(2**63 - 4096),
        "sys/fs/cgroup/cpu/docker/x/cpu.cfs_quota_us": "50000",
        "sys/fs/cgroup/cpu/docker/x/cpu.cfs_period_us": "100000",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
        "sys/fs/cgroup/pids/docker/x/pids.max": "100",
        "sys/fs/cgroup/pids/docker/x/pids.current": "1",
    }
    assert Quotas.of(7, tree(tmp_path / "one", split)) == Quotas(1 << 30, 0.5, 99)
    assert Quotas.of(8, tmp_path) == Quotas(None, None, None)


def test_quotas_are_judged() -> None:
    none = Quotas(None, None, None)
    assert not any(each.remedy for each in (quotas.memory(none), quotas.processor(none, 64)))
    assert quotas.memory(Quotas(64 << 20, None, None)).level is Level.FAILED
    assert "MemoryMax=" in quotas.memory(Quotas(300 << 20, None, None)).remedy
    assert "worker_threads = 1" in quotas.processor(Quotas(None, 0.5, None), 8).remedy
    few = quotas.threads(Quotas(None, None, 5), 8, False)
    assert (few.level, few.found.split()[0]) == (Level.FAILED, "5") and "TasksMax=" in few.remedy
    assert not quotas.threads(Quotas(None, None, 5), 8, True).remedy


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="there is no tmpfs")
def test_a_file_system_that_forgets_is_found() -> None:
    assert machine.file_system(Path("/dev/shm")).level is Level.FAILED


def test_a_kernel_that_holds_too_little_of_udp_is_told_of(tmp_path: Path) -> None:
    assert not machine.socket_buffers(tmp_path).remedy, "a container says nothing of it"
    (tmp_path / "rmem_max").write_text("4194304\n")
    (tmp_path / "wmem_max").write_text("4194304\n")
    assert not machine.socket_buffers(tmp_path).remedy
    (tmp_path / "rmem_max").write_text("212992\n")
    small = machine.socket_buffers(tmp_path)
    assert small.level is Level.WARNING and "rmem_max=4194304" in small.remedy and "wmem_max" not in small.remedy


@contextmanager
def masked(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize(("mask", "level"), [(0o077, "ok"), (0o022, "ok"), (0, "warning"), (0o777, "failed")])
def test_a_mask_that_lets_others_in_or_the_node_out_is_found(mask: int, level: str) -> None:
    with masked(mask):
        assert machine.umask(None).level.value == level
        assert machine.umask(os.getpid()).level.value == level


def configured(directory: Path, **settings: str | int) -> Path:
    """The configuration of a node that was never started."""
    keys.create(directory)
    file = directory / "config.toml"
    (directory / "network.json").write_text('{"nodes": []}')
    file.write_text(commented_toml(data_dir=".", network_file="network.json", **settings))
    return file


#: Of the network for documentation: nobody has it.
ELSEWHERE = "192.0.2.7"


def test_an_address_of_another_machine_is_named(tmp_path: Path) -> None:
    with ports.reserve(3) as [https, omq, metrics]:
        free = {"https_port": https, "omq_port": omq, "metrics_port": metrics}
    file = configured(tmp_path / "node", bind_ip=ELSEWHERE, **free)
    done = allium("doctor", "--config", str(file), "--json")
    [found] = [each for each in json.loads(done.stdout) if each["check"] == "ports"]
    assert found["level"] == "failed" and ELSEWHERE in found["found"] and "set bind_ip" in found["remedy"]
    done = allium("node", "run", "--config", str(file))
    assert done.returncode == 1 and f"{ELSEWHERE}:" in done.stderr and "set bind_ip" in done.stderr


def test_a_port_for_metrics_that_is_taken_is_named(tmp_path: Path) -> None:
    with ports.reserve(2) as [https, omq], socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        metrics = taken.getsockname()[1]
        file = configured(tmp_path / "node", bind_ip="127.0.0.1", https_port=https, omq_port=omq, metrics_port=metrics)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", metrics))
        taken.listen()
        done = allium("doctor", "--config", str(file), "--json")
    [found] = [each for each in json.loads(done.stdout) if each["check"] == "ports"]
    assert found["level"] == "warning" and str(metrics) in found["found"] and "metrics_port" in found["remedy"]


@root_only
def test_few_threads_are_named_and_nothing_aborts(tmp_path: Path) -> None:
    with ports.reserve(3) as [https, omq, metrics]:
        free = {"https_port": https, "omq_port": omq, "metrics_port": metrics}
    file = configured(tmp_path / "node", bind_ip="127.0.0.1", **free)
    temporary = Path(tempfile.gettempdir())
    for place in (tmp_path, *tmp_path.parents):
        if temporary in place.parents:
            place.chmod(0o755)
    for place in (file.parent, *file.parent.iterdir()):
        os.chown(place, NOBODY, NOBODY)
    limit: dict[str, Any] = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_NPROC, (5, 5))}
    done = allium("node", "run", "--config", str(file), uid=NOBODY, **limit)
    assert done.returncode == 1 and "ulimit -u" in done.stderr, done.stderr
    done = allium("doctor", "--config", str(file), "--json", uid=NOBODY, **limit)
    [found] = [each for each in json.loads(done.stdout) if each["check"] == "limits"]
    assert found["level"] == "failed" and "LimitNPROC=" in found["remedy"], found


def test_few_open_files_are_named(tmp_path: Path) -> None:
    with ports.reserve(3) as [https, omq, metrics]:
        free = {"https_port": https, "omq_port": omq, "metrics_port": metrics}
    file = configured(tmp_path / "node", bind_ip="127.0.0.1", **free)
    done = subprocess.run(
        [sys.executable, "-m", "allium", "node", "run", "--config", str(file)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "reason='this process has too many open files" in done.stderr, done.stderr
