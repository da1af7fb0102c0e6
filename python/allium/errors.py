"""What ends a command: a sentence for a person, and the exit code that goes with it."""

from __future__ import annotations

from typing import ClassVar

#: The machine or the network refused something that may be different next time.
EXIT_FAILED = 1
#: Somebody has to change something first (`EX_CONFIG`); a service manager need not try again.
EXIT_CONFIG = 78


class Complaint(Exception):
    """An error whose text is for people: what went wrong, with the path or the setting, and what to do."""

    exit_code: ClassVar[int] = EXIT_FAILED


class CommandError(Complaint):
    """Ends a command; whoever gave it may give it again."""


class SetupError(Complaint):
    """What somebody has to change before this can work."""

    exit_code = EXIT_CONFIG
