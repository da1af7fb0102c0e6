"""What values in people's files mean, and what those are told whose values mean nothing."""

from __future__ import annotations

import math
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from allium.base import fields
from allium.base.fields import Reader, Refusal, RefusedError

PORT, SECONDS, ROOM = fields.whole(1, 65535), fields.number(3600, above=0), fields.size(1 << 20)
NAMES = fields.each(fields.text("^[a-z]{2}$"), 1)
RECORD = fields.record({"port": PORT}, {"names": NAMES, "rules": fields.mapping(fields.whole(0))})


def named(value: Any) -> str:
    """The same in every process, as a function's address is not."""
    return str(value.__qualname__.split(".")[0]) if callable(value) else repr(value)[:40]


@pytest.mark.parametrize(
    ("read", "value", "meaning"),
    [
        (PORT, 1, 1),
        (PORT, " 6_000 ", 6000),
        (PORT, "+70.00", 70),
        (PORT, 80.0, 80),
        (PORT, True, 1),
        (fields.whole(), "-5", -5),
        (SECONDS, 3600, 3600.0),
        (SECONDS, "1e-3", 0.001),
        (fields.number(9, least=1), 1, 1.0),
        (ROOM, 1 << 20, 1 << 20),
        (ROOM, "1_048_576", 1 << 20),
        (ROOM, "3.5GiB", 3_758_096_384),
        (ROOM, " 2 mb", 2_000_000),
        (ROOM, "5M", 5_000_000),
        (ROOM, "1tIb", 1 << 40),
        (fields.flag, False, False),
        (fields.flag, 1, True),
        (fields.flag, "Off", False),
        (fields.text(), "", ""),
        (fields.choice("sync", "async"), "async", "async"),
        (fields.path, "a/b", Path("a/b")),
        (fields.address, "::1", ip_address("::1")),
        (fields.network, "192.0.2.0/24", ip_network("192.0.2.0/24")),
        (NAMES, ["ab", "cd"], ["ab", "cd"]),
        (RECORD, {"port": "1", "rules": {"a": 2}}, {"port": 1, "rules": {"a": 2}}),
        (fields.nullable(PORT), None, None),
        (fields.optional(PORT), "", None),
        (fields.optional(PORT), None, None),
        (fields.optional(PORT), "7", 7),
    ],
    ids=named,
)
def test_a_value_means_what_it_says(read: Reader[Any], value: Any, meaning: Any) -> None:
    assert (found := read(value)) == meaning and type(found) is type(meaning)


@pytest.mark.parametrize(
    ("read", "value", "reason"),
    [
        (PORT, 0, "Input should be greater than or equal to 1"),
        (PORT, 65536, "Input should be less than or equal to 65535"),
        (PORT, 1.5, "Input should be a valid integer, got a number with a fractional part"),
        (PORT, math.inf, "Input should be a finite number"),
        (PORT, 1e300, "Unable to parse input string as an integer, exceeded maximum size"),
        (PORT, "9" * 5000, "Unable to parse input string as an integer, exceeded maximum size"),
        (PORT, "\N{ARABIC-INDIC DIGIT ONE}", "Input should be a valid integer, unable to parse string as an integer"),
        (PORT, "1__0", "Input should be a valid integer, unable to parse string as an integer"),
        (PORT, b"5", "Input should be a valid integer"),
        (SECONDS, 0, "Input should be greater than 0"),
        (SECONDS, math.nan, "Input should be greater than 0"),
        (SECONDS, "\N{FULLWIDTH DIGIT ONE}", "Input should be a valid number, unable to parse string as a number"),
        (SECONDS, 10**400, "Input should be a valid number, unable to parse string as a number"),
        (SECONDS, "soon", "Input should be a valid number, unable to parse string as a number"),
        (SECONDS, [], "Input should be a valid number"),
        (fields.number(9, least=1), math.nan, "Input should be greater than or equal to 1"),
        (ROOM, "1KiB", "Input should be greater than or equal to 1048576"),
        (ROOM, "5 parsecs", "could not interpret byte unit: parsecs"),
        (ROOM, "lots", "could not parse value and unit from byte string"),
        (ROOM, "9" * 41 + "EB", "could not parse value and unit from byte string"),
        (ROOM, {}, "could not parse value and unit from byte string"),
        (fields.flag, "maybe", "Input should be a valid boolean, unable to interpret input"),
        (fields.flag, 2, "Input should be a valid boolean, unable to interpret input"),
        (fields.flag, 0.5, "Input should be a valid boolean"),
        (fields.text("^a$"), "a\n", "String should match pattern '^a$'"),
        (fields.text(), 5, "Input should be a valid string"),
        (fields.choice("a", "b", "c"), "d", "Input should be 'a', 'b' or 'c'"),
        (fields.choice("a", "b"), [], "Input should be 'a' or 'b'"),
        (fields.path, 5, "Input is not a valid path"),
        (fields.address, "1.2.3", "value is not a valid IPv4 or IPv6 address, such as 192.0.2.1 or 2001:db8::1"),
        (
            fields.address,
            "fe80::1%lo",
            "an address that holds on one link only (with a %) cannot be listened on; name another",
        ),
        (fields.network, "192.0.2.1/24", "value is not a valid IPv4 or IPv6 network"),
        (NAMES, "ab", "Input should be a valid list"),
        (RECORD, [], "Input should be an object"),
        (fields.mapping(PORT), [], "Input should be an object"),
        (fields.nullable(NAMES), "", "Input should be a valid list"),
        (NAMES, [], "List should have at least 1 item after validation, not 0"),
    ],
    ids=named,
)
def test_what_means_nothing_is_refused(read: Reader[Any], value: Any, reason: str) -> None:
    with pytest.raises(RefusedError) as refusal:
        read(value)
    assert refusal.value.refusals == (Refusal((), value, reason),)
    if value != "":
        with pytest.raises(RefusedError):
            fields.optional(read)(value)


def test_every_part_that_is_refused_is_named_by_its_place() -> None:
    with pytest.raises(RefusedError) as refusal:
        fields.inside("lists", fields.each(NAMES), [["ab"], ["x", "ab", 5], "ab"])
    pattern = "String should match pattern '^[a-z]{2}$'"
    assert refusal.value.refusals == (
        Refusal(("lists", 1, 0), "x", pattern),
        Refusal(("lists", 1, 2), 5, "Input should be a valid string"),
        Refusal(("lists", 2), "ab", "Input should be a valid list"),
    )


def test_what_an_object_lacks_and_has_too_much_is_named() -> None:
    value = {"rules": {"a": -1, "b": 0, "c": None}, "more": 5}
    with pytest.raises(RefusedError) as refusal:
        RECORD(value)
    assert refusal.value.refusals == (
        Refusal(("port",), value, "Field required"),
        Refusal(("rules", "a"), -1, "Input should be greater than or equal to 0"),
        Refusal(("rules", "c"), None, "Input should be a valid integer"),
        Refusal(("more",), 5, "Extra inputs are not permitted"),
    )
