"""What keeps a process's secrets out of files that others may read."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource

_PR_SET_DUMPABLE = 4


def keep_secrets() -> None:
    """From now on this process leaves no core dump, and no other process of its user may look into its memory.

    Nor may others read the files that it makes, whatever umask it was started with. An `exec` undoes the second. What
    the system refuses is left as it is: a service manager may have seen to it.
    """
    os.umask(0o077)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
