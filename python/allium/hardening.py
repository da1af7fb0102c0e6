"""What keeps a process's secrets out of files that others may read."""

from __future__ import annotations

import contextlib
import ctypes
import resource

_PR_SET_DUMPABLE = 4


def keep_secrets() -> None:
    """From now on this process leaves no core dump, and no other process of its user may look into its memory.

    An `exec` undoes the latter. What the system refuses is left as it is: a service manager may have seen to it.
    """
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
