"""The import graph of `python/allium`: which package may import which, and that none imports itself in a circle.

    tests/lint/packages.py                 name every offence as "file:line: a -> b …"; exit code 1 if there is one
    tests/lint/packages.py --check-docs    the same, and docs/pictures/packages.svg of another graph is one
    tests/lint/packages.py --write-docs    draw it

An import counts wherever it stands, in a function too: one that only makes the start cheap is an arrow like any other.
What stands under `if TYPE_CHECKING` does not count, because nothing of it is there when the program runs. The sources
are read and never imported.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.lint import picture

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "python"
PACKAGE = "allium"
PICTURE = ROOT / "docs" / "pictures" / "packages.svg"

#: The arrows: what each package, or module beside the packages, may import. This table is their only home.
#: `allium` is `allium/__init__.py`; `_native` the engine.
ARROWS: Mapping[str, str] = {
    "__main__": "base cli errors node",
    "cli": "allium appchain base client consensus devnet errors files liveness messenger node operate portal push "
    "settings staking takeover wallet _native",
    "devnet": "appchain base consensus errors files liveness membership node portal settings staking wallet _native",
    "node": "appchain base claims consensus errors liveness membership operate settings staking _native",
    "operate": "allium appchain base client consensus errors liveness membership settings staking _native",
    "messenger": "base client errors geography",
    "files": "base client errors operate server settings",
    "portal": "allium appchain base claims client consensus errors geography liveness membership operate server "
    "settings staking wallet _native",
    "push": "base errors membership operate server settings _native",
    "server": "allium base errors operate settings _native",
    "takeover": "base errors settings _native",
    "wallet": "appchain base claims client settings staking _native",
    "claims": "appchain base consensus _native",
    "liveness": "allium appchain base consensus _native",
    "membership": "appchain base consensus errors settings",
    "consensus": "appchain base errors _native",
    "client": "base errors _native",
    "staking": "appchain base errors",
    "appchain": "",
    "geography": "",
    "settings": "base errors _native",
    "base": "errors",
    "allium": "engine",
    "engine": "_native",
    "errors": "",
    "_native": "",
}
#: What may lie beside the packages.
LOOSE = frozenset({"__init__.py", "__main__.py", "_native.pyi", "engine.py", "errors.py", "py.typed"})
#: Packages that are pure functions, and all that they may import besides themselves: nothing that does I/O.
_VALUES = "__future__ bisect collections copy dataclasses enum functools hashlib heapq itertools types typing"
PURE: Mapping[str, str] = {"appchain": f"{_VALUES} Cryptodome bencode2 nacl sys"}


@dataclass(frozen=True)
class Import:
    """One module that another one imports, by their dotted names."""

    importer: str
    imported: str
    path: Path
    line: int

    @property
    def arrow(self) -> tuple[str, str]:
        """The packages at its ends."""
        return package(self.importer), package(self.imported)


def package(module: str) -> str:
    """The package right under `allium` that has a module, or the module itself when it lies beside them."""
    return module.split(".")[1] if "." in module else module


def modules(source: Path) -> dict[str, Path]:
    """Every module of the package, and where it is; a stub or a Cython source stands for what is compiled."""
    found: dict[str, Path] = {}
    for suffix in (".py", ".pyi", ".pyx"):
        for path in sorted((source / PACKAGE).rglob(f"*{suffix}")):
            name = ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
            found.setdefault(name, path)
    return found


def imports(name: str, path: Path, known: Mapping[str, Path]) -> Iterator[Import]:
    """What one module imports of the package, and of others by their first name."""
    if path.suffix != ".py":
        return
    where = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in _running(ast.parse(path.read_bytes(), str(path))):
        for imported in _imported(node, where, known):
            yield Import(name, imported, path, node.lineno)


def _running(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports of a tree, without those that are there for type checkers only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and _is_type_checking(node.test):
            for branch in node.orelse:
                yield from _running(ast.Module([branch], []))
        else:
            yield from _running(node)


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _imported(node: ast.Import | ast.ImportFrom, where: str, known: Mapping[str, Path]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (_nearest(alias.name, known) for alias in node.names)
        return
    base = node.module or ""
    if node.level:
        parts = where.split(".")
        base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
    for alias in node.names:
        yield _nearest(f"{base}.{alias.name}", known)


def _nearest(name: str, known: Mapping[str, Path]) -> str:
    """The module that has a name; of what is not the package's, the first part."""
    if name.split(".")[0] != PACKAGE:
        return name.split(".")[0]
    while name not in known and "." in name:
        name = name.rpartition(".")[0]
    return name


