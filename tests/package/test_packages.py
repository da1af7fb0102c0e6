"""The check of the import graph finds what it is there for, and nothing in the tree as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lint import packages


def tree(directory: Path, files: dict[str, str]) -> Path:
    for name, text in {"__init__.py": "", **files}.items():
        path = directory / "allium" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


def test_nothing_is_wrong_here() -> None:
    assert packages.offences(packages.SOURCE) == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"base/__init__.py": "", "base/a.py": "from allium import errors\n", "errors.py": ""}, []),
        ({"base/__init__.py": "", "base/a.py": "from allium import node\n", "node/__init__.py": ""}, ["base -> node"]),
        # In a function it counts; for type checkers only, it does not.
        ({"base/a.py": "def f():\n    import allium.node.x\n", "node/x.py": ""}, ["allium/base/a.py:2: base -> node"]),
        ({"base/a.py": "if TYPE_CHECKING:\n    import allium.node.x\n", "node/x.py": ""}, []),
        (
            {"base/a.py": "if TYPE_CHECKING:\n    pass\nelse:\n    from allium.node import x\n", "node/x.py": ""},
            [":4:"],
        ),
        ({"base/a.py": "from . import b\n", "base/b.py": "from .a import c\n"}, ["circle of files"] * 2),
        ({"base/a.py": "from ..node import x\n", "node/x.py": ""}, ["base -> node"]),
        (
            {
                "node/a.py": "from allium.operate import a\n",
                "operate/a.py": "",
                "operate/b.py": "from allium.node import b\n",
                "node/b.py": "",
            },
            ["operate -> node is no", "circle of packages", "circle of packages"],
        ),
        ({"appchain/a.py": "from pathlib import Path\n"}, ["appchain -> pathlib"]),
        ({"loose.py": ""}, ["loose.py:1: a module beside"]),
        ({"other/a.py": ""}, ["other:1: a package without"]),
    ],
)
def test_what_it_finds(tmp_path: Path, files: dict[str, str], expected: list[str]) -> None:
    found = packages.offences(tree(tmp_path, files))
    assert len(found) == len(expected), found
    assert all(text in line for text, line in zip(expected, found, strict=True)), found


def test_the_drawing_in_the_documentation_is_current() -> None:
    assert packages.drawing(packages.SOURCE) == packages.PICTURE.read_text()
