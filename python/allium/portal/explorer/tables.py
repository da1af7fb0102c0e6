"""Tables as pages show them, and as CSV and JSON: sorted, filtered and cut by the query, which anybody may write."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl

import msgspec

from allium.portal.explorer.markup import Content, Markup, element, joined, link, path

Row = TypeVar("Row")

#: Rows of a page, and of a download.
PAGE_ROWS, DOWNLOAD_ROWS = 100, 5000
_MOST_FIELDS, _LONGEST_VALUE = 16, 200
_NUMBER = re.compile("[0-9]{1,9}")
#: What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Column(Generic[Row]):
    """One column."""

    key: str
    title: str
    #: What is downloaded: a number, a text, a list, or nothing.
    value: Callable[[Row], Any]
    #: What is shown; the value where it is `None`. A column without a title is only downloaded.
    cell: Callable[[Row], Content] | None = None
    #: By what it is sorted; by the value where it is `None`. Not at all with `sortable=False`.
    order: Callable[[Row], Any] | None = None
    sortable: bool = True
    numeric: bool = False

    def shown(self, row: Row) -> Content:
        """A cell's content."""
        if self.cell is not None:
            return self.cell(row)
        value = self.value(row)
        return f"{value:,}" if isinstance(value, int) else value


@dataclass(frozen=True)
class Filter(Generic[Row]):
    """A choice among values of a row."""

    key: str
    title: str
    value: Callable[[Row], str]
    #: Value and what it is called.
    options: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Query:
    """What of a table is wanted."""

    sort: str = ""
    descending: bool = False
    words: str = ""
    picked: tuple[tuple[str, str], ...] = ()
    page: int = 1
    skip: int = 0

    def link(self, place: Sequence[str], **changed: Any) -> str:
        """The path of the same with something else."""
        told: dict[str, Any] = {
            "q": self.words or None,
            **dict(self.picked),
            "sort": self.sort or None,
            "order": "desc" if self.descending else None,
            **changed,
        }
        return path(*place, **told)


def asked(query: str) -> dict[str, str]:
    """The fields of a query, the first of each name; what is none is left out."""
    try:
        pairs = parse_qsl(query, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return {}
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value[:_LONGEST_VALUE].strip())
    return found


