"""The version, which needs neither Typer nor any command to be told."""

from __future__ import annotations

import allium
from allium.base.console import out


def show() -> None:
    """Prints it."""
    out.print(f"allium {allium.__version__}")
