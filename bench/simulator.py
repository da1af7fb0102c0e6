"""What becomes of a network beyond one machine: `python bench/simulator.py` makes the tables of docs/simulator.md.

It makes the drawings too. Equal sources make equal tables. The largest network takes most of the time.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from allium.cli.simulate import run
from allium.devnet.simulation import plots, table
from allium.devnet.simulation.outcome import Outcome
from allium.devnet.simulation.scenario import Hostile, Scenario

DOCUMENT = Path(__file__).parent.parent / "docs" / "simulator.md"
#: As the network grows.
GROWING = [Scenario(nodes) for nodes in (100, 1_000, 10_000, 100_000)]
#: As more of it is hostile.
THOUSAND = Scenario(1_000)
HOSTILE = [
    replace(THOUSAND, hostile=share, hostility=kind)
    for kind, share in (
        (Hostile.LIE, 0.2),
        (Hostile.LIE, 0.33),
        (Hostile.LIE, 0.5),
        (Hostile.MUTE, 0.2),
        (Hostile.MUTE, 0.33),
        (Hostile.PRETEND, 0.1),
    )
]


def put(name: str, outcomes: Sequence[Outcome], document: Path = DOCUMENT) -> None:
    """Puts a table between its marks in the document."""
    begin, end = f"<!-- {name}: made by make simulate -->", f"<!-- end of {name} -->"
    text = document.read_text()
    before, after = text[: text.index(begin) + len(begin)], text[text.index(end) :]
    document.write_text(f"{before}\n\n{table.markdown(outcomes)}\n\n{after}")


def main() -> None:
    """Runs all, and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=int, default=GROWING[-1].nodes, help="leave larger networks out, to try it")
    most = parser.parse_args().largest
    growing = run([scenario for scenario in GROWING if scenario.nodes <= most])
    put("growing", growing)
    plots.draw(growing, DOCUMENT.with_suffix(""))
    put("hostile", run(HOSTILE))


if __name__ == "__main__":
    main()
