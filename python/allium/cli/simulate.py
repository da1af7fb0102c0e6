"""`allium simulate`: what becomes of a network that is larger than a machine."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from allium.base.console import err, out
from allium.errors import CommandError

if TYPE_CHECKING:
    from rich.progress import TaskID

    from allium.devnet.simulation.outcome import Outcome
    from allium.devnet.simulation.scenario import Scenario

app = typer.Typer()
_NODES = [100, 1_000]
#: How often it is said how far a run has come, where that cannot be shown in place.
_TELL_SECONDS = 30.0


@app.callback(invoke_without_command=True)
def simulate(
    nodes: Annotated[
        list[int], typer.Option(min=5, max=200_000, help="How many nodes; several for several runs.")
    ] = _NODES,
    hours: Annotated[float, typer.Option(min=0.1, max=24 * 366, help="How long, in the network's time.")] = 24.0,
    seed: Annotated[int, typer.Option(min=0, help="Equal seeds, equal results.")] = 1,
    latency: Annotated[
        float, typer.Option(min=0.0, max=10_000, help="Milliseconds from a node to another, the median.")
    ] = 80.0,
    loss: Annotated[float, typer.Option(min=0.0, max=0.99, help="The share of messages that do not arrive.")] = 0.01,
    deaths: Annotated[
        float, typer.Option(min=0.0, max=10.0, help="The share of nodes that stop for good in a day.")
    ] = 0.02,
    churn: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=10.0,
            help="The share of nodes that go away for a while in a day; as many more stop for good, and as many join.",
        ),
    ] = 0.02,
    hostile: Annotated[float, typer.Option(min=0.0, max=1.0, help="The share of nodes that are hostile.")] = 0.0,
    hostility: Annotated[
        Literal["lie", "mute", "pretend"],
        typer.Option(
            help="They vote against those that work; or neither vote nor pass on; or serve nobody and deny it."
        ),
    ] = "lie",
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
    plots: Annotated[Path | None, typer.Option(metavar="DIR", help="Draw what grows with the network, as SVG.")] = None,
) -> None:
    """Simulate networks of many nodes: the real rules, draws, swarms and state, over a modelled network."""
    from allium.devnet.simulation.scenario import Hostile, Scenario

    scenarios = [
        Scenario(count, hours, seed, latency / 1000, loss, deaths, churn, hostile, Hostile(hostility))
        for count in sorted(nodes)
    ]
    outcomes = run(scenarios)
    from allium.devnet.simulation import table

    if plots is not None:
        _draw(outcomes, plots)
    if as_json:
        out.print(json.dumps([asdict(outcome) for outcome in outcomes]), markup=False)
    else:
        out.print(table.markdown(outcomes), markup=False)


def run(scenarios: Sequence[Scenario]) -> list[Outcome]:
    """Runs one after the other, and shows how far each has come on stderr: in place, or by lines where it is a file."""
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    from allium.devnet.simulation.simulation import simulate as simulated
    from allium.liveness.clocks import HOUR

    outcomes = []
    columns = (TextColumn("{task.description}"), TextColumn("{task.fields[at]}"), TimeElapsedColumn())
    with Progress(*columns, console=err.rich, transient=True, disable=not err.is_terminal) as shown:
        for scenario in scenarios:
            begun = told = time.monotonic()
            task = shown.add_task(f"{scenario.nodes:,} nodes", total=None, at="")

            def tell(now: float, nodes: int, task: TaskID = task, scenario: Scenario = scenario) -> None:
                nonlocal told
                at = f"hour {now / HOUR:.1f} of {scenario.hours:g}" if now else f"{nodes:,} registered"
                shown.update(task, at=at)
                if not err.is_terminal and time.monotonic() - told > _TELL_SECONDS:
                    told = time.monotonic()
                    err.print(f"{scenario.nodes:,} nodes: {at}", markup=False)

            outcomes.append(simulated(scenario, tell))
            shown.remove_task(task)
            took = time.monotonic() - begun
            err.print(f"{scenario.nodes:,} nodes: {scenario.hours:g} hours in {took:.0f} s", markup=False)
    return outcomes


def _draw(outcomes: Sequence[Outcome], directory: Path) -> None:
    try:
        from allium.devnet.simulation import plots
    except ModuleNotFoundError as error:
        raise CommandError(f"{error.name} is not installed; run: pip install 'allium[plots]'") from None
    for path in plots.draw(outcomes, directory):
        err.print(f"drew {path}", markup=False)
