"""What `make lint` runs of our own fails on what it is there for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

LINT = ROOT / "tests" / "lint"


def run(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """As `make lint` runs it."""
    command = [sys.executable, str(LINT / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with nothing that is wrong."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / "tests" / "lint").mkdir(parents=True)
    (tmp_path / "engine" / "src").mkdir(parents=True)
    (tmp_path / ".gitignore").write_text("/target\n")
    return tmp_path


def lengths(checkout: Path, listed: str, files: dict[str, int]) -> str:
    """What it says of files of so many lines; nothing: all is well."""
    (checkout / "tests" / "lint" / "lengths.txt").write_text(f"# Those that are longer.\n\n{listed}")
    for name, lines in files.items():
        (checkout / name).parent.mkdir(exist_ok=True)
        (checkout / name).write_text("line\n" * lines)
    done = run("lengths.py", checkout)
    assert (done.returncode, done.stdout) == (1 if done.stderr else 0, ""), done
    return done.stderr


@pytest.mark.parametrize("suffix", ["rs", "py", "pyi", "pyx", "vy"])
def test_a_source_file_has_500_lines_at_most(checkout: Path, suffix: str) -> None:
    path = f"engine/src/node.{suffix}"
    assert lengths(checkout, "", {path: 500}) == ""
    assert lengths(checkout, "", {path: 501}) == f"{path} has 501 lines, more than 500: split it\n"
    # Also once git has it.
    subprocess.run(["git", "add", "."], cwd=checkout, check=True)
    assert "501 lines" in lengths(checkout, "", {})


def test_what_nobody_writes_may_be_long(checkout: Path) -> None:
    assert lengths(checkout, "", {"engine/wire_pb2.py": 900, "target/built.rs": 900, "engine/long.txt": 900}) == ""


def test_a_long_file_on_the_list_does_not_grow(checkout: Path) -> None:
    listed = "600 engine/src/node.rs  it is one table\n"
    for lines in (501, 600):
        assert lengths(checkout, listed, {"engine/src/node.rs": lines}) == ""
    assert "has grown from 600 to 601 lines" in lengths(checkout, listed, {"engine/src/node.rs": 601})


def test_a_file_that_is_short_enough_or_gone_leaves_the_list(checkout: Path) -> None:
    listed = "600 engine/src/node.rs  it is one table\n"
    assert "engine/src/node.rs has 500 lines: take it out" in lengths(checkout, listed, {"engine/src/node.rs": 500})
    (checkout / "engine" / "src" / "node.rs").unlink()
    assert "engine/src/node.rs is no source file any more" in lengths(checkout, listed, {})


@pytest.mark.parametrize("line", ["600 engine/src/node.rs", "engine/src/node.rs  it is one table", "many a.rs  why"])
def test_a_long_file_has_its_reason(checkout: Path, line: str) -> None:
    assert "not a number, a new path and a reason" in lengths(checkout, f"{line}\n", {"engine/src/node.rs": 600})
