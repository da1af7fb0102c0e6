"""Files that others read while we write them, and what the files of the message store are called."""

from __future__ import annotations

import os
from pathlib import Path

#: The message store in a data directory: its tables, its redo log, and what whoever writes it holds a lock on
#: (`docs/on-disk-format.md`).
STORE, STORE_LOG, STORE_LOCK = "data.mdb", ("redo.0", "redo.1"), "store.lock"


def replace(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Writes `content` so that a reader, or a crash, leaves the old file or the new one, never a part of one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
