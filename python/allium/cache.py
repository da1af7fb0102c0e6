"""Where things are kept that can be made again."""

from __future__ import annotations

import os
from pathlib import Path


def directory(name: str) -> Path:
    """The user's cache directory for `name`, made when it is not there (`XDG_CACHE_HOME`, or ~/.cache)."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(root) / "allium" / name
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path