@dataclass(frozen=True)
class Table(Generic[Row]):
    """Rows, and all that can be asked of them."""

    #: Of the page below the explorer's; downloads have it with an ending.
    place: tuple[str, ...]
    caption: str
    columns: Sequence[Column[Row]]
    rows: Sequence[Row]
    #: What is looked through, in lower case; without it there is no looking.
    text: Callable[[Row], str] | None = None
    filters: Sequence[Filter[Row]] = field(default=())

    def query(self, given: dict[str, str]) -> Query:
        """What is asked, without what there is not."""
        picked = tuple(
            (each.key, given[each.key])
            for each in self.filters
            if given.get(each.key) in {value for value, _ in each.options}
        )
        sort = given.get("sort", "")
        if not any(column.key == sort and column.sortable for column in self.columns):
            sort = ""
        return Query(
            sort=sort,
            descending=given.get("order") == "desc" and bool(sort),
            words=given.get("q", "") if self.text is not None else "",
            picked=picked,
            page=max(1, _number(given.get("page", ""), 1)),
            skip=_number(given.get("skip", ""), 0),
        )

    def found(self, query: Query) -> list[Row]:
        """The rows that are wanted, in the order in which they are."""
        rows = list(self.rows)
        for key, value in query.picked:
            chosen = next(each for each in self.filters if each.key == key)
            rows = [row for row in rows if chosen.value(row) == value]
        if query.words and self.text is not None:
            words = query.words.lower().split()
            text = self.text
            rows = [row for row in rows if all(word in text(row) for word in words)]
        column = next((each for each in self.columns if each.key == query.sort), None)
        if column is not None:
            rows.sort(key=column.order or column.value, reverse=query.descending)
        return rows

    # --- as a page

    def markup(self, query: Query) -> Markup:
        """The form, the rows of one page, the way to the others and to the downloads."""
        rows = self.found(query)
        pages = max(1, -(-len(rows) // PAGE_ROWS))
        page = min(query.page, pages)
        part = rows[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]
        return element(
            "div",
            {"class": "table", "data-swap": "table"},
            self._form(query),
            self._counted(len(rows), page, len(part)),
            self._grid(query, part)
            if part
            else element("p", {"class": "nothing"}, "Nothing is like that." if self.rows else "There is nothing yet."),
            self._pages(query, page, pages),
            self._downloads(query, len(rows)),
        )

    def _form(self, query: Query) -> Markup | None:
        if self.text is None and not self.filters:
            return None
        picked = dict(query.picked)
        parts: list[Content] = []
        if self.text is not None:
            parts.append(text_field("q", "Find", query.words, _LONGEST_VALUE, "search"))
        for each in self.filters:
            options = [
                element("option", {"value": value, "selected": picked.get(each.key) == value}, title)
                for value, title in [("", "all"), *each.options]
            ]
            choice = element("select", {"name": each.key, "id": f"field-{each.key}"}, options)
            parts.append(labelled(each.key, each.title, choice))
        kept = [("sort", query.sort), ("order", "desc" if query.descending else "")]
        parts += [element("input", {"type": "hidden", "name": name, "value": value}) for name, value in kept if value]
        parts.append(element("button", {"type": "submit"}, "Show"))
        return element("form", {"class": "filters", "method": "get", "action": path(*self.place)}, parts)

    def _counted(self, count: int, page: int, shown: int) -> Markup:
        first = (page - 1) * PAGE_ROWS + 1
        of = f"{first:,} to {first + shown - 1:,} of {count:,}" if count > PAGE_ROWS else f"{count:,}"
        everything = "" if count == len(self.rows) else f" (of {len(self.rows):,} in all)"
        return element("p", {"class": "counted", "role": "status"}, f"Rows: {of}{everything}")

    def _grid(self, query: Query, rows: Sequence[Row]) -> Markup:
        columns = [column for column in self.columns if column.title]
        head = element("tr", None, [self._heading(query, column) for column in columns])
        body = [
            element("tr", None, [_cell(column, row, place) for place, column in enumerate(columns)]) for row in rows
        ]
        caption = element("caption", {"class": "visually-hidden"}, self.caption)
        grid = element("table", None, caption, element("thead", None, head), element("tbody", None, body))
        return element("div", {"class": "scroll", "role": "region", "aria-label": self.caption, "tabindex": 0}, grid)

    def _heading(self, query: Query, column: Column[Row]) -> Markup:
        attributes = {"scope": "col", "class": "number" if column.numeric else None}
        if not column.sortable:
            return element("th", attributes, column.title)
        now = query.sort == column.key
        if now:
            attributes["aria-sort"] = "descending" if query.descending else "ascending"
        turned = query.link(self.place, sort=column.key, order="desc" if now and not query.descending else None)
        return element("th", attributes, link(turned, column.title))

    def _pages(self, query: Query, page: int, pages: int) -> Markup | None:
        if pages == 1:
            return None
        steps: list[Content] = []
        if page > 1:
            before = query.link(self.place, page=page - 1 if page > 2 else None)
            steps.append(element("li", None, link(before, "Previous page", rel="prev")))
        steps.append(element("li", None, f"Page {page:,} of {pages:,}"))
        if page < pages:
            steps.append(element("li", None, link(query.link(self.place, page=page + 1), "Next page", rel="next")))
        return element("nav", {"class": "pages", "aria-label": "Pages"}, element("ul", None, steps))

    def _downloads(self, query: Query, count: int) -> Markup:
        *before, last = self.place
        links: list[Content] = []
        for skip in range(0, max(1, count), DOWNLOAD_ROWS)[:20]:
            rows = f" from row {skip + 1:,}" if skip else ""
            for kind in ("csv", "json"):
                where = query.link([*before, f"{last}.{kind}"], skip=skip or None)
                links.append(element("li", None, link(where, f"{kind.upper()}{rows}", download="")))
        return element("ul", {"class": "downloads", "aria-label": "Download"}, links)

    # --- as a download

    def csv(self, query: Query) -> bytes:
        """With a line of the columns' names; texts that a spreadsheet would compute are quoted."""
        out = io.StringIO(newline="")
        writer = csv.writer(out)
        writer.writerow([column.key for column in self.columns])
        for row in self._part(query):
            writer.writerow([_plain(column.value(row)) for column in self.columns])
        return out.getvalue().encode()

    def json(self, query: Query, source: dict[str, Any]) -> bytes:
        """An object with where the numbers are from, and the rows."""
        rows = [{column.key: column.value(row) for column in self.columns} for row in self._part(query)]
        told = {**source, "total": len(self.found(query)), "skip": query.skip, "rows": rows}
        return msgspec.json.encode(told)

    def _part(self, query: Query) -> list[Row]:
        return self.found(query)[query.skip : query.skip + DOWNLOAD_ROWS]


def _cell(column: Column[Row], row: Row, place: int) -> Markup:
    attributes = {"class": "number" if column.numeric else None}
    if place == 0:
        return element("th", {"scope": "row", **attributes}, column.shown(row))
    return element("td", attributes, column.shown(row))


def _plain(value: Any) -> Any:
    if isinstance(value, list | dict):
        value = msgspec.json.encode(value).decode()
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def _number(text: str, otherwise: int) -> int:
    return int(text) if _NUMBER.fullmatch(text) else otherwise


def labelled(name: str, title: str, field_of: Markup) -> Markup:
    """A field, whose id is `field-NAME`, and what it is called."""
    return element("div", {"class": "field"}, element("label", {"for": f"field-{name}"}, title), field_of)


def text_field(name: str, title: str, value: str, longest: int, kind: str = "text", **more: object) -> Markup:
    """A line of text that may be typed."""
    given = {
        "type": kind,
        "name": name,
        "id": f"field-{name}",
        "value": value,
        "maxlength": longest,
        "autocomplete": "off",
        "spellcheck": "false",
        **more,
    }
    return labelled(name, title, element("input", given))


def plain_table(caption: str, titles: Sequence[tuple[str, bool]], rows: Sequence[Sequence[Content]]) -> Markup:
    """A short table that is only read: titles with whether the column is of numbers, and the cells."""
    head = [element("th", {"scope": "col", "class": "number" if number else None}, title) for title, number in titles]
    body = []
    for row in rows:
        cells: list[Content] = []
        for place, ((_, number), content) in enumerate(zip(titles, row, strict=True)):
            attributes = {"class": "number" if number else None}
            if place == 0:
                attributes["scope"] = "row"
            cells.append(element("td" if place else "th", attributes, content))
        body.append(element("tr", None, cells))
    grid = element(
        "table",
        None,
        element("caption", {"class": "visually-hidden"}, caption),
        element("thead", None, element("tr", None, head)),
        element("tbody", None, body),
    )
    return element("div", {"class": "scroll", "role": "region", "aria-label": caption, "tabindex": 0}, joined(grid))
