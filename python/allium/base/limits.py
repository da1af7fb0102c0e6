"""How many files and connections the process may have open, and what becomes of memory that it has freed."""

from __future__ import annotations

import contextlib
import ctypes
import resource

#: As many connections as the engine takes over HTTPS and OMQ, and files beside.
WANTED_FILES = 2 * 16_384 + 1024


#: `mallopt` of glibc.
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_LARGE_BLOCK = 128 << 10


def return_memory() -> None:
    """From now on a large block of memory goes back to the system when it is freed, and threads share their heaps.

    By default glibc keeps what was large once, in a heap for each thread: for a program that moves many bodies in
    threads that is twice the memory that it needs. Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK)
        mallopt(_M_ARENA_MAX, 2)


def raise_open_files() -> int | None:
    """Raises the soft limit of open files to the hard one; returns what is in force, `None` when there is no limit.

    The system's default soft limit is 1024, for programs that still use `select(2)`; this one does not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # Some systems refuse "unlimited", whatever the hard limit says.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    now = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if now == resource.RLIM_INFINITY else now
