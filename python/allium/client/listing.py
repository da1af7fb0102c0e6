"""What strangers say, decoded: JSON that may be anything, and lists of nodes in which every entry counts for itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

#: Of an Ed25519 or X25519 key.
_KEY_BYTES = 32
#: Times beyond it are none: no format has room for them.
_MOST_MILLISECONDS = 2**63 - 1


class _Keyed(Protocol):
    @property
    def ed25519(self) -> bytes: ...

    @property
    def x25519(self) -> bytes: ...


Node = TypeVar("Node", bound=_Keyed)


def decoded(body: bytes | str) -> Any:
    """The value of JSON text; `ValueError` for what is none, however it is none."""
    try:
        return json.loads(body)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def milliseconds(value: Any) -> int | None:
    """A time or a duration that somebody told; `None` for what is none."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST_MILLISECONDS:
        return value
    return None


def usable(entries: Iterable[Any], parse: Callable[[Any], Node | None]) -> list[Node]:
    """The nodes of a list. An entry that `parse` cannot use, or that has another's key or none, is left out."""
    nodes: list[Node] = []
    seen: set[bytes] = set()
    for entry in entries:
        try:
            node = parse(entry)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            continue
        if node is None:
            continue
        keys = {node.ed25519, node.x25519}
        if all(len(key) == _KEY_BYTES and any(key) for key in keys) and not keys & seen:
            seen |= keys
            nodes.append(node)
    return nodes
