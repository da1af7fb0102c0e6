"""rich's console, whose failures reach whoever prints. A module of its own, because loading rich takes its time."""

from __future__ import annotations

from rich.console import Console


class RichConsole(Console):
    """Shows text in one piece, however long its lines are, and the codes of emoji in it as they stand there."""

    def __init__(self, stderr: bool) -> None:
        super().__init__(stderr=stderr, highlight=False, soft_wrap=True, emoji=False)

    def on_broken_pipe(self) -> None:
        """Does not end the process."""
        raise BrokenPipeError
