"""Values as people read them: amounts exactly, times in UTC, durations roughly, keys whole but breakable."""

from __future__ import annotations

import time

from allium.portal.explorer.markup import Markup, element, joined, link, path

_UNITS = 10**9
#: Of the year 9999.
LAST_SECOND = 253_402_300_799
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def sesh(units: int) -> str:
    """Atomic units as SESH, to the unit: "25,000" or "1.000000001"."""
    whole, part = divmod(abs(units), _UNITS)
    fraction = f"{part:09d}".rstrip("0")
    return f"{'-' if units < 0 else ''}{whole:,}{'.' if fraction else ''}{fraction}"


def whole(number: int) -> str:
    """A number with commas."""
    return f"{number:,}"


def percent(part: int, of: int) -> str:
    """A part in percent, to two places; "none" of nothing."""
    return "none" if of <= 0 else f"{(20_000 * part + of) // (2 * of) / 100:.2f} %"


def basis_points(fee: int) -> str:
    """A fee of hundredths of a percent."""
    return f"{fee / 100:g} %"


def moment(seconds: int) -> Markup:
    """Unix time, to the second."""
    return _time(seconds, "%Y-%m-%d %H:%M:%S UTC")


def minute(seconds: int) -> Markup:
    """Unix time, to the minute, where there is little room."""
    return _time(seconds, "%Y-%m-%d %H:%M")


def _time(seconds: int, form: str) -> Markup:
    if not 0 < seconds <= LAST_SECOND:
        return element("span", {"class": "muted"}, "never")
    told = time.gmtime(seconds)
    return element("time", {"datetime": time.strftime("%Y-%m-%dT%H:%M:%SZ", told)}, time.strftime(form, told))


def duration(seconds: int) -> str:
    """Such as "3 d 4 h"."""
    if seconds < _MINUTE:
        return f"{max(0, seconds)} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min"
    if seconds < _DAY:
        return f"{seconds // _HOUR} h {seconds % _HOUR // _MINUTE} min"
    return f"{seconds // _DAY:,} d {seconds % _DAY // _HOUR} h"


def key(text: str) -> Markup:
    """A key, or an address, in full."""
    return element("code", {"class": "key"}, text)


def short(text: str) -> Markup:
    """Its two ends, where there is another way to the whole."""
    return element("code", {"title": text}, f"{text[:8]}…{text[-6:]}")


def node(pubkey: str) -> Markup:
    """A link to a node's page."""
    return link(path("nodes", pubkey), short(pubkey))


def account(address: str) -> Markup:
    """A link to an address's page."""
    return link(path("address", address), short(address))


def source(what: str, number: int) -> Markup:
    """Of which height or block a number is."""
    return element("small", {"class": "source"}, joined(what, " ", whole(number)))
