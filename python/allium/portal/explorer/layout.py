"""What every page of the explorer has around it: its head, the way to the others, and of when its numbers are."""

from __future__ import annotations

from allium.portal.explorer import shown
from allium.portal.explorer.markup import Content, Markup, element, foreign, joined, link, path
from allium.portal.explorer.snapshot import Snapshot

#: Place below the explorer's, and title.
SECTIONS = (
    ("", "Overview"),
    ("nodes", "Nodes"),
    ("swarms", "Swarms"),
    ("countries", "Countries"),
    ("rewards", "Rewards"),
    ("events", "Events"),
    ("names", "Names and Pro"),
    ("address", "Address"),
)


def page(snapshot: Snapshot | None, section: str, title: str, *content: Content) -> bytes:
    """A whole document; without a snapshot it says of no numbers of when they are."""
    top = "Explorer" if title == "Overview" else title
    whole = joined(
        Markup("<!doctype html>"),
        element(
            "html",
            {"lang": "en", "dir": "ltr"},
            element(
                "head",
                None,
                element("meta", {"charset": "utf-8"}),
                element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
                element("meta", {"name": "color-scheme", "content": "light dark"}),
                element("title", None, f"{top} · Allium explorer" if top != "Explorer" else "Allium explorer"),
                element("link", {"rel": "icon", "type": "image/svg+xml", "href": path("static", "icon.svg")}),
                element("link", {"rel": "stylesheet", "href": path("static", "explorer.css")}),
                element("script", {"src": path("static", "explorer.js"), "defer": True}),
            ),
            element(
                "body",
                None,
                element("a", {"class": "skip", "href": "#content"}, "Skip to the content"),
                _header(section),
                element(
                    "main", {"id": "content", "tabindex": -1}, element("h1", None, title), _reading(snapshot), *content
                ),
                _footer(snapshot),
            ),
        ),
    )
    return whole.encode()


def _reading(snapshot: Snapshot | None) -> Content:
    """Why nothing is here yet, before the first block."""
    if snapshot is None or snapshot.state.height:
        return ""
    state = snapshot.state
    words = joined(
        "This explorer is still reading the network's chain and has no block of it yet. The EVM chain is read up to ",
        f"block {max(state.l2_height, snapshot.tip.block):,}, with {len(snapshot.index.events):,} events of the ",
        "contracts. Until then all numbers are 0: load the page again in a minute.",
    )
    return element("p", {"class": "reading", "role": "status"}, words)


def _header(section: str) -> Markup:
    links = [
        element("li", None, link(path(*filter(None, [place])), title, **({"aria-current": "page"} if here else {})))
        for place, title in SECTIONS
        for here in [place == section]
    ]
    button = {"type": "button", "id": "theme", "hidden": True}
    return element(
        "header",
        {"class": "top"},
        link(
            path(), element("span", {"class": "mark", "aria-hidden": "true"}), "Allium explorer", **{"class": "brand"}
        ),
        element("nav", {"aria-label": "Explorer"}, element("ul", None, links)),
        element("button", button, "Dark colours"),
    )


def _footer(snapshot: Snapshot | None) -> Markup:
    if snapshot is None:
        return element("footer", None, element("p", None, "Allium"))
    state, tip = snapshot.state, snapshot.tip
    return element(
        "footer",
        None,
        element(
            "p",
            None,
            foreign(state.parameters.name),
            joined(" at height ", shown.whole(state.height), ", ", shown.moment(state.time), "; state ")
            if state.height
            else ": no block yet",
            shown.short(state.root.hex()) if state.height else "",
        ),
        element(
            "p",
            None,
            joined("EVM chain ", state.parameters.l2_chain_id, ": events up to block ", shown.whole(state.l2_height)),
            joined(
                " in the state; contracts' balances at block ",
                shown.whole(tip.block),
                ", ",
                shown.moment(tip.timestamp),
            )
            if tip.block
            else " in the state; contracts' balances are not known yet",
        ),
        element("p", None, "Everything here follows from the two chains; this server holds no keys and signs nothing."),
    )


def figures(*given: tuple[str, Content, Content]) -> Markup:
    """Numbers that stand for themselves: what, how much, of when."""
    cards = [
        element(
            "div",
            None,
            element("dt", None, what),
            element("dd", None, element("b", None, value), element("span", None, source)),
        )
        for what, value, source in given
    ]
    return element("dl", {"class": "figures"}, cards)


def facts(*given: tuple[str, Content] | None) -> Markup:
    """What is known of one thing."""
    rows = [element("div", None, element("dt", None, each[0]), element("dd", None, each[1])) for each in given if each]
    return element("dl", {"class": "facts"}, rows)


def part(title: str, *content: Content, name: str = "") -> Markup:
    """A part of a page with a heading of its own."""
    place = name or title.lower().replace(" ", "-")
    return element(
        "section",
        {"aria-labelledby": f"of-{place}"},
        element("h2", {"id": f"of-{place}"}, title),
        *content,
    )


def note(*content: Content) -> Markup:
    """What has to be said about what is shown."""
    return element("p", {"class": "note"}, *content)
