"""A graph without circles as an SVG: what imports stands above what it imports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

ROW, GAP, HEIGHT, LETTER, PADDING, MARGIN = 84, 28, 30, 8.2, 14, 12
_STYLE = """
    text { font: 600 13px ui-monospace, Menlo, Consolas, monospace; text-anchor: middle; fill: #2b2140; }
    rect { fill: #efe9f7; stroke: #7a55b5; }
    path { fill: none; stroke: #7a55b5; stroke-opacity: .55; stroke-width: 1.4; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e2daf0; } rect { fill: #2c2440; stroke: #a98be0; } path { stroke: #a98be0; }
    }
"""


def rows(edges: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """The nodes, lowest row first: each one row above the highest that it leads to; as near to its ends as may be."""
    depth: dict[str, int] = {}

    def of(node: str) -> int:
        if node not in depth:
            depth[node] = 1 + max((of(end) for end in edges.get(node, ())), default=-1)
        return depth[node]

    nodes = list(edges) + [end for ends in edges.values() for end in ends if end not in edges]
    found: list[list[str]] = [[] for _ in range(1 + max(of(node) for node in nodes))]
    for node in dict.fromkeys(nodes):
        found[depth[node]].append(node)
    place = {node: number / len(row) for row in found for number, node in enumerate(row)}
    for row in found[1:]:
        centre = {node: sum(place[end] for end in edges[node]) / len(edges[node]) for node in row}
        row.sort(key=lambda node: (centre[node], node))
        place.update({node: (number + 0.5) / len(row) for number, node in enumerate(row)})
    return found


def svg(edges: Mapping[str, Sequence[str]], title: str) -> str:
    """The picture; `title` is what a screen reader says."""
    layers = rows(edges)
    breadth = {node: len(node) * LETTER + 2 * PADDING for row in layers for node in row}
    widths = [sum(breadth[node] for node in row) + GAP * (len(row) - 1) for row in layers]
    width, height = max(widths) + 2 * MARGIN, ROW * (len(layers) - 1) + HEIGHT + 2 * MARGIN
    centre: dict[str, tuple[float, float]] = {}
    for number, row in enumerate(layers):
        spare = (width - 2 * MARGIN - widths[number]) / (len(row) + 1)
        x, y = MARGIN + spare, MARGIN + ROW * (len(layers) - 1 - number) + HEIGHT / 2
        for node in row:
            centre[node] = (x + breadth[node] / 2, y)
            x += breadth[node] + GAP + spare
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img">',
        f"  <title>{escape(title)}</title>",
        f"  <style>{_STYLE}  </style>",
    ]
    for begin, ends in edges.items():
        for end in ends:
            (x, y), (to_x, to_y) = centre[begin], centre[end]
            y, to_y = y + HEIGHT / 2, to_y - HEIGHT / 2
            bend = min(ROW, (to_y - y)) / 2
            points = (x, y), (x, y + bend), (to_x, to_y - bend), (to_x, to_y)
            start, *curve = (f"{at:.0f} {down:.0f}" for at, down in points)
            lines.append(f'  <path d="M{start}C{" ".join(curve)}"/>')
    for node, (x, y) in centre.items():
        size = breadth[node]
        lines.append(
            f'  <rect x="{x - size / 2:.0f}" y="{y - HEIGHT / 2:.0f}" width="{size:.0f}" height="{HEIGHT}" rx="7"/>'
        )
        lines.append(f'  <text x="{x:.0f}" y="{y + 4.5:.1f}">{escape(node)}</text>')
    return "\n".join([*lines, "</svg>", ""])
