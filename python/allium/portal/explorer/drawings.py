"""Drawings: a line over time, swarms as a ring, a map of countries. Each says in words what it shows."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

from allium import geography
from allium.portal.explorer.markup import Content, Markup, element
from allium.portal.explorer.shown import LAST_SECOND
from allium.portal.explorer.snapshot import SwarmRow

_CHART_WIDTH, _CHART_HEIGHT, _LEFT, _BOTTOM, _TOP = 720, 240, 84, 26, 12
_TICKS = 4
_RING, _RADIUS = 400, 150
_CLASSES = 5


def _drawing(width: int, height: int, name: str, title: str, description: str, *content: Content) -> Markup:
    attributes = {
        "viewBox": f"0 0 {width} {height}",
        "role": "img",
        "class": name,
        "aria-labelledby": f"{name}-title {name}-words",
    }
    told = (
        element("title", {"id": f"{name}-title"}, title),
        element("desc", {"id": f"{name}-words"}, description),
    )
    return element("svg", attributes, told, *content)


def line(name: str, title: str, points: Sequence[tuple[int, int]], unit: int, words: str) -> Markup:
    """Values over Unix times, ascending; `unit` is what one on the axis is, `words` what it comes to."""
    first, last = points[0][0], points[-1][0]
    step = _step(max(1, max(value for _, value in points)), unit)
    most = step * _TICKS
    across, up = _CHART_WIDTH - _LEFT - 12, _CHART_HEIGHT - _TOP - _BOTTOM

    def x(when: int) -> float:
        return _LEFT + (across if last == first else across * (when - first) / (last - first))

    def y(value: int) -> float:
        return _TOP + up - up * value / most

    axis: list[Content] = []
    for tick in range(_TICKS + 1):
        height = f"{y(tick * step):.1f}"
        axis.append(element("line", {"class": "grid", "x1": _LEFT, "x2": _LEFT + across, "y1": height, "y2": height}))
        label = {"class": "tick end", "x": _LEFT - 8, "y": f"{y(tick * step) + 4:.1f}"}
        axis.append(element("text", label, f"{tick * step / unit:,.6g}"))
    form = "%Y-%m-%d" if last - first > 2 * 86_400 else "%d %b %H:%M"
    for when, kind in ((first, "tick"), (last, "tick end")) if last > first else ((last, "tick end"),):
        label = {"class": kind, "x": f"{x(when):.1f}", "y": _CHART_HEIGHT - 6}
        axis.append(element("text", label, time.strftime(form, time.gmtime(min(when, LAST_SECOND)))))
    places = [f"{x(when):.1f},{y(value):.1f}" for when, value in points]
    ends = f"{x(first):.1f},{_TOP + up} {' '.join(places)} {x(last):.1f},{_TOP + up}"
    dot = {"class": "dot", "cx": f"{x(last):.1f}", "cy": f"{y(points[-1][1]):.1f}", "r": 4}
    drawn = (
        element("polygon", {"class": "area", "points": ends}),
        element("polyline", {"class": "line", "points": " ".join(places)}),
        element("circle", dot),
    )
    return _drawing(_CHART_WIDTH, _CHART_HEIGHT, name, title, words, axis, drawn)


def _step(most: int, unit: int) -> int:
    """A round number of units, or of a part of one, of which `_TICKS` reach up to `most`."""
    wanted = most / _TICKS
    power = 10 ** math.floor(math.log10(wanted))
    for factor in (1, 2, 2.5, 5, 10):
        step: int = math.ceil(factor * power)
        if step * _TICKS >= most:
            return step
    return math.ceil(wanted)


def ring(swarms: Sequence[SwarmRow], marked: int | None) -> Markup:
    """Swarms where their ids are on the ring of 2^64, each with the arc of the accounts that map to it."""
    middle, space = _RING // 2, 1 << 64
    most = max((swarm.nodes for swarm in swarms), default=1)
    arcs: list[Content] = []
    dots: list[Content] = []
    for place, swarm in enumerate(swarms):
        before = swarms[place - 1]
        start = (swarm.id - (swarm.id - before.id) % space / 2) / space if len(swarms) > 1 else 0.0
        kind = f"arc arc{place % 2}{' marked' if swarm.id == marked else ''}"
        arcs.append(_arc(middle, start, swarm.accounts / space, kind))
        x, y = _around(middle, _RADIUS, swarm.id / space)
        told = element("title", None, f"Swarm {swarm.name}: {swarm.nodes} nodes")
        size = f"{3 + 6 * math.sqrt(swarm.nodes / most) * min(1.0, 40 / len(swarms)):.1f}"
        kind = "swarm marked" if swarm.id == marked else "swarm"
        dots.append(element("circle", {"class": kind, "cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": size}, told))
    count = element("text", {"class": "middle", "x": middle, "y": middle + 4}, f"{len(swarms):,}")
    under = element("text", {"class": "tick centre", "x": middle, "y": middle + 26}, "swarms")
    words = (
        f"{len(swarms)} swarms on a ring of 2 to the 64 places, which begins at the top and goes clockwise. "
        "The table below has each with its place, its nodes and its part of all accounts."
    )
    return _drawing(_RING, _RING, "ring", "Swarms on their ring", words, arcs, dots, count, under)


def _arc(middle: int, start: float, part: float, kind: str) -> Markup:
    radius = _RADIUS + 22
    if part >= 1:
        return element("circle", {"class": kind, "cx": middle, "cy": middle, "r": radius})
    (x0, y0), (x1, y1) = _around(middle, radius, start), _around(middle, radius, start + part)
    drawn = f"M{x0:.1f},{y0:.1f}A{radius},{radius} 0 {int(part > 0.5)} 1 {x1:.1f},{y1:.1f}"
    return element("path", {"class": kind, "d": drawn})


def _around(middle: int, radius: int, turn: float) -> tuple[float, float]:
    angle = 2 * math.pi * turn
    return middle + radius * math.sin(angle), middle - radius * math.cos(angle)


def world_map(counts: Mapping[str, int]) -> Markup:
    """Countries by how many nodes they have."""
    world, most = geography.world(), max(counts.values(), default=1)
    lands: list[Content] = []
    dots: list[Content] = []
    for code, country in world.countries.items():
        count = counts.get(code, 0)
        # Steps of equal ratio: a few countries have most nodes.
        level = 0 if not count else 1 + min(_CLASSES - 1, int(_CLASSES * math.log(count) / math.log(most + 1)))
        told = element("title", None, f"{country.name}: {count} nodes") if count else None
        if country.outline:
            lands.append(element("path", {"class": f"land c{level}", "d": country.outline}, told))
        if country.dot is not None and count:
            x, y = country.dot
            dots.append(element("circle", {"class": f"land c{level}", "cx": x, "cy": y, "r": 8}, told))
    words = f"Nodes in {sum(map(bool, counts.values()))} countries. The table below has each with its number."
    return _drawing(world.width, world.height, "map", "Where nodes are", words, lands, dots)
