"""Where things are kept that can be made again."""

from __future__ import annotations

import os
from pathlib import Path

from allium.base import files
from allium.base.complaint import expanded


def directory(name: str) -> Path:
    """The user's cache directory for `name`, made when it is not there (`XDG_CACHE_HOME`, or ~/.cache)."""
    root = os.environ.get("XDG_CACHE_HOME") or expanded(Path("~/.cache"))
    path = Path(root) / "allium" / name
    files.make_directory(path)
    return path
