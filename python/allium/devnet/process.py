"""Processes that outlive the command that starts them: readiness, identity, end."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from allium.devnet.layout import DevnetError

_LOG_LINES = 15


@dataclass(frozen=True)
class Command:
    """A process to start: what to call it, what to run, where its output goes."""

    name: str
    arguments: Sequence[str]
    log: Path
    pass_fds: Sequence[int] = field(default=())


def start(
    commands: Sequence[Command], timeout: float, on_ready: Callable[[Command], None] = lambda _: None
) -> list[int]:
    """Starts all at once and returns their pids when every one has said that it is ready (`sd_notify`, READY=1).

    One that ends instead, or says nothing within `timeout` seconds, raises `DevnetError` with the end of its log; the
    others are then ended too.
    """
    processes: list[subprocess.Popen[bytes]] = []
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        stack.callback(_let_go, processes)
        try:
            for command in commands:
                listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
                listener.bind("")  # the kernel chooses an abstract name
                processes.append(_spawn(command, listener))
                selector.register(listener, selectors.EVENT_READ, (command, processes[-1], listener))
                ended = os.pidfd_open(processes[-1].pid)
                stack.callback(os.close, ended)
                selector.register(ended, selectors.EVENT_READ, (command, processes[-1], None))
            _await_ready(selector, len(commands), timeout, on_ready)
        except BaseException:
            stop([process.pid for process in processes], timeout=0)
            raise
        return [process.pid for process in processes]


def _let_go(processes: list[subprocess.Popen[bytes]]) -> None:
    """Tells Python that nobody here waits for these any more: they outlive us."""
    for process in processes:
        process.returncode = 0


def _spawn(command: Command, listener: socket.socket) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "NOTIFY_SOCKET": "@" + listener.getsockname()[1:].decode()}
    with command.log.open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - our own interpreter
            command.arguments,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=command.pass_fds,
            env=environment,
        )


def _await_ready(
    selector: selectors.BaseSelector, waiting: int, timeout: float, on_ready: Callable[[Command], None]
) -> None:
    deadline = time.monotonic() + timeout
    while waiting:
        events = selector.select(max(0.0, deadline - time.monotonic()))
        if not events:
            late = sorted({key.data[0].name for key in selector.get_map().values() if key.data[2] is not None})
            raise DevnetError(f"{', '.join(late)}: not ready within {timeout:.0f} s; look into the logs")
        for key, _ in events:
            command, process, listener = key.data
            if listener is None:
                raise DevnetError(f"{command.name} ended with code {process.wait()}:\n{tail(command.log)}")
            if b"READY=1" in listener.recv(4096).split(b"\n"):
                selector.unregister(listener)
                waiting -= 1
                on_ready(command)


def tail(log: Path) -> str:
    """The last lines of a log."""
    with suppress(OSError):
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:])
    return f"({log} cannot be read)"


def is_running(pid: int, argument: str) -> bool:
    """Whether `pid` is still the process that was started with `argument`, and not a later one of the same number."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return argument.encode() in arguments


def resident_bytes(pid: int) -> int | None:
    """Resident memory of a process; `None` when it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return None


def kill(pid: int) -> None:
    """Ends a process and those that it started, as a power cut would, and returns when it is gone."""
    stop([pid], timeout=0)


def signal_all(pid: int, number: signal.Signals) -> None:
    """To a process that `start` started and those that it started itself, which are its group."""
    with suppress(ProcessLookupError):
        os.killpg(pid, number)


def stop(pids: Sequence[int], timeout: float) -> None:
    """SIGTERM to all, SIGKILL to those still there after `timeout` seconds (0: at once); returns when all are gone."""
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for pid in pids:
            with suppress(ProcessLookupError):
                descriptor = os.pidfd_open(pid)
                stack.callback(os.close, descriptor)
                selector.register(descriptor, selectors.EVENT_READ, pid)
        if timeout > 0:
            _signal(selector, signal.SIGTERM)
            _await_end(selector, timeout)
        for key in list(selector.get_map().values()):
            # A stranger's group is left alone; one that has just ended has none.
            with suppress(ProcessLookupError):
                if os.getpgid(key.data) == key.data:
                    signal_all(key.data, signal.SIGKILL)
        _signal(selector, signal.SIGKILL)
        _await_end(selector, None)


def _signal(selector: selectors.BaseSelector, number: signal.Signals) -> None:
    for key in list(selector.get_map().values()):
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(key.fd, number)


def _await_end(selector: selectors.BaseSelector, timeout: float | None) -> None:
    deadline = None if timeout is None else time.monotonic() + timeout
    while selector.get_map():
        events = selector.select(None if deadline is None else max(0.0, deadline - time.monotonic()))
        if not events:
            return
        for key, _ in events:
            selector.unregister(key.fd)
            with suppress(ChildProcessError):
                os.waitpid(key.data, os.WNOHANG)
