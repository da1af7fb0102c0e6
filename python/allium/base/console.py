"""What every command prints with, and how it ends when something is wrong."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any

from rich.console import Console

from allium.errors import Complaint


class OutputError(Complaint):
    """What was to be shown could not be written."""


class ClosedError(OutputError):
    """Whoever read what is shown has gone, as `head` does: no complaint to make, and nobody to hear it."""

    #: As of a program that SIGPIPE ended.
    exit_code = 141


class Output(Console):
    """Standard output, whose failures are told apart from those of what a command does."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Shows something that the command is there to show; raises `OutputError` when it cannot be written."""
        try:
            super().print(*objects, **options)
        except OSError as error:
            discard(sys.stdout)
            if isinstance(error, BrokenPipeError):
                raise ClosedError("whoever read this has gone") from None
            raise OutputError(f"standard output cannot be written: {error.strerror}") from None

    def report(self, *objects: Any, **options: Any) -> None:
        """Says something of what the command has done already, and which stays done if nobody can be told."""
        try:
            self.print(*objects, **options)
        except ClosedError:
            pass
        except OutputError as error:
            with contextlib.suppress(OSError):
                err.print(f"{error}; what was to be done is done", markup=False)

    def on_broken_pipe(self) -> None:
        """Does not end the process."""
        raise BrokenPipeError


class Complaints(Console):
    """Standard error. That nobody can be told is no reason to do anything else."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Shows something to the person who runs the command, if that is possible."""
        try:
            super().print(*objects, **options)
        except OSError:
            discard(sys.stderr)

    def on_broken_pipe(self) -> None:
        """Does not end the process."""
        raise BrokenPipeError


out = Output(highlight=False, soft_wrap=True)
err = Complaints(stderr=True, highlight=False, soft_wrap=True)


def accept_any_text() -> None:
    """Writes what the terminal's encoding has no sign for as an escape: no text keeps a command from ending well."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def settle() -> None:
    """Writes what standard output still holds, if that is possible."""
    try:
        sys.stdout.flush()
    except OSError:
        discard(sys.stdout)


def discard(stream: Any) -> None:
    """From now on `stream` goes nowhere: what it still holds would fail again when the interpreter ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
