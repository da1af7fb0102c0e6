"""Errors that more than one package raises; those for people end a command with a sentence and an exit code."""

from __future__ import annotations

from typing import ClassVar

#: The machine or the network refused something that may be different next time.
EXIT_FAILED = 1
#: Somebody has to change something first (`EX_CONFIG`); a service manager need not try again.
EXIT_CONFIG = 78


class Complaint(Exception):
    """An error whose text is for people: what went wrong, with the path or the setting, and what to do."""

    exit_code: ClassVar[int] = EXIT_FAILED
    #: Of a command, that which names who is to blame.
    option: ClassVar[str] = ""


class CommandError(Complaint):
    """Ends a command; whoever gave it may give it again."""


class SetupError(Complaint):
    """What somebody has to change before this can work."""

    exit_code = EXIT_CONFIG


class ConsensusError(Complaint):
    """The engine of agreement cannot go on; the text says why, and what the operator can do."""


class DivergedError(ConsensusError):
    """The node computes another state than the network, or was given two histories. It must not go on."""


class NotFinalError(Exception):
    """The EVM chain is not known up to the height that was asked for, or not at all: ask again later."""
