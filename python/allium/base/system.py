"""What systems have each in their own way, or not at all: flags of files, and the lock that tells who has one.

Windows runs what a person uses, the client and the messenger, and none of the nodes; this is what those ask for of it.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

#: Of `os.open`, where there is such a thing: closed in programs that are started; no link; bytes as they are.
CLOEXEC: int = getattr(os, "O_CLOEXEC", getattr(os, "O_NOINHERIT", 0))
NOFOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
BINARY: int = getattr(os, "O_BINARY", 0)
#: A file that nobody else has made.
NEW = os.O_CREAT | os.O_EXCL | NOFOLLOW | CLOEXEC | BINARY
#: Where Windows' lock is, of one byte: it keeps others from that byte, so it is where nothing is written.
_LOCKED_BYTE = 0x7FFF_FFF0


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_fcntl, _msvcrt = _module("fcntl"), _module("msvcrt")
#: Whether a lock leaves the file as readable for others as it was.
HAS_FLOCK = _fcntl is not None


def claim(descriptor: int, *, shared: bool = False) -> None:
    """Locks an open file until it is closed; `BlockingIOError` where another has it, `OSError` where that cannot be.

    Who holds it `shared` keeps away those alone who do not; on Windows everybody.
    """
    if _fcntl is not None:
        _fcntl.flock(descriptor, (_fcntl.LOCK_SH if shared else _fcntl.LOCK_EX) | _fcntl.LOCK_NB)
        return
    before = os.lseek(descriptor, 0, os.SEEK_CUR)
    os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
    try:
        _msvcrt.locking(descriptor, _msvcrt.LK_NBLCK, 1)
    except PermissionError as error:
        raise BlockingIOError(error.errno, error.strerror) from None
    finally:
        os.lseek(descriptor, before, os.SEEK_SET)


def is_root() -> bool:
    """Whether files that this process makes may belong to another: of root, and of nobody on Windows."""
    return hasattr(os, "geteuid") and os.geteuid() == 0
