"""Source files can be read in one sitting: `lengths.py [CHECKOUT]` fails on one of more than 500 lines.

`tests/lint/lengths.txt` names those that are longer: the most lines that each may have, its path, and why. They do not
grow, and one that is short enough leaves the list.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

LIMIT = 500
SUFFIXES = {".rs", ".py", ".pyi", ".pyx", ".vy"}
EXCEPTIONS = "tests/lint/lengths.txt"


class Exempt(NamedTuple):
    """A line of the list."""

    most: int
    why: str


def listed(text: str) -> dict[str, Exempt]:
    """The list; `ValueError` for a line that is none."""
    found: dict[str, Exempt] = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        match line.split(maxsplit=2):
            case [most, path, why] if most.isdecimal() and path not in found:
                found[path] = Exempt(int(most), why)
            case _:
                raise ValueError(f"{EXCEPTIONS}: not a number, a new path and a reason: {line}")
    return found


def lengths(checkout: Path) -> dict[str, int]:
    """Lines of each source file that git has or would take, but for generated ones."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True).stdout.split("\0")
    sources = [name for name in names if Path(name).suffix in SUFFIXES and "_pb2." not in name]
    return {name: len((checkout / name).read_bytes().splitlines()) for name in sources if (checkout / name).is_file()}


def faults(found: Mapping[str, int], exempt: Mapping[str, Exempt]) -> Iterator[str]:
    """What is wrong, a line each."""
    for path, lines in sorted(found.items()):
        if path not in exempt:
            if lines > LIMIT:
                yield f"{path} has {lines} lines, more than {LIMIT}: split it"
        elif lines <= LIMIT:
            yield f"{path} has {lines} lines: take it out of {EXCEPTIONS}"
        elif lines > exempt[path].most:
            yield f"{path} has grown from {exempt[path].most} to {lines} lines: split it"
    for path in sorted(exempt.keys() - found.keys()):
        yield f"{path} is no source file any more: take it out of {EXCEPTIONS}"


def main(checkout: Path) -> int:
    """The exit code."""
    try:
        said = list(faults(lengths(checkout), listed((checkout / EXCEPTIONS).read_text())))
    except ValueError as error:
        said = [str(error)]
    print(*said, sep="\n", end="\n" if said else "", file=sys.stderr)
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
