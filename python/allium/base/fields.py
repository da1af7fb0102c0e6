"""Fields of what people write: a value of a file, a variable or an option is read as what it has to be, or refused.

A reader takes a value as it was found, text included where the whole file is text, and returns what it means. One that
it cannot take it refuses with a sentence. Nothing is imported that reads more than this: a node starts with it.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeVar

T = TypeVar("T")
Reader = Callable[[Any], T]

#: Digits after which a text is no number that anybody means, and no size; and a float that is no whole number.
_MOST_DIGITS, _LONGEST_SIZE, _LARGEST = 4300, 40, 2.0**63
_INTEGER = re.compile(r"\s*([+-]?[0-9]+(?:_[0-9]+)*)(?:\.0+)?\s*", re.ASCII)
_SIZE = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*(\w+)?", re.ASCII)
_UNIT = re.compile(r"([kmgtpe]?)(i?)b|([kmgtpe])", re.IGNORECASE)
_TRUE = frozenset({"1", "on", "t", "true", "y", "yes"})
_FALSE = frozenset({"0", "off", "f", "false", "n", "no"})


class Refusal(NamedTuple):
    """What cannot be used of a value."""

    #: Where in the value it is, from outside in: indices and names.
    place: tuple[str | int, ...]
    found: Any
    reason: str


class RefusedError(ValueError):
    """A value that cannot be used, with every reason."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        super().__init__("; ".join(refusal.reason for refusal in refusals))
        self.refusals = tuple(refusals)


def refused(value: Any, reason: str) -> RefusedError:
    """One reason, for the whole of a value."""
    return RefusedError([Refusal((), value, reason)])


def inside(place: str | int, read: Reader[T], value: Any) -> T:
    """Reads a part of a value; what is refused of it is at `place`."""
    try:
        return read(value)
    except RefusedError as error:
        raise RefusedError([each._replace(place=(place, *each.place)) for each in error.refusals]) from None
    except ValueError as error:
        raise RefusedError([Refusal((place,), value, str(error))]) from None


def optional(read: Reader[T]) -> Reader[T | None]:
    """Also none, which in a text file is empty."""
    return lambda value: None if value is None or value == "" else read(value)


def each(read: Reader[T], least: int = 0) -> Reader[list[T]]:
    """A list of at least so many."""

    def items(value: Any) -> list[T]:
        if not isinstance(value, list | tuple):
            raise refused(value, "Input should be a valid list")
        found: list[T] = []
        refusals: list[Refusal] = []
        for index, item in enumerate(value):
            try:
                found.append(inside(index, read, item))
            except RefusedError as error:
                refusals += error.refusals
        if refusals:
            raise RefusedError(refusals)
        if len(found) < least:
            plural = "" if least == 1 else "s"
            raise refused(value, f"List should have at least {least} item{plural} after validation, not {len(found)}")
        return found

    return items


def nullable(read: Reader[T]) -> Reader[T | None]:
    """Also null."""
    return lambda value: None if value is None else read(value)


def mapping(read: Reader[T]) -> Reader[dict[str, T]]:
    """An object of which every value is of one kind."""
    return lambda value: _members(value, dict.fromkeys(_object(value), read))


def record(required: Mapping[str, Reader[Any]], others: Mapping[str, Reader[Any]]) -> Reader[dict[str, Any]]:
    """An object with all names of `required`, some of `others`, and no more."""
    readers = {**required, **others}

    def read(value: Any) -> dict[str, Any]:
        names = {name: reader for name, reader in readers.items() if name in required or name in _object(value)}
        return _members(value, names | dict.fromkeys(value.keys() - readers, _superfluous))

    return read


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise refused(value, "Input should be an object")
    return value


def _superfluous(value: Any) -> NoReturn:
    raise refused(value, "Extra inputs are not permitted")


def _members(value: dict[str, Any], readers: Mapping[str, Reader[T]]) -> dict[str, T]:
    """What an object has under these names."""
    found: dict[str, T] = {}
    refusals: list[Refusal] = []
    for name, read in readers.items():
        if name not in value:
            refusals.append(Refusal((name,), value, "Field required"))
            continue
        try:
            found[name] = inside(name, read, value[name])
        except RefusedError as error:
            refusals += error.refusals
    if refusals:
        raise RefusedError(refusals)
    return found


def whole(least: int | None = None, most: int | None = None) -> Reader[int]:
    """A whole number from `least` to `most`."""
    return lambda value: _within(value, _integer(value), least, most)


