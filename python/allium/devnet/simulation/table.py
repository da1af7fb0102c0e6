"""Outcomes for people: a table in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from allium.devnet.simulation.costs import Purpose
from allium.devnet.simulation.outcome import Outcome, Times
from allium.liveness.clocks import HOUR

#: A row: what it is called, and what it says of a run.
Row = tuple[str, Callable[[Outcome], str]]


def _times(times: Times, unit: float, digits: int = 1) -> str:
    if times.median is None or times.p99 is None:
        return "-"
    return f"{times.median / unit:.{digits}f} / {times.p99 / unit:.{digits}f}"


def _per_hour(count: float, outcome: Outcome) -> str:
    return f"{count / outcome.scenario.hours:,.1f}"


def _sent(purpose: Purpose, outcome: Outcome) -> str:
    sent = outcome.sent[purpose]
    return f"{sent.messages:,.0f} / {sent.bytes / 1e3:,.0f}"


def _all_sent(outcome: Outcome) -> str:
    messages = sum(sent.messages for sent in outcome.sent.values())
    return f"{messages:,.0f} / {sum(sent.bytes for sent in outcome.sent.values()) / 1e3:,.0f}"


def _hostile(outcome: Outcome) -> str:
    scenario = outcome.scenario
    return f"{scenario.hostile:.0%} {scenario.hostility}" if scenario.hostile else "none"


ROWS: Sequence[Row] = (
    ("nodes", lambda run: f"{run.scenario.nodes:,}"),
    ("hostile", _hostile),
    ("hours, heights", lambda run: f"{run.scenario.hours:g}, {run.heights}"),
    ("deaths, voted out", lambda run: f"{run.deaths:,}, {run.found:,}"),
    ("wrongful verdicts", lambda run: f"{run.wrongful:,}"),
    ("verdicts missed, of", lambda run: f"{run.missed:,} of {run.judged:,}"),
    ("death to decommission, h (median / p99)", lambda run: _times(run.to_decommission, HOUR)),
    ("pretenders, voted out", lambda run: f"{run.pretenders:,}, {run.pretenders_found:,}"),
    ("recommissions", lambda run: f"{run.recommissioned:,}"),
    ("swarms", lambda run: f"{run.swarms_at_end:,}"),
    ("swarms formed, dissolved", lambda run: f"{run.formed:,}, {run.dissolved:,}"),
    ("nodes moved per hour", lambda run: _per_hour(run.moved, run)),
    ("messages copied per hour", lambda run: f"{run.copies / run.scenario.hours:,.0f}"),
    ("copied per node and hour, kB", lambda run: f"{run.copied_bytes / 1e3:,.0f}"),
    ("agreement, s (median / p99)", lambda run: _times(run.agreement, 1, 2)),
    ("certificate with the committee, s (median / p99)", lambda run: _times(run.certificate, 1, 2)),
    ("heights that stalled", lambda run: f"{run.stalled:,}"),
    ("claims can be signed", lambda run: f"{run.claimable:.0%}"),
    *((f"sent per node and hour: {purpose}, messages / kB", partial(_sent, purpose)) for purpose in Purpose),
    ("sent per node and hour: all, messages / kB", _all_sent),
)


def markdown(outcomes: Sequence[Outcome]) -> str:
    """A table with a column for each run."""
    rows = [[name, *(says(outcome) for outcome in outcomes)] for name, says in ROWS]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [_line(row, widths) for row in rows]
    lines.insert(1, "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|")
    return "\n".join(lines)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
    return f"| {' | '.join(cells)} |"
