"""Allium: a Session Network node with its data plane in Rust and its control plane in Python."""

from __future__ import annotations

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    # Reading the installed metadata costs milliseconds that a starting node does not have to spend.
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("allium")
        except PackageNotFoundError:
            return "0+source"
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
