"""Countries: which one an IPv4 address is in, what it is called, and how it is drawn.

`data/addresses.bin` and `data/world.json` are made by `python/web/atlas/prepare.py`, which says of what.
"""

from __future__ import annotations

import ipaddress
import json
import sys
import zlib
from array import array
from bisect import bisect_right
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

_DATA = Path(__file__).with_name("data")
#: Where the data are from, and on which terms.
CREDITS = (
    ("Outlines", "Natural Earth, by way of world-atlas 2.0.2", "public domain; ISC"),
    ("Addresses", "IPtoASN, by way of ip-location-db 2.3.2026061719", "PDDL 1.0 (public domain)"),
    ("Codes and names", "i18n-iso-countries 7.14.0", "MIT"),
)


@dataclass(frozen=True)
class Country:
    """One of ISO 3166-1."""

    code: str
    name: str
    #: SVG path; empty for one too small to have one.
    outline: str
    #: Where a small one is.
    dot: tuple[int, int] | None


@dataclass(frozen=True)
class World:
    """The drawing, and what is in it."""

    width: int
    height: int
    countries: dict[str, Country]


@cache
def world() -> World:
    """All countries, by code."""
    told: dict[str, Any] = json.loads((_DATA / "world.json").read_bytes())
    countries = {
        code: Country(code, each["name"], each.get("path", ""), tuple(each["dot"]) if "dot" in each else None)
        for code, each in told["countries"].items()
    }
    return World(told["width"], told["height"], countries)


def country_of(ip: str) -> str:
    """The country's code of an IPv4 address in dotted form; empty where there is none."""
    try:
        place = int(ipaddress.IPv4Address(ip))
    except ValueError:
        return ""
    starts, places, codes = _ranges()
    found = codes[places[bisect_right(starts, place) - 1]]
    return "" if found == "  " else found


def name_of(code: str) -> str:
    """What a country is called; "Unknown" for none."""
    country = world().countries.get(code)
    return "Unknown" if country is None else country.name


@cache
def _ranges() -> tuple[array[int], bytes, list[str]]:
    """First addresses, which code each range has, the codes."""
    body = zlib.decompress((_DATA / "addresses.bin").read_bytes())
    count = int.from_bytes(body[:4], "little")
    steps = array("I", body[4 : 4 + 4 * count])
    if sys.byteorder == "big":
        steps.byteswap()
    text = body[4 + 5 * count :].decode()
    codes = [text[at : at + 2] for at in range(0, len(text), 2)]
    return array("I", accumulate(steps)), body[4 + 4 * count : 4 + 5 * count], codes
