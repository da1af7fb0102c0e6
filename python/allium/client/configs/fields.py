"""Values that several configs hold, and how each is written under its keys (`spec/configs` §7, §8).

Names from strangers are text of any kind: what is not UTF-8 is read with marks in its place, never refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from allium.client.configs.tree import Data, Node, Scalar

MAX_NAME_BYTES = 100
MAX_PICTURE_URL_BYTES = 223
PICTURE_KEY_BYTES = 32
#: Seconds since 1970 above this are milliseconds that an older client wrote.
_LAST_SECOND = 10**12


@dataclass(frozen=True)
class Picture:
    """A profile picture: where it is, and the 32-byte key that opens it."""

    url: str
    key: bytes

    def __post_init__(self) -> None:
        if not 0 < len(self.url.encode()) <= MAX_PICTURE_URL_BYTES:
            raise ValueError(f"a picture's URL has 1 to {MAX_PICTURE_URL_BYTES} bytes")
        if len(self.key) != PICTURE_KEY_BYTES:
            raise ValueError(f"a picture's key has {PICTURE_KEY_BYTES} bytes")


class Notify(IntEnum):
    """Which messages of a conversation notify."""

    DEFAULT = 0
    ALL = 1
    DISABLED = 2
    MENTIONS = 3


class Expiry(IntEnum):
    """When messages disappear. In messages the two numbers are the other way round."""

    NONE = 0
    AFTER_SEND = 1
    AFTER_READ = 2


def truncated(text: str, size: int = MAX_NAME_BYTES) -> str:
    """The longest beginning of a text that has at most `size` bytes of UTF-8."""
    return text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")


def text(node: Node | None) -> str:
    """A string of the config, or the empty one."""
    return node.decode("utf-8", "replace") if isinstance(node, bytes) else ""


def number(node: Node | None) -> int:
    """A number of the config, or 0."""
    return node if isinstance(node, int) else 0


def count(node: Node | None) -> int:
    """A number of the config that cannot be negative."""
    return max(number(node), 0)


def seconds(node: Node | None) -> int:
    """A time of the config in Unix seconds, whatever unit it was written in; 0 if there is none."""
    value = count(node)
    return value // 1000 if value > _LAST_SECOND else value


def blob(node: Node | None, size: int) -> bytes | None:
    """A string of the config of exactly `size` bytes."""
    return node if isinstance(node, bytes) and len(node) == size else None


def dict_of(node: Node | None) -> Data:
    """A dict of the config, or an empty one."""
    return node if isinstance(node, dict) else {}


def set_of(node: Node | None) -> set[Scalar]:
    """A set of the config, or an empty one."""
    return node if isinstance(node, set) else set()


def picture(data: Data, url: bytes = b"p", key: bytes = b"q") -> Picture | None:
    """The picture under two keys; None unless both are good."""
    opener = blob(data.get(key), PICTURE_KEY_BYTES)
    where = data.get(url)
    if opener is None or not isinstance(where, bytes) or not 0 < len(where) <= MAX_PICTURE_URL_BYTES:
        return None
    try:
        return Picture(where.decode(), opener)
    except (UnicodeDecodeError, ValueError):
        return None


def enum(kind: type[IntEnum], node: Node | None, otherwise: IntEnum) -> IntEnum:
    """A member of an enumeration; what is none of them is `otherwise`."""
    value = number(node)
    return kind(value) if value in kind._value2member_map_ else otherwise


def notify(node: Node | None) -> Notify:
    """Which messages notify."""
    return Notify(enum(Notify, node, Notify.DEFAULT))


def expiry(data: Data) -> tuple[Expiry, int]:
    """When messages disappear, and after how many seconds: both or neither."""
    kind, timer = Expiry(enum(Expiry, data.get(b"e"), Expiry.NONE)), count(data.get(b"E"))
    return (kind, timer) if kind and timer else (Expiry.NONE, 0)


def flags(bits: frozenset[int]) -> set[Scalar] | None:
    """A set of feature numbers as a config has it."""
    return set(bits) or None


def features(node: Node | None) -> frozenset[int]:
    """The feature numbers of a profile: 0 Pro badge, 1 animated picture."""
    return frozenset(each for each in set_of(node) if isinstance(each, int))


def or_none(value: int | bytes) -> int | bytes | None:
    """What is zero or empty is not written."""
    return value or None


def encoded(value: str) -> bytes:
    """A text's bytes. Lone surrogates, which have none, become question marks."""
    return value.encode("utf-8", "replace")


def checked_name(name: str, size: int = MAX_NAME_BYTES) -> bytes:
    """A name's bytes; `ValueError` if there are more than `size`."""
    written = encoded(name)
    if len(written) > size:
        raise ValueError(f"a name has at most {size} bytes")
    return written
