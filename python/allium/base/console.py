"""What every command prints with, and how it ends when something is wrong."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, TextIO

from allium.base import system
from allium.errors import Complaint

if TYPE_CHECKING:
    from allium.base.rich_console import RichConsole

#: With these variables somebody says what rich shall take a stream for.
_FORCING = frozenset({"FORCE_COLOR", "TTY_COMPATIBLE"})


class OutputError(Complaint):
    """What was to be shown could not be written."""


class ClosedError(OutputError):
    """Whoever read what is shown has gone, as `head` does: no complaint to make, and nobody to hear it."""

    #: As of a program that SIGPIPE ended.
    exit_code = 141


class Stream:
    """Standard output or standard error. Plain text goes there as it is, and all else by way of rich.

    So rich, which takes longer to load than most commands take, is loaded when there is something to style or to draw.
    """

    def __init__(self, stderr: bool) -> None:
        self._stderr = stderr

    @cached_property
    def rich(self) -> RichConsole:
        """The console of rich on this stream. Once there is one, all goes through it: it may be drawing at the time."""
        from allium.base.rich_console import RichConsole

        return RichConsole(self._stderr)

    @property
    def is_terminal(self) -> bool:
        """Whether what is shown here can be styled and drawn over."""
        asked = not _FORCING.isdisjoint(os.environ)
        return (asked or (self._file is not None and self._file.isatty())) and self.rich.is_terminal

    def show(self, *objects: Any, **options: Any) -> None:
        """Writes something, with `options` of `rich.console.Console.print`; raises `OSError`."""
        text = None if "rich" in vars(self) else _plain(*objects, **options)
        if text is None:
            self.rich.print(*objects, **options)
        elif self._file is not None:
            self._file.write(f"{text}\n")
            self._file.flush()

    @property
    def _file(self) -> TextIO | None:
        # What rich draws on the other stream takes this one's place meanwhile.
        file = sys.stderr if self._stderr else sys.stdout
        return getattr(file, "rich_proxied_file", file)


def _plain(*objects: Any, markup: bool = True, **options: Any) -> str | None:
    """The one text that is to be written, if rich would write it as it stands."""
    if len(objects) != 1 or type(objects[0]) is not str or options:
        return None
    [text] = objects
    return None if (markup and "[" in text) or not text.replace("\n", "").isprintable() else text


class Output(Stream):
    """Standard output, whose failures are told apart from those of what a command does."""

    def __init__(self) -> None:
        super().__init__(stderr=False)

    def print(self, *objects: Any, **options: Any) -> None:
        """Shows something that the command is there to show; raises `OutputError` when it cannot be written."""
        try:
            self.show(*objects, **options)
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


class Complaints(Stream):
    """Standard error. That nobody can be told is no reason to do anything else."""

    def __init__(self) -> None:
        super().__init__(stderr=True)

    def print(self, *objects: Any, **options: Any) -> None:
        """Shows something to the person who runs the command, if that is possible."""
        try:
            self.show(*objects, **options)
        except OSError:
            discard(sys.stderr)

    @contextlib.contextmanager
    def status(self, text: str) -> Iterator[Callable[[str], object]]:
        """Shows on a terminal what is being done while the block runs, and what else it is called with."""
        if not self.is_terminal:
            yield lambda _: None
            return
        with self.rich.status(text) as status:
            yield status.update


out = Output()
err = Complaints()


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
        nowhere = os.open(os.devnull, os.O_WRONLY | system.CLOEXEC)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
