"""What the commands on a node with several contributors are given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allium.cli.onchain import address, amount
from allium.errors import CommandError

if TYPE_CHECKING:
    from eth_typing import ChecksumAddress

RegistrationFile = Annotated[Path, typer.Option("--registration", help="What `allium node register --json` printed.")]
Pot = Annotated[str, typer.Argument(metavar="CONTRACT", help="Address of the node's contract.")]


def place(text: str) -> tuple[ChecksumAddress, int]:
    """A place that is kept for somebody, of `ADDRESS=SESH`: who, and atomic units."""
    who, separator, how_much = text.partition("=")
    if not separator:
        raise CommandError(f"{text} is no reservation: ADDRESS=SESH")
    return address(who), amount(how_much)
