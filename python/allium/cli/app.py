"""All commands of `allium`: which there are, and in which module each is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import typer

from allium.cli.lazy import LazyGroup


class _Root(LazyGroup):
    modules: ClassVar[Mapping[str, str]] = {
        "status": "operate",
        "doctor": "operate",
        "dashboard": "dashboard",
        "send": "messages",
        "inbox": "messages",
        "profile": "profile",
        "contacts": "contacts",
        "groups": "groups",
        "devices": "devices",
        "conversations": "conversations",
        "search": "conversations",
        "rpc": "rpc",
        "messenger": "messenger",
        "demo": "demo",
        "node": "node",
        "devnet": "devnet",
        "account": "account",
        "contracts": "contracts",
        "store": "store",
        "files": "files",
        "push": "push",
        "portal": "portal",
        "import": "takeover",
        "export": "takeover",
        "chain": "chain",
        "rewards": "rewards",
        "simulate": "simulate",
        "stake": "stake",
    }


app = typer.Typer(
    name="allium",
    cls=_Root,
    help="A Session Network node, a client, and whole networks on one machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        from allium.cli.version import show

        show()
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Where a command fails, show also where in the program.")
    ] = False,
) -> None:
    pass
