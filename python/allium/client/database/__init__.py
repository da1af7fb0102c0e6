"""What an account keeps on its device: one encrypted SQLite file."""

from __future__ import annotations

# As in `typing`: see `allium`.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from allium.client.database.database import Database
    from allium.client.database.errors import (
        DamagedError,
        DatabaseError,
        DiskFullError,
        InUseError,
        NewerVersionError,
        UnwritableError,
        WrongKeyError,
    )

#: The module of each name. It is imported when the name is asked for: only who opens a database needs SQLite.
_HOMES = {
    "DamagedError": "errors",
    "Database": "database",
    "DatabaseError": "errors",
    "DiskFullError": "errors",
    "InUseError": "errors",
    "NewerVersionError": "errors",
    "UnwritableError": "errors",
    "WrongKeyError": "errors",
}

__all__ = [
    "DamagedError",
    "Database",
    "DatabaseError",
    "DiskFullError",
    "InUseError",
    "NewerVersionError",
    "UnwritableError",
    "WrongKeyError",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value
