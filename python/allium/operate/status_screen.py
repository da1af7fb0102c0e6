"""One screen that says whether all is well with a node."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from allium.appchain.parameters import SESH

_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red"}


def screen(told: dict[str, Any], lines: Iterable[tuple[str, str]] | None = None) -> RenderableType:
    """What `status` says, for a person; `lines` are those of something else than a node."""
    problems = told["problems"]
    head = Text("all is well", style="bold green")
    if problems:
        worst = problems[0]["level"]
        text = "does not do its work" if worst == "failed" else "serves, and something needs looking after"
        head = Text(text, style=f"bold {_COLOURS[worst]}")
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in _lines(told) if lines is None else lines:
        table.add_row(Text(name, style="dim"), Text(value))
    return Group(head, *(_problem(problem) for problem in problems), Text(""), table)


def _problem(problem: dict[str, str]) -> Text:
    mark = "✗" if problem["level"] == "failed" else "!"
    return Text.assemble(
        (f"{mark} {problem['what']}\n", _COLOURS[problem["level"]]), f"  {problem['remedy']}", overflow="ignore"
    )


def _lines(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    engine, disk = told["engine"], told["disk"]
    yield "node", f"allium {told['version']}, process {told['pid']}, up {_duration(told['now'] - told['started'])}"
    swarm = f", {engine['swarm_members']} in its swarm" if engine["swarm_members"] else ""
    sizes = f"{engine['nodes']:,} nodes, swarms: {engine['swarms']:,}"
    yield "network", f"height {engine['height']:,}, {sizes}{swarm}"
    if told["daemon"] is not None:
        yield "daemon", "connected" if told["daemon"]["connected"] else "not connected"
    held, limit = engine["store_bytes"], engine["store_max_bytes"]
    yield "store", f"{engine['messages']:,} messages, {_size(held)} of {_size(limit)} ({held / limit:.0%})"
    yield "disk", f"{_size(disk['free'])} free of {_size(disk['size'])}"
    yield "requests", _requests(engine)
    busy = [f"{name} {taken}/{limit}" for name, taken, limit in engine["queues"] if taken]
    yield "queues", ", ".join(busy) or "empty"
    missed = (
        f"{engine['missed']:,} kept for {engine['members_behind']} members" if engine["missed"] else "nobody is behind"
    )
    yield "swarm", f"{missed}, {engine['transfers']} transfers, {engine['quic_peers']} QUIC peers"
    yield "tested", _tested(told)
    yield from _chain(told["chain"])


def _requests(engine: dict[str, Any]) -> str:
    count = sum(count for via, _, _, count in engine["requests"] if via != "batch")
    failed = sum(count for via, _, code, count in engine["requests"] if via != "batch" and code >= 500)
    onions = sum(count for _, _, count in engine["onions"])
    refused = sum(count for _, _, count in engine["refusals"])
    return f"{count:,} answered ({failed:,} with an error of ours), {onions:,} onion layers, {refused:,} turned away"


def _tested(told: dict[str, Any]) -> str:
    ago = [
        f"{transport} {_duration(told['now'] - seconds)} ago" if seconds else f"{transport} never"
        for transport, seconds in told["pinged"].items()
    ]
    return f"by others: {', '.join(ago)}; {told['engine']['unreachable']} others not reached"


def _chain(chain: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    if chain is None:
        return
    height = f"height {chain['height']:,}, {_duration(chain['lag'])} old" if chain["height"] else "has no block yet"
    yield "chain", f"{height}; EVM block {chain['l2_height']:,}"
    if chain["providers"]:
        good = sum(provider["trouble"] is None for provider in chain["providers"])
        yield "providers", f"{good} of {len(chain['providers'])} relied on"
    if (committee := chain["committee"]) is not None:
        part = "votes" if committee["votes"] else "follows"
        peers = "does not answer" if committee["height"] is None else f"{committee['peers']} peers"
        yield "CometBFT", f"{part}, committee of {committee['members']}, {peers}"
    stake = chain["stake"]
    if stake["registered"]:
        credit = _duration(max(0, stake["credit"]) * chain["block_seconds"])
        earns = "earns" if stake["is_payable"] else "does not earn yet"
        yield "stake", f"{stake['staked'] / SESH:,.0f} SESH, {earns}, credit {credit}"
        yield "reward", f"{stake['earned'] / SESH:,.9f} SESH earned by the operator so far"
        if stake["unlock_height"]:
            yield "leaving", f"after height {stake['unlock_height']:,}"


def _duration(seconds: float) -> str:
    seconds = max(0, round(seconds))
    for size, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {name}"
    return f"{seconds} s"


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def clock() -> Text:
    """For a screen that is shown again and again."""
    return Text(time.strftime("%H:%M:%S"), style="dim")
