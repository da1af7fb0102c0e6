"""Whether a password opens a database, without opening it."""

from __future__ import annotations

import json
from pathlib import Path

from allium.client.database import keys, locks

_MAX_FILE = 1 << 16


def opens(database: Path, password: str) -> bool:
    """Takes as long as opening it does: run it on a thread."""
    try:
        with keys.key_file(database).open("rb") as file:
            document = json.loads(file.read(_MAX_FILE))
        return bool(password) and locks.unlock(document, password) is not None
    except (OSError, ValueError, locks.LockError):
        return False
