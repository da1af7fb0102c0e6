"""What every command prints with, and how it ends when something is wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rich.console import Console

from allium.errors import CommandError

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def staking() -> Iterator[None]:
    """What goes wrong with contracts in words; without the optional packages they cannot be used at all."""
    from allium.staking import StakingError

    try:
        yield
    except StakingError as error:
        raise CommandError(str(error)) from None
    except ModuleNotFoundError as error:
        raise CommandError(f"{error.name} is not installed; run: pip install 'allium[chain]'") from None
