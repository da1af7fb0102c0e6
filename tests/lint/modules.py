"""Circles between the engine's modules: no file may need, over others, itself, and no module at the top either.

A `use`, or a path in the code, counts as an arrow to the file that defines what it names: what `mod.rs` only passes on
(`pub use`) is followed. What is compiled for tests alone does not count. Methods are not followed: a file with an
`impl` of a type needs the file that defines the type.

Run from the repository's root: `python tests/lint/modules.py [directory of lib.rs]`; ends with 1 if there is a circle.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ITEM = re.compile(
    r"^(?:pub(?:\([^)]*\))? )?(?:default |unsafe |async |const (?=fn|unsafe)|extern \"C\" )*"
    r"(?:struct|enum|trait|fn|type|const|static|union|macro_rules!) +(\w+)",
    re.MULTILINE,
)
MODULE = re.compile(r"^(?:pub(?:\([^)]*\))? )?mod (\w+);", re.MULTILINE)
USE = re.compile(r"^ *(?:pub(?:\([^)]*\))? )?use ([^;]+);", re.MULTILINE)
PATH = re.compile(r"(?<![\w:])((?:crate|self|super|[a-z_]\w*)(?:::\w+)+)")
FOR_TESTS = re.compile(
    r"^ *#\[cfg\((?:test|any\(test, feature = \"fuzzing\"\))\)\]\n(?: *#\[[^\n]*\]\n)*", re.MULTILINE
)

#: A module's path, without `crate`.
Module = tuple[str, ...]


@dataclass
class File:
    """One source file: a module."""

    path: Path
    module: Module
    code: str
    items: set[str]
    children: set[str]
    #: What `use` brings in, by the name that it has here.
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    #: Paths of which everything is brought in.
    globs: list[tuple[str, ...]] = field(default_factory=list)


def plain(text: str) -> str:
    """The code without comments and strings."""
    out, position = [], 0
    pattern = re.compile(r"//[^\n]*|/\*.*?\*/|b?r(#*)\".*?\"\1|b?\"(?:\\.|[^\"\\])*\"|'(?:\\.[^']*|[^'\\])'", re.DOTALL)
    for found in pattern.finditer(text):
        out.append(text[position : found.start()])
        out.append('""' if found.group().endswith('"') else "")
        position = found.end()
    return "".join([*out, text[position:]])


def without_tests(code: str) -> str:
    """The code without items that are compiled for tests alone."""
    while found := FOR_TESTS.search(code):
        position, depth = found.end(), 0
        while position < len(code):
            char = code[position]
            depth += (char == "{") - (char == "}")
            position += 1
            if depth == 0 and char in ";}":
                break
        code = code[: found.start()] + code[position:]
    return code


def split(tree: str) -> Iterator[str]:
    """The parts of a list in a `use`, at its commas."""
    depth, start = 0, 0
    for position, char in enumerate(tree):
        depth += (char == "{") - (char == "}")
        if char == "," and depth == 0:
            yield tree[start:position]
            start = position + 1
    yield tree[start:]


def leaves(tree: str, prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every path of a `use`, and the name that it gets (`*`: all names)."""
    tree = tree.strip()
    if not tree:
        return
    if tree.startswith("{"):
        for part in split(tree[1:-1]):
            yield from leaves(part, prefix)
        return
    head, found, rest = tree.partition("::")
    if found:
        yield from leaves(rest, (*prefix, head.strip()))
        return
    name, _, alias = tree.partition(" as ")
    path = prefix if name == "self" else (*prefix, name)
    yield path, alias.strip() or path[-1]


def read(source: Path) -> dict[Module, File]:
    """The files that `lib.rs` in this directory leads to, but for tests."""
    files: dict[Module, File] = {}
    waiting: list[tuple[Module, Path]] = [((), source / "lib.rs")]
    while waiting:
        module, path = waiting.pop()
        code = without_tests(plain(path.read_text()))
        children = set(MODULE.findall(code))
        files[module] = own = File(path, module, code, set(ITEM.findall(code)), children)
        folder = source.joinpath(*module)
        for child in children:
            places = (folder / f"{child}.rs", folder / child / "mod.rs")
            waiting += [((*module, child), place) for place in places if place.exists()]
        for use in USE.findall(code):
            for target, name in leaves(" ".join(use.split())):
                if name == "*":
                    own.globs.append(target[:-1])
                else:
                    own.names[name] = target
    return files


