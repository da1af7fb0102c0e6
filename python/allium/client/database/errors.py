"""Why a database cannot be used: one sentence each, by what can be done about it."""

from __future__ import annotations

from allium.errors import EXIT_CONFIG, Complaint


class DatabaseError(Complaint):
    """The database did not do what was asked. What it acknowledged before is there."""


class WrongKeyError(DatabaseError):
    """The password or the key is not that of this database."""

    exit_code = EXIT_CONFIG


class InUseError(DatabaseError):
    """Another process has the database open."""


class DiskFullError(DatabaseError):
    """There is no room for what was to be written."""


class UnwritableError(DatabaseError):
    """The file cannot be opened or written, because of its permissions or of the disk."""


class DamagedError(DatabaseError):
    """The file was changed by something else, or the disk lost a part of it."""


class NewerVersionError(DatabaseError):
    """A newer version has written the database."""

    exit_code = EXIT_CONFIG
