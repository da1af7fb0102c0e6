"""How many blocks of logs one provider is asked for at once: what it refuses is halved, what it gives grows back."""

from __future__ import annotations

#: After so many answers in a row more is tried; after twice as many each time that this was too much.
_FIRST_PATIENCE, _LAST_PATIENCE = 8, 512


class Span:
    """As congestion windows are found: providers do not say what they give, and change it."""

    def __init__(self, most: int) -> None:
        self._most = most
        #: How many to ask for.
        self.blocks = most
        self._answers = 0
        self._patience = _FIRST_PATIENCE
        self._tries_more = False

    def answered(self, blocks: int) -> None:
        """So many were given."""
        if blocks < self.blocks:
            return  # says nothing of more
        if self._tries_more:
            self._tries_more, self._patience = False, _FIRST_PATIENCE
        self._answers += 1
        if self._answers >= self._patience and self.blocks < self._most:
            self.blocks, self._answers = min(2 * self.blocks, self._most), 0
            self._tries_more = True

    def refused(self, blocks: int) -> None:
        """So many were too many."""
        if self._tries_more:
            self._tries_more, self._patience = False, min(2 * self._patience, _LAST_PATIENCE)
        self.blocks, self._answers = max(1, blocks // 2), 0
