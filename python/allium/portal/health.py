"""Whether all is well with a running portal, and what to do when not; what `allium status` shows of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from allium.server import health
from allium.server.health import Problem
from allium.server.metrics import ServerMetrics

if TYPE_CHECKING:
    from allium.portal.indexer import Indexer
    from allium.portal.server import Portal

#: How a status of a portal is told from another's.
KIND = "portal"
#: When front ends warn (`spec/portal` §3.6): the network's block, and the EVM chain's.
BLOCK_SECONDS, _L2_SECONDS = 300, 180


def show(metrics: ServerMetrics, portal: Portal, indexer: Indexer) -> None:
    """Gauges of what it has."""
    for name, text, value in (
        ("height", "Height of the network.", lambda: portal.epoch.state.height),
        ("block_timestamp", "When that block was made, Unix time.", lambda: portal.epoch.state.time),
        ("reading", "1 until it is up to date for the first time, while it gets on.", lambda: portal.is_reading),
        ("nodes", "Nodes of the network.", lambda: len(portal.epoch.state.nodes)),
        ("events", "Events of the contracts.", lambda: len(indexer.index.events)),
        ("l2_block", "Block of the EVM chain.", lambda: indexer.tip.block),
        ("l2_timestamp", "When that block was made, Unix time.", lambda: indexer.tip.timestamp),
    ):
        metrics.shown(name, text, value)


def problems(numbers: dict[str, float], trouble: str | None, now: float) -> Iterator[Problem]:
    """What is not well."""
    if numbers["reading"]:
        far = f"at height {numbers['height']:,.0f}" if numbers["height"] else "there is no block yet"
        remedy = "wait; where it gets no further, see whether its feed, or the node here, goes on"
        yield Problem("warning", f"the network's chain is still being read: {far}", remedy)
    elif now - numbers["block_timestamp"] > BLOCK_SECONDS:
        what = "the network's last block is old" if numbers["height"] else "no block of the network has come yet"
        yield Problem("failed", what, "see whether its feed, or the node here, goes on")
    if trouble is not None:
        yield Problem("failed", f"the EVM chain cannot be followed: {trouble}", "name other providers in l2_rpc")
    elif not numbers["l2_block"]:
        far = f"{numbers['events']:,.0f} events so far"
        yield Problem("warning", f"the contracts on the EVM chain are still being read: {far}", "wait some minutes")
    elif now - numbers["l2_timestamp"] > _L2_SECONDS:
        yield Problem("warning", "the EVM chain's last block is old", "see whether its providers are up to date")


def lines(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """A status for a person: what, and how it is."""
    numbers = told[KIND]
    yield from health.head(told, "portal")
    nodes = f"{numbers['nodes']:,.0f} nodes at height {numbers['height']:,.0f}"
    yield "network", nodes if numbers["height"] else "no block yet"
    up_to = f"up to block {numbers['l2_block']:,.0f}" if numbers["l2_block"] else "so far"
    yield "contracts", f"{numbers['events']:,.0f} events {up_to}"
    yield from health.tail(numbers)
