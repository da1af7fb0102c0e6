"""What grows as a network grows, drawn as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

from allium.devnet.simulation.costs import Purpose
from allium.devnet.simulation.outcome import Outcome, Times
from allium.liveness.clocks import HOUR

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw(outcomes: Sequence[Outcome], directory: Path) -> list[Path]:
    """Writes the drawings; outcomes are by ascending size."""
    directory.mkdir(parents=True, exist_ok=True)
    return [
        _costs(outcomes, directory / "costs.svg"),
        _times(
            "From death to decommission, hours",
            outcomes,
            [run.to_decommission for run in outcomes],
            HOUR,
            directory / "death-to-decommission.svg",
        ),
        _times(
            "From proposal to agreement, seconds",
            outcomes,
            [run.agreement for run in outcomes],
            1.0,
            directory / "agreement.svg",
        ),
    ]


def _costs(outcomes: Sequence[Outcome], path: Path) -> Path:
    figure, axes = _axes("Sent per node and hour, kB")
    axes.set_yscale("log")
    for purpose in Purpose:
        axes.plot(_sizes(outcomes), [run.sent[purpose].bytes / 1e3 for run in outcomes], marker="o", label=purpose)
    return _save(figure, axes, path)


def _times(title: str, outcomes: Sequence[Outcome], times: Sequence[Times], unit: float, path: Path) -> Path:
    figure, axes = _axes(title)
    measured = [
        (size, each.median / unit, each.p99 / unit)
        for size, each in zip(_sizes(outcomes), times, strict=True)
        if each.median is not None and each.p99 is not None
    ]
    sizes = [size for size, _, _ in measured]
    axes.plot(sizes, [median for _, median, _ in measured], marker="o", label="median")
    axes.plot(sizes, [p99 for _, _, p99 in measured], marker="o", label="p99")
    axes.set_ylim(bottom=0)
    return _save(figure, axes, path)


def _sizes(outcomes: Sequence[Outcome]) -> list[int]:
    return [run.scenario.nodes for run in outcomes]


def _axes(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7.2, 4.0), layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel="nodes", xscale="log")
    axes.grid(visible=True, alpha=0.3)
    return figure, axes


def _save(figure: Figure, axes: Axes, path: Path) -> Path:
    axes.legend()
    # Equal outcomes are to give equal files; texts stay texts.
    with mpl.rc_context({"svg.hashsalt": "allium", "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None, "Creator": None})
    return path