def cycles(edges: Mapping[str, frozenset[str]]) -> list[list[str]]:
    """A shortest circle through the first node of each set of nodes that reach each other."""
    reach = {node: _reached(node, edges) for node in edges}
    found, seen = [], set[str]()
    for node in sorted(edges):
        if node in reach[node] and node not in seen:
            seen |= {other for other in reach[node] if node in reach[other]}
            found.append(_circle(node, edges))
    return found


def _reached(start: str, edges: Mapping[str, frozenset[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        for other in edges.get(waiting.pop(), ()):
            if other not in reached:
                reached.add(other)
                waiting.append(other)
    return reached


def _circle(start: str, edges: Mapping[str, frozenset[str]]) -> list[str]:
    ways = [[start]]
    for way in ways:
        for other in sorted(edges.get(way[-1], ())):
            if other == start:
                return [*way, start]
            if all(other != each[-1] for each in ways):
                ways.append([*way, other])
    raise AssertionError(f"{start} is on no circle")


def graph(pairs: Sequence[tuple[str, str]]) -> dict[str, frozenset[str]]:
    """Edges by the node where they begin."""
    nodes = {node for pair in pairs for node in pair}
    return {node: frozenset(end for begin, end in pairs if begin == node and end != node) for node in nodes}


def offences(source: Path) -> list[str]:
    """All that is wrong, a line each."""
    known = modules(source)
    every = [found for name, path in known.items() for found in imports(name, path, known)]
    inside = [found for found in every if found.imported.split(".")[0] == PACKAGE and found.imported != found.importer]
    return [*_loose(source), *_arrows(inside), *_pure(every), *_circles(inside)]


def _loose(source: Path) -> Iterator[str]:
    for path in sorted((source / PACKAGE).iterdir()):
        if path.is_file() and path.suffix != ".so" and path.name not in LOOSE:
            yield f"{_shown(path)}:1: a module beside the packages; put it into the one whose idea it is"
        elif path.is_dir() and any(path.rglob("*.py")) and path.name not in ARROWS:
            yield f"{_shown(path)}:1: a package without a line in ARROWS ({_shown(Path(__file__))})"


def _arrows(inside: Sequence[Import]) -> Iterator[str]:
    for found in inside:
        begin, end = found.arrow
        if begin != end and end not in ARROWS.get(begin, "").split():
            yield (
                f"{_shown(found.path)}:{found.line}: {begin} -> {end} is no allowed arrow "
                f"({found.importer} imports {found.imported})"
            )


def _pure(every: Sequence[Import]) -> Iterator[str]:
    for found in every:
        begin, _ = found.arrow
        outside = found.imported.split(".")[0] != PACKAGE
        if begin in PURE and outside and found.imported not in PURE[begin].split():
            yield f"{_shown(found.path)}:{found.line}: {begin} -> {found.imported}, which a pure package needs not"


def _circles(inside: Sequence[Import]) -> Iterator[str]:
    files = [(found.importer, found.imported) for found in inside]
    # A circle of packages is one of files, or of several files in each.
    for kind, pairs in (("files", files), ("packages", [found.arrow for found in inside])):
        for circle in cycles(graph(pairs)):
            for step in pairwise(circle):
                found = inside[pairs.index(step)]
                yield f"{_shown(found.path)}:{found.line}: {step[0]} -> {step[1]} in a circle of {kind}: " + (
                    " -> ".join(circle)
                )


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def arrows(source: Path) -> dict[str, list[str]]:
    """The arrows that are allowed and used, by where they begin; one that follows from two others is left out."""
    known = modules(source)
    pairs = {found.arrow for name, path in known.items() for found in imports(name, path, known)}
    used = {(begin, end) for begin, end in pairs if begin != end and end in ARROWS.get(begin, "").split()}
    edges = graph(sorted(used))
    order = list(ARROWS)
    found: dict[str, list[str]] = {}
    for begin in order:
        for end in order:
            if (begin, end) in used:
                by_others = edges[begin] - {end}
                if not any(end in _reached(other, edges) for other in by_others):
                    found.setdefault(begin, []).append(end)
    return found


def drawing(source: Path) -> str:
    """The picture of the arrows, as SVG."""
    return picture.svg(arrows(source), "The packages of python/allium; each stands above those that it imports.")


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description="The import graph of the Python packages.")
    parser.add_argument("--check-docs", action="store_true", help="fail when the picture is of another graph")
    parser.add_argument("--write-docs", action="store_true", help="draw the picture")
    chosen = parser.parse_args()
    if chosen.write_docs:
        PICTURE.write_text(drawing(SOURCE), encoding="utf-8")
        return 0
    found = offences(SOURCE)
    if chosen.check_docs and drawing(SOURCE) != PICTURE.read_text(encoding="utf-8"):
        found.append(f"{_shown(PICTURE)}:1: not the graph that there is; run {_shown(Path(__file__))} --write-docs")
    for offence in found:
        print(offence)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
