"""Takes the pictures of the portal's explorer, `explorer-*.png`, of what Chromium really shows.

    PYTHONPATH=python:. python docs/pictures/explorer.py

The network in them is made for the tests (`tests/support/explorer.py`): its nodes are nobody's.
"""

from __future__ import annotations

import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from tests.support.browser import Tab, launched
from tests.support.explorer import explored

OUT = Path(__file__).parent
#: Colours of a picture: enough for a page, and a third of the bytes.
COLOURS = 256
NODES = 230
PICTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "overview": ("", {"color_scheme": "light"}),
    "nodes": ("/nodes?sort=state&order=desc", {"color_scheme": "dark"}),
    "countries": ("/countries", {"color_scheme": "light"}),
    "phone": ("/swarms", {"color_scheme": "dark", "viewport": {"width": 390, "height": 760}}),
}


def main() -> None:
    """Takes all of them."""
    with tempfile.TemporaryDirectory() as directory, explored(Path(directory), NODES) as made, launched() as browser:
        for name, (path, options) in PICTURES.items():
            tab = Tab(browser, f"{made.url}/explorer{path}", **options)
            with Image.open(BytesIO(tab.page.screenshot())) as image:
                image.convert("RGB").quantize(COLOURS).save(OUT / f"explorer-{name}.png", optimize=True)
            tab.close()


if __name__ == "__main__":
    main()
