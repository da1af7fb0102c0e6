"""Draws `demo.svg`: what `make demo` shows on a terminal before Ctrl-C ends it. `make pictures` calls it.

Nothing in it is made up: the demo runs, with its nodes, and its last screen is kept. The link in it is dead by then.
"""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from allium.cli import demo_screen

OUT = Path(__file__).with_name("demo.svg")
NODES = 15
#: The site's dark colours: those of a terminal, black, red, green, yellow, blue, magenta, cyan, white.
_GROUND, _TEXT = (23, 20, 31), (226, 218, 240)
_COLOURS = [(236, 112, 120), (98, 190, 142), (214, 178, 94), (120, 166, 240), (190, 140, 235), (90, 195, 205), _TEXT]
THEME = TerminalTheme(_GROUND, _TEXT, [_GROUND, *_COLOURS], [(140, 130, 160), *_COLOURS])


class Shown(demo_screen.DemoScreen):
    """Keeps the last screen in place of what was printed line by line."""

    def __exit__(self, *raised: object) -> None:
        """As on a terminal: the network above all steps."""
        super().__exit__(*raised)
        self.console.export_text(clear=True)
        self.console.print("[bold]$[/] make demo")
        self.console.print(self.render())


def main() -> int:
    """Runs the demo; its exit code."""
    console = Console(record=True, highlight=False, force_terminal=False, width=96)
    demo_screen.Console = lambda **_: console
    demo_screen.DemoScreen = Shown
    # What comes after is Ctrl-C.
    demo_screen.signal.sigwait = lambda _: signal.SIGINT
    if code := demo_screen.main(NODES, once=False):
        return code
    drawn = console.export_svg(title="fifteen real nodes on one machine", theme=THEME, unique_id="demo")
    # Rich names fonts of another site: those of the machine do.
    drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.S).replace("Fira Code, monospace", "monospace")
    OUT.write_text("\n".join(line.rstrip() for line in drawn.splitlines()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