class Resolver:
    """Finds the file that defines what a path names."""

    def __init__(self, files: dict[Module, File]) -> None:
        self._files = files

    def target(self, module: Module, path: tuple[str, ...], seen: frozenset[tuple[Module, str]]) -> Module | None:
        """The module that defines what `path` in `module` names, `None` if it is of another crate."""
        first, rest = path[0], path[1:]
        if first == "crate":
            return self._walk((), rest, seen)
        if first == "self":
            return self._walk(module, rest, seen)
        if first == "super":
            return self.target(module[:-1], ("self", *rest), seen)
        return self._walk(module, path, seen, strict=True)

    def _walk(
        self, module: Module, path: tuple[str, ...], seen: frozenset[tuple[Module, str]], strict: bool = False
    ) -> Module | None:
        if not path:
            return module
        own, name, rest = self._files[module], path[0], path[1:]
        if name == "super":
            return self._walk(module[:-1], rest, seen)
        if name in own.children and (*module, name) in self._files:
            return self._walk((*module, name), rest, seen)
        if name in own.items:
            return module
        if (module, name) in seen:
            return None
        deeper = seen | {(module, name)}
        if name in own.names and own.names[name] != (name,):
            found = self.target(module, own.names[name], deeper)
            if found is not None and found[-1:] == own.names[name][-1:] and rest and found in self._files:
                return self._walk(found, rest, deeper)
            return found
        for glob in own.globs:
            place = self.target(module, glob, deeper)
            if place is not None and (found := self._walk(place, path, deeper, strict=True)) is not None:
                return found
        return None if strict else module


def arrows(files: dict[Module, File]) -> dict[Module, set[Module]]:
    """Which modules each needs."""
    resolver = Resolver(files)
    needed: dict[Module, set[Module]] = {}
    for module, own in files.items():
        passed_on = {
            target
            for use in re.findall(r"^pub(?:\([^)]*\))? use ([^;]+);", own.code, re.MULTILINE)
            for target, _ in leaves(" ".join(use.split()))
        }
        paths: set[tuple[str, ...]] = {path for path in own.names.values() if path not in passed_on}
        paths |= {path for path in own.globs if (*path, "*") not in passed_on}
        body = USE.sub("", own.code)
        paths |= {tuple(found.split("::")) for found in PATH.findall(body)}
        targets = (resolver.target(module, path, frozenset()) for path in paths)
        needed[module] = {target for target in targets if target is not None and target != module}
    return needed


def circles(needed: dict[Module, set[Module]]) -> list[list[Module]]:
    """Groups of modules that need each other (Tarjan's strongly connected components)."""
    index: dict[Module, int] = {}
    low: dict[Module, int] = {}
    stack: list[Module] = []
    found: list[list[Module]] = []

    def visit(module: Module) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in sorted(needed.get(module, ())):
            if other not in index:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            group = []
            while True:
                group.append(stack.pop())
                if group[-1] == module:
                    break
            if len(group) > 1:
                found.append(sorted(group))

    for module in sorted(needed):
        if module not in index:
            visit(module)
    return found


def at_the_top(needed: dict[Module, set[Module]]) -> dict[Module, set[Module]]:
    """The same between the modules that `lib.rs` names."""
    tops: dict[Module, set[Module]] = {}
    for module, others in needed.items():
        if module:
            tops.setdefault(module[:1], set()).update(
                other[:1] for other in others if other and other[:1] != module[:1]
            )
    return tops


def name(module: Module) -> str:
    """As Rust writes it."""
    return "::".join(("crate", *module))


def offences(source: Path) -> Iterable[str]:
    """A line for each circle."""
    needed = arrows(read(source))
    for what, graph in (("files", needed), ("modules at the top", at_the_top(needed))):
        for group in circles(graph):
            inside = [
                f"{name(one)} -> {name(other)}" for one in group for other in sorted(graph[one]) if other in group
            ]
            yield f"{len(group)} {what} need each other: " + ", ".join(inside)


def main() -> int:
    """Prints the circles."""
    source = Path(sys.argv[1] if len(sys.argv) > 1 else "engine/src")
    found = list(offences(source))
    print("\n".join(found) or f"no circle between the modules of {source}")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
