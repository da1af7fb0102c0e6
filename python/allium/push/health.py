"""Whether all is well with a running push server, and what to do when not; what `allium status` shows of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from allium.server import health
from allium.server.health import Problem

#: How a status of a push server is told from another's.
KIND = "push"
#: Parts of a limit beyond which there is nearly, or as good as, too much.
_NEARLY_FULL, _FULL = 0.85, 0.97


def problems(numbers: dict[str, float]) -> Iterator[Problem]:
    """What is not well."""
    for name, remedy in (
        ("subscriptions", "raise max_subscriptions"),
        ("queued", "see whether the push services answer (`allium_push_attempts_total`), or raise max_queued"),
    ):
        part = numbers[name] / numbers[f"limit_{name}"]
        if part >= _NEARLY_FULL:
            what = f"{numbers[name]:,.0f} {name} are {part:.0%} of what there may be"
            yield Problem("failed" if part >= _FULL else "warning", what, remedy)
    wanted, connected = numbers["nodes_wanted"], numbers["nodes_connected"]
    if wanted and not connected:
        yield Problem("failed", "no node is connected to", "see whether this machine reaches the nodes' OMQ ports")
    elif connected < wanted / 2:
        what = f"{connected:,.0f} of {wanted:,.0f} nodes are connected to"
        yield Problem("warning", what, "see whether this machine reaches the nodes' OMQ ports")


def lines(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """A status for a person: what, and how it is."""
    numbers = told[KIND]
    yield from health.head(told, "push server")
    yield "subscribed", f"{numbers['subscriptions']:,.0f} of {numbers['limit_subscriptions']:,.0f} subscriptions"
    yield "nodes", f"{numbers['nodes_connected']:,.0f} of {numbers['nodes_wanted']:,.0f} connected to"
    yield "messages", f"{numbers['messages_total']:,.0f} told of by nodes"
    attempts, dropped = numbers.get("attempts_total", 0), numbers["dropped_total"]
    yield "sent", f"{attempts:,.0f} attempts, {numbers['queued']:,.0f} waiting, {dropped:,.0f} dropped"
    yield from health.tail(numbers)
