"""HTML and SVG made of values: whatever is not `Markup` is escaped, so nothing that a stranger says is markup."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import TypeAlias
from urllib.parse import quote, urlencode

from allium.base.text import line

#: Elements that have no content.
_VOID = frozenset({"meta", "link", "input", "br"})
#: Of a text by a stranger that is shown.
_LONGEST = 400


class Markup(str):
    """Text that is markup."""

    __slots__ = ()


Content: TypeAlias = str | int | Iterable["Content"] | None
#: `True`: it is there, without a value. `None` and `False`: it is not.
Attributes: TypeAlias = Mapping[str, object]


def element(tag: str, attributes: Attributes | None = None, *content: Content) -> Markup:
    """One element. Names of tags and attributes are the program's own; values and content may be anybody's."""
    parts = [f"<{tag}"]
    for name, value in (attributes or {}).items():
        if value is True:
            parts.append(f" {name}")
        elif value is not None and value is not False:
            parts.append(f' {name}="{escape(str(value))}"')
    parts.append(">")
    if tag not in _VOID:
        parts.append(joined(*content))
        parts.append(f"</{tag}>")
    return Markup("".join(parts))


def joined(*content: Content) -> Markup:
    """Content in a row."""
    parts: list[str] = []
    for each in content:
        if isinstance(each, Markup):
            parts.append(each)
        elif isinstance(each, str):
            parts.append(escape(each))
        elif isinstance(each, int):
            parts.append(str(each))
        elif each is not None:
            parts.append(joined(*each))
    return Markup("".join(parts))


def foreign(text: str) -> Markup:
    """A stranger's text: in one line, no longer than is good, in its own direction."""
    return element("bdi", None, line(text, _LONGEST))


def path(*parts: str, **query: str | int | None) -> str:
    """A path below the explorer's, with whatever is in `query` and not `None`."""
    asked = urlencode({name: value for name, value in query.items() if value is not None})
    return "/".join(["/explorer", *(quote(part, safe="") for part in parts)]) + (f"?{asked}" if asked else "")


def link(where: str, *content: Content, **attributes: str) -> Markup:
    """A link to a `path`."""
    return element("a", {"href": where, **attributes}, *content)
