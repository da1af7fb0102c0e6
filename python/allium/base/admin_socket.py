"""The socket in a data directory at which who runs a process asks it how it is."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from allium.base import files

SOCKET = "admin.sock"
_MODE = 0o600
_BACKLOG = 128


def listener(directory: Path) -> socket.socket:
    """A socket that nobody but the process's own user, and root, can connect to."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Who serves the directory holds its lock: whatever is there was left by a process that is no more.
    (directory / SOCKET).unlink(missing_ok=True)
    place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # The file gets the mode that the socket has now.
        os.fchmod(made.fileno(), _MODE)
        # A socket's path has at most 107 bytes, and the directory's may be longer.
        made.bind(f"/proc/self/fd/{place}/{SOCKET}")
        files.own(directory / SOCKET, directory)
        made.listen(_BACKLOG)
    except OSError:
        made.close()
        raise
    finally:
        os.close(place)
    made.setblocking(False)
    return made
