"""A config's data and its diffs: trees of numbers, strings, sets and dicts (`spec/configs` §1).

Data is what is so; a diff names what changed and holds no values, which are read from the data that came with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from allium.client.bencode import Value

Scalar: TypeAlias = int | bytes
Node: TypeAlias = "Scalar | set[Scalar] | Data"
Data: TypeAlias = "dict[bytes, Node]"
#: key -> `ASSIGNED`, `REMOVED`, a diff of the dict below, or what was added to and removed from a set.
Diff: TypeAlias = dict[bytes, Value]

ASSIGNED, REMOVED = b"", b"-"


class TreeError(ValueError):
    """A value that is neither data nor a diff."""


def parse(value: Value) -> Data:
    """Data from its bencoded form; `TreeError` for what data cannot be."""
    if not isinstance(value, dict):
        raise TreeError("data is a dict")
    return {key: _parse_node(item) for key, item in value.items()}


def _parse_node(value: Value) -> Node:
    match value:
        case int():
            if not -(1 << 63) <= value < 1 << 63:
                raise TreeError("a number beyond 63 bits")
            return value
        case bytes():
            return value
        case dict() if value:
            return parse(value)
        case list() if value:
            return _scalars(value)
        case _:
            raise TreeError("an empty set or dict is not written")


def _scalars(value: Value) -> set[Scalar]:
    if not isinstance(value, list):
        raise TreeError("a set is a list")
    scalars: set[Scalar] = set()
    for item in value:
        if not isinstance(item, int | bytes):
            raise TreeError("a set holds numbers and strings")
        scalars.add(item)
    if len(scalars) != len(value) or ordered(scalars) != value:
        raise TreeError("a set out of order")
    return scalars


def ordered(scalars: Iterable[Scalar]) -> list[Value]:
    """A set as it is written: numbers, then strings, each ascending."""
    items = list(scalars)
    numbers = sorted(item for item in items if isinstance(item, int))
    strings = sorted(item for item in items if isinstance(item, bytes))
    return [*numbers, *strings]


def written(data: Data) -> dict[bytes, Value]:
    """The bencoded form of data."""
    return {key: _written(node) for key, node in data.items()}


def _written(node: Node) -> Value:
    match node:
        case dict():
            return dict(written(node))
        case set():
            return ordered(node)
        case _:
            return node


def copy(data: Data) -> Data:
    """Data that shares nothing with `data`."""
    return {key: _copy(node) for key, node in data.items()}


def _copy(node: Node) -> Node:
    match node:
        case dict():
            return copy(node)
        case set():
            return set(node)
        case _:
            return node


def pruned(data: Data) -> Data:
    """Data without empty sets and dicts at any depth."""
    kept: Data = {}
    for key, node in data.items():
        left = pruned(node) if isinstance(node, dict) else node
        if not isinstance(left, dict | set) or left:
            kept[key] = left
    return kept


def check_diff(value: Value) -> Diff:
    """A diff from its bencoded form; `TreeError` for what a diff cannot be."""
    if not isinstance(value, dict):
        raise TreeError("a diff is a dict")
    for change in value.values():
        match change:
            case dict():
                check_diff(change)
            case [added, removed]:
                _scalars(added)
                _scalars(removed)
            case b"" | b"-":
                pass
            case _:
                raise TreeError("no change looks like this")
    return value


def difference(old: Data, new: Data) -> Diff:
    """What made `new` of `old`."""
    diff: Diff = {}
    for key in old.keys() | new.keys():
        before, after = old.get(key), new.get(key)
        if before != after or type(before) is not type(after):
            change = _change(before, after)
            if change != {}:
                diff[key] = change
    return diff


def _change(before: Node | None, after: Node | None) -> Value:
    if isinstance(after, dict):
        return dict(difference(before if isinstance(before, dict) else {}, after))
    if isinstance(after, set):
        was = before if isinstance(before, set) else set()
        return [ordered(after - was), ordered(was - after)]
    if after is not None:
        return ASSIGNED
    if isinstance(before, dict):
        return dict(difference(before, {}))
    if isinstance(before, set):
        return [[], ordered(before)]
    return REMOVED


def apply(data: Data, diff: Diff, source: Data) -> None:
    """Makes the changes of `diff`, with the values that `source` has, to `data`.

    What `source` no longer has goes, with all that is below it: who erased a contact erased all of it.
    """
    for key, change in diff.items():
        given = source.get(key)
        match change:
            case dict() if isinstance(given, dict):
                below = data.get(key)
                below = below if isinstance(below, dict) else {}
                apply(below, change, given)
                _put(data, key, below)
            case [list() as added, list() as removed] if isinstance(given, set):
                node = data.get(key)
                kept = {*(node if isinstance(node, set) else ()), *_scalars(list(added))} - _scalars(list(removed))
                _put(data, key, kept)
            case _ if change == ASSIGNED and isinstance(given, int | bytes):
                data[key] = given
            case _:
                data.pop(key, None)


def _put(data: Data, key: bytes, node: set[Scalar] | Data) -> None:
    if node:
        data[key] = node
    else:
        data.pop(key, None)
