"""An account as a program meets it: open a session, listen to its events, send."""

from __future__ import annotations

# As in `typing`: see `allium`.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from allium.client.session.backups import restore_backup, verify_backup
    from allium.client.session.enclosing import LocalFile
    from allium.client.session.sent import SentMessage
    from allium.client.session.session import Session
    from allium.client.session.settings import Settings

#: The module of each name. It is imported when the name is asked for.
_HOMES = {
    "LocalFile": "enclosing",
    "SentMessage": "sent",
    "Session": "session",
    "Settings": "settings",
    "restore_backup": "backups",
    "verify_backup": "backups",
}

__all__ = ["LocalFile", "SentMessage", "Session", "Settings", "restore_backup", "verify_backup"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value
