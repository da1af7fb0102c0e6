"""`allium demo`: the main job, to watch."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="End by itself; exit code 0 if every step held.")] = False,
    nodes: Annotated[int, typer.Option(min=9, help="How many nodes.")] = 15,
) -> None:
    """Watch a message go through three onion hops of real nodes into a swarm and back out."""
    from allium.cli import demo_screen as show

    raise typer.Exit(show.main(nodes, once))