def number(most: float, *, above: float | None = None, least: float | None = None) -> Reader[float]:
    """A number that is no larger than one, and above another or no smaller."""

    def read(value: Any) -> float:
        found = _float(value)
        if above is not None and not found > above:
            raise refused(value, f"Input should be greater than {above}")
        return _within(value, found, least, most)

    return read


def flag(value: Any) -> bool:
    """Yes or no."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        word = value.lower()
    elif isinstance(value, int) or (isinstance(value, float) and value in (0, 1)):
        word = str(int(value))
    else:
        raise refused(value, "Input should be a valid boolean")
    if word not in _TRUE | _FALSE:
        raise refused(value, "Input should be a valid boolean, unable to interpret input")
    return word in _TRUE


def text(pattern: str | None = None) -> Reader[str]:
    """Text, which `pattern` is found in."""

    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise refused(value, "Input should be a valid string")
        if pattern is not None and re.search(pattern.replace("$", r"\Z"), value) is None:
            raise refused(value, f"String should match pattern '{pattern}'")
        return value

    return read


def choice(*words: str) -> Reader[Any]:
    """One of these words."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            *others, last = map(repr, words)
            raise refused(value, f"Input should be {', '.join(others)} or {last}")
        return value

    return read


def path(value: Any) -> Path:
    """Of a file."""
    if not isinstance(value, str | Path):
        raise refused(value, "Input is not a valid path")
    return Path(value)


def size(least: int) -> Reader[int]:
    """Bytes, as a number or as text such as `3.5GiB`: of units with an `i` 1024 are one of the next, else 1000."""

    def read(value: Any) -> int:
        try:
            bytes_ = _integer(value)
        except RefusedError:
            bytes_ = _scaled(value)
        return _within(value, bytes_, least, None)

    return read


def _scaled(value: Any) -> int:
    """Text of a number and a unit of bytes."""
    found = _SIZE.match(value) if isinstance(value, str) and len(value) <= _LONGEST_SIZE else None
    if found is None:
        raise refused(value, "could not parse value and unit from byte string")
    unit = _UNIT.fullmatch(found[2] or "b")
    if unit is None:
        raise refused(value, f"could not interpret byte unit: {found[2]}")
    scale = (1024 if unit[2] else 1000) ** " kmgtpe".index((unit[1] or unit[3] or " ").lower())
    return int(float(found[1]) * scale)


def address(value: Any) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address of a machine."""
    try:
        found = ipaddress.ip_address(value)
    except ValueError:
        reason = "value is not a valid IPv4 or IPv6 address, such as 192.0.2.1 or 2001:db8::1"
        raise refused(value, f"{reason}; a name is none" if _is_name(value) else reason) from None
    if isinstance(found, ipaddress.IPv6Address) and found.scope_id is not None:
        raise refused(value, "an address that holds on one link only (with a %) cannot be listened on; name another")
    return found


def _is_name(value: Any) -> bool:
    """Whether it looks like the name of a machine."""
    return isinstance(value, str) and re.search("[g-z]", value, re.IGNORECASE) is not None


def network(value: Any) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Addresses with the same first bits."""
    try:
        return ipaddress.ip_network(value)
    except ValueError:
        raise refused(value, "value is not a valid IPv4 or IPv6 network") from None


def _integer(value: Any) -> int:
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise refused(value, "Input should be a finite number")
        if abs(value) >= _LARGEST:
            raise refused(value, "Unable to parse input string as an integer, exceeded maximum size")
        if not value.is_integer():
            raise refused(value, "Input should be a valid integer, got a number with a fractional part")
        return int(value)
    if not isinstance(value, str):
        raise refused(value, "Input should be a valid integer")
    if len(value) > _MOST_DIGITS:
        raise refused(value, "Unable to parse input string as an integer, exceeded maximum size")
    if (digits := _INTEGER.fullmatch(value)) is None:
        raise refused(value, "Input should be a valid integer, unable to parse string as an integer")
    return int(digits[1])


def _float(value: Any) -> float:
    if not isinstance(value, int | float | str):
        raise refused(value, "Input should be a valid number")
    try:
        if not isinstance(value, str) or value.isascii():
            return float(value)
    except (ValueError, OverflowError):
        pass
    raise refused(value, "Input should be a valid number, unable to parse string as a number")


Number = TypeVar("Number", int, float)


def _within(value: Any, found: Number, least: float | None, most: float | None) -> Number:
    """`found`, which `value` was read as; what is no number at all is never within."""
    if least is not None and not found >= least:
        raise refused(value, f"Input should be greater than or equal to {least}")
    if most is not None and not found <= most:
        raise refused(value, f"Input should be less than or equal to {most}")
    return found
