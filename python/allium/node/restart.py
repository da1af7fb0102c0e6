"""A node that becomes its successor: the same process, the same listening sockets, the program anew.

The sockets go through the `exec` as systemd hands them to a service (`LISTEN_FDS`, sd_listen_fds(3)), so those of a
`.socket` unit are taken as well. Whoever connects meanwhile waits in the kernel's queue.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from allium.base.pidfile import serving

#: The first descriptor of those that are handed over.
_FIRST = 3
#: More than any manager gives.
_MOST = 64
#: What the new program has to be able to do before the old one ends.
_TRIAL = "import allium.node.node, allium._native"
_TRIAL_SECONDS = 60.0


def inherited() -> list[int]:
    """The descriptors of the sockets that this process was given, if any.

    Only the first call tells: programs that this one starts are not meant.
    """
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    return list(range(_FIRST, _FIRST + min(int(count), _MOST)))


async def trial() -> str | None:
    """Whether the program as it is now on disk starts; why not."""
    command = (sys.executable, "-c", _TRIAL)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL, stderr=pipe)
    try:
        _, complaint = await asyncio.wait_for(process.communicate(), _TRIAL_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"it took more than {_TRIAL_SECONDS:.0f} s"
    return complaint.decode(errors="replace").strip().rpartition("\n")[2] if process.returncode else None


def become_successor(sockets: Sequence[int]) -> NoReturn:
    """Starts this process's command line anew in its place, with `sockets`. Nothing of ours may run any more."""
    # Away from where they are to be, but not where a low limit of open files forbids.
    away = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST + len(sockets)) for fd in sockets]
    for place, fd in enumerate(away, _FIRST):
        os.dup2(fd, place, inheritable=True)
    os.environ["LISTEN_PID"] = str(os.getpid())
    os.environ["LISTEN_FDS"] = str(len(away))
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - what started this process


def ask(directory: Path) -> int | None:
    """Asks the node that serves `directory` to become its successor; its process, if there is one."""
    if (pid := serving(directory)) is not None:
        os.kill(pid, signal.SIGUSR2)
    return pid
