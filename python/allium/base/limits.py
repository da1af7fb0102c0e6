"""How many files and connections the process may have open."""

from __future__ import annotations

import contextlib
import resource

#: As many connections as the engine takes over HTTPS and OMQ, and files beside.
WANTED_FILES = 2 * 16_384 + 1024


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
