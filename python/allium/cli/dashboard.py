"""`allium dashboard`: an operator's own nodes, on one screen."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allium.base.console import out
from allium.errors import CommandError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from allium.operate.dashboard import Costs, Dashboard, NodeReport

app = typer.Typer()

_EXIT_NOT_WELL = 1
_WATCH_SECONDS = 5.0
#: About what `updateRewardsBalance`, which took 411,145 to 435,495 with 20 nodes (`bench/claims.py`), and the transfer
#: of `claimRewards` take together.
_CLAIM_GAS = 500_000
_UNITS, _GWEI = 10**9, 10**9
#: What the word for a state does not say by itself.
_STATES = {"reading": "reads the chain"}


@app.command("dashboard")
def dashboard(
    data_dir: Annotated[list[Path], typer.Option(help="Data directory of a node of yours; may be repeated.")],
    rpc: Annotated[
        str | None, typer.Option(help="Provider of the EVM chain, to be asked for the price of gas.")
    ] = None,
    gas_price: Annotated[float | None, typer.Option(min=0, help="That price, in gwei, instead.")] = None,
    claims: Annotated[int, typer.Option(min=0, max=10_000, help="How often a year you claim.")] = 12,
    claim_gas: Annotated[int, typer.Option(min=0, max=10**9, help="Gas of one claim.")] = _CLAIM_GAS,
    sesh_per_eth: Annotated[float | None, typer.Option(min=0, help="What an ETH is worth in SESH.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every five seconds, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Show how your own nodes are, which are at risk, and what they bring after fee and gas.

    Nodes are asked over the sockets in their data directories, for which one has to be their user, or root.

    Exit code 0: all is well. 1: something needs looking after.
    """
    from allium.operate.dashboard import gather

    costs = _costs(rpc, gas_price, claims, claim_gas, sesh_per_eth)
    if watch:
        _watch(data_dir, costs)
        return
    found = gather(data_dir, costs)
    if as_json:
        out.print(json.dumps(found.document()), markup=False)
    else:
        out.print(_screen(found))
    raise typer.Exit(0 if found.well else _EXIT_NOT_WELL)


def _costs(
    rpc: str | None, gas_price: float | None, claims: int, claim_gas: int, sesh_per_eth: float | None
) -> Costs | None:
    from allium.operate.dashboard import Costs

    if gas_price is not None:
        price = round(gas_price * _GWEI)
    elif rpc is not None:
        price = _asked(rpc)
    else:
        return None
    worth = None if sesh_per_eth is None else round(sesh_per_eth * _UNITS)
    return Costs(claims, claim_gas, price, worth)


def _asked(rpc: str) -> int:
    """The price of gas that a provider says."""
    try:
        from allium.staking.connection import connected
        from allium.staking.provider import ProviderError, quantity
    except ModuleNotFoundError as error:
        raise CommandError(f"{error.name} is not installed; run: pip install 'allium[chain]'") from None

    async def ask() -> int:
        async with connected(rpc) as provider:

            async def price(w3: object) -> int:
                return quantity(await w3.eth.gas_price)  # type: ignore[attr-defined]

            return await provider.ask(price)

    try:
        import asyncio

        return asyncio.run(ask())
    except ProviderError as error:
        raise CommandError(
            f"--rpc: the price of gas is not known: the provider {error}; give it with --gas-price"
        ) from None


def _screen(found: Dashboard) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    count, risky = len(found.nodes), sum(node.at_risk for node in found.nodes)
    head = (
        Text(f"{risky} of {count} nodes need looking after", style="bold red")
        if risky
        else Text("all is well", style="bold green")
    )
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("node", "state", "last proof", "tested", "may be down", "SESH a day"):
        table.add_column(title, justify="right" if title == "SESH a day" else "left", overflow="fold")
    for node in found.nodes:
        table.add_row(*map(Text, _row(node)))
    findings = [
        Text.assemble(
            (f"{'✗' if finding.level == 'failed' else '!'} {node.directory}: {finding.what}\n", _colour(finding.level)),
            f"  {finding.remedy}",
            overflow="ignore",
        )
        for node in found.nodes
        for finding in node.findings
    ]
    return Group(head, Text(""), table, *findings, Text(""), *(Text(line) for line in _income(found)))


def _colour(level: str) -> str:
    return "red" if level == "failed" else "yellow"


def _row(node: NodeReport) -> tuple[str, ...]:
    return (
        node.directory,
        _STATES.get(node.state, node.state),
        "unknown" if node.proof_age is None else f"{_ago(node.proof_age)} ago",
        "not yet" if node.tested is None else f"{_ago(node.tested)} ago",
        _ago(node.credit),
        _sesh(node.daily),
    )


def _income(found: Dashboard) -> Iterator[str]:
    if found.nodes and all(node.state in ("reading", "away") for node in found.nodes):
        yield "What they bring is not known yet: no node has a block of the chain."
        return
    yield f"Projected: {_sesh(found.daily)} SESH a day, {_sesh(found.yearly)} a year: the operator's part and fee,"
    yield "if the reward and the number of nodes stay as they are."
    costs = found.costs
    if costs is None:
        yield "Before gas: name a provider (--rpc) or a price (--gas-price) to have it taken off."
        return
    yield f"Gas: {costs.claims_a_year} claims a year cost {costs.wei_a_year / 10**18:.6f} ETH."
    if found.net is None:
        yield "What an ETH is worth nobody is asked for: with --sesh-per-eth it is taken off."
    else:
        yield f"After gas: {_sesh(found.net)} SESH a year."


def _sesh(units: int) -> str:
    return f"{units / _UNITS:,.9f}"


def _ago(seconds: float) -> str:
    seconds = max(0, round(seconds))
    for size, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {name}"
    return f"{seconds} s"


def _watch(directories: list[Path], costs: Costs | None) -> None:
    from rich.console import Group
    from rich.live import Live

    from allium.operate import status_screen
    from allium.operate.dashboard import gather

    with Live(console=out.rich, screen=out.is_terminal, auto_refresh=False) as live:
        while True:
            try:
                live.update(Group(status_screen.clock(), _screen(gather(directories, costs))), refresh=True)
                time.sleep(_WATCH_SECONDS)
            except KeyboardInterrupt:
                return
