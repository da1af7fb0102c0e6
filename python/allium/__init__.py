"""Allium: a Session Network node with its data plane in Rust and its control plane in Python.

`Engine`, `Store` and `peel` need nothing but this package; the `allium` command needs the extra `node`, the client
(`allium.client`) the extra `client`.
"""

from __future__ import annotations

# As in `typing`, which takes longer to load than all else here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from allium.engine import Answer, Engine, Keys, Message, Peeled, Store, Stored, node_keys, peel, peel_batch

    __version__: str

__all__ = [
    "Answer",
    "Engine",
    "Keys",
    "Message",
    "Peeled",
    "Store",
    "Stored",
    "__version__",
    "node_keys",
    "peel",
    "peel_batch",
]


def __getattr__(name: str) -> object:
    # Reading the installed metadata, or loading the engine, costs milliseconds that not every program has to spend.
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("allium")
        except PackageNotFoundError:
            return "0+source"
    if name in __all__:
        from allium import engine

        return getattr(engine, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
