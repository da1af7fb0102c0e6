"""What several devices wrote becomes one config, the same on each of them (`spec/configs` §5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from allium.client.bencode import Value
from allium.client.configs import tree
from allium.client.configs.message import WINDOW, ConfigMessage, Lagged
from allium.client.configs.tree import Data


@dataclass(frozen=True)
class Merged:
    """What comes of a conflict, before it is written: its own diff is empty."""

    seqno: int
    data: Data
    lagged: tuple[Lagged, ...]
    unknown: dict[bytes, Value]


def surviving(messages: Sequence[ConfigMessage]) -> list[ConfigMessage]:
    """The messages that none of the others knows, the last one first; what is too old is not among them."""
    newest = max(message.seqno for message in messages)
    recent = {message.place: message for message in messages if message.seqno + WINDOW > newest}
    known = {each.place for message in recent.values() for each in message.lagged}
    return [recent[place] for place in sorted(recent, reverse=True) if place not in known]


def merged(messages: Sequence[ConfigMessage]) -> Merged:
    """One of several survivors, which come as `surviving` orders them."""
    newest = messages[0]
    seqno = newest.seqno + 1
    sources: dict[tuple[int, bytes], tuple[Lagged, Data]] = {}
    for message in messages:
        for each in (Lagged(message.seqno, message.hash, message.diff), *message.lagged):
            sources.setdefault(each.place, (each, message.data))
    data = tree.copy(newest.data)
    for place in sorted(sources):
        each, source = sources[place]
        tree.apply(data, each.diff, source)
    lagged = tuple(sources[place][0] for place in sorted(sources) if seqno - WINDOW < place[0])
    return Merged(seqno, data, lagged, newest.unknown)
