"""Who serves a data directory: the process that holds a lock on `pid` in it, which names that process."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from allium.base import files, system
from allium.errors import Complaint

#: In the data directory: the process that serves it holds a lock on it.
PID_FILE = "pid"


class InUseError(Complaint, OSError):
    """Another process serves the directory."""


@contextlib.contextmanager
def pid_file(directory: Path) -> Iterator[None]:
    """Names this process in `directory` for as long as it serves there; raises `InUseError` when another one does."""
    files.make_directory(directory)
    path = directory / PID_FILE
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | system.CLOEXEC, 0o644), "r+b") as file:
        files.own(file.fileno(), directory)
        try:
            system.claim(file.fileno())
        except BlockingIOError:
            raise InUseError(
                f"another process serves {directory}: {file.read(20).decode(errors='replace').strip()}; end that one "
                f"first, or give this one a directory of its own"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n".encode())
        file.flush()
        yield
        file.truncate(0)


def serving(directory: Path) -> int | None:
    """The process that serves `directory`."""
    try:
        with (directory / PID_FILE).open("rb") as file:
            try:
                system.claim(file.fileno(), shared=True)
            except BlockingIOError:
                text = file.read(20).strip()
                return int(text) if text.isdigit() else None
    except FileNotFoundError:
        pass
    return None
