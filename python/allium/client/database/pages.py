"""Conversations as web pages, to be read in fifty years: one file each, with nothing from outside, and no scripts.

What strangers wrote is text and nothing else: it is escaped, no link can be followed, and a policy in the page forbids
the browser to load or run anything. Characters that turn the direction of writing are taken out of names and file names
(`gpj.exe` must not be shown as `exe.jpg`); in texts they reach no further than the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Generator, Iterator, Mapping
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from allium.client.database import export
from allium.client.database.database import Database
from allium.client.database.rows import Conversation, Message

INDEX = "index.html"
_BATCH = 200
#: Files beside a page that it shows.
_PICTURES = (".png", ".jpg", ".gif", ".webp")
#: Characters of a name that are shown.
_MAX_NAME = 100
#: What joins emoji and letters, of the characters that show nothing themselves.
_JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
#: Categories of characters that nobody sees, but that move others: control, format, halves.
_UNSEEN = ("Cc", "Cf", "Cs")
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #111;
  background: #fff; }
h1, p, li, bdi { overflow-wrap: anywhere; }
ol { list-style: none; padding: 0; }
article { margin: 0 0 1rem; padding: .5rem .75rem; border-radius: .5rem; background: #f1f1f1; }
article.own { margin-left: 15%; background: #dff3e4; }
article p { margin: .25rem 0; white-space: pre-wrap; unicode-bidi: isolate; }
img { display: block; max-width: 100%; max-height: 30rem; border-radius: .5rem; }
header, small, blockquote { color: #444; font-size: .875rem; }
blockquote { margin: .25rem 0; padding-left: .5rem; border-left: 3px solid #999; }
@media (prefers-color-scheme: dark) {
  body { color: #eee; background: #111; } a { color: #8cf; }
  article { background: #222; } article.own { background: #143d22; } header, small, blockquote { color: #bbb; }
}
"""


def write_pages(database: Database, directory: Path) -> list[Path]:
    """A page for each conversation that has messages, and one that lists them; `DatabaseError` if that cannot be.

    Returns the files, the list first.
    """
    steps = page_steps(database, directory)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: list[Path] = end.value
            return found


def page_steps(database: Database, directory: Path) -> Generator[int, None, list[Path]]:
    """`write_pages` in short steps, between which the database may be used; yields how many pages there are so far."""
    written: list[Path] = []
    entries: list[str] = []
    conversations = [each for each in database.conversations.all() if database.messages.count(each.id)]
    for number, conversation in enumerate(conversations, 1):
        path = directory / f"{number:04}-{_file_name(conversation)}.html"
        for _ in export.write_steps(path, page(database, conversation)):
            yield len(written)
        entries.append(
            f'<li><a href="{path.name}">{_name(_title(conversation))}</a> '
            f"<small>{database.messages.count(conversation.id)}, {_moment(conversation.last_activity)}</small></li>"
        )
        written.append(path)
        yield len(written)
    index = directory / INDEX
    export.write(index, _document("Conversations", ["<ol>", *entries, "</ol>"]))
    return [index, *written]


def page(database: Database, conversation: Conversation, files: Mapping[str, str] | None = None) -> Iterator[str]:
    """The page of a conversation, in pieces; between two of them the database may be used.

    `files` says of files, by where they lie on this machine, where they lie beside the page: only these are shown.
    """
    yield from _document(_title(conversation), _articles(database, conversation, files or {}))


def visible(name: str, limit: int = _MAX_NAME) -> str:
    """A name as it can be shown anywhere: on one line, and in the order in which it was written."""
    shown = "".join(" " if each.isspace() else each for each in name[: limit * 2])
    shown = "".join(each for each in shown if each in _JOINERS or unicodedata.category(each) not in _UNSEEN)
    return " ".join(shown.split())[:limit]


def _document(title: str, body: Any) -> Iterator[str]:
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{escape(visible(title))}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{_name(title)}</h1>\n<main>\n"
    )
    for piece in body:
        yield piece + "\n"
    yield "</main>\n</body>\n</html>\n"


def _articles(database: Database, conversation: Conversation, files: Mapping[str, str]) -> Iterator[str]:
    names: dict[str, str] = {}

    def name_of(account: str) -> str:
        if account not in names:
            profile = database.profiles.get(account)
            names[account] = (conversation.name if account == conversation.id else "") or (
                profile.name if profile is not None and visible(profile.name) else ""
            )
        return f'<span title="{escape(visible(account))}">{_name(names[account] or account)}</span>'

    last: Message | None = None
    begun = False
    while True:
        batch = database.messages.page(conversation.id, after=last, first=not begun, limit=_BATCH)
        begun = True
        if not batch:
            return
        for message, entry in zip(batch, export.messages(database, batch), strict=True):
            yield _article(message, entry, name_of, files)
        last = batch[-1]


def _article(message: Message, entry: dict[str, Any], name_of: Any, files: Mapping[str, str]) -> str:
    parts = [f"<header>{name_of(message.sender)} <time>{_moment(message.timestamp)}</time></header>"]
    if message.deleted:
        parts.append("<p><small>This message was deleted.</small></p>")
    if (quote := message.quote) is not None:
        parts.append(f"<blockquote>{name_of(quote.author)}, {_moment(quote.timestamp)}</blockquote>")
    if message.kind != "text" and not message.deleted:
        parts.append(f"<p><small>{_name(message.kind)}</small></p>")
    if message.body:
        parts.append(f'<p dir="auto">{escape(_text(message.body))}</p>')
    for file in entry["attachments"]:
        described = f"{_name(file['name'] or file['content_type'] or 'file')}, {int(file['size'])} bytes"
        caption = f' <span dir="auto">{escape(_text(file["caption"]))}</span>' if file["caption"] else ""
        if (place := files.get(file["path"])) is not None:
            described = f'<a href="{escape(place)}">{described}</a>'
            if place.endswith(_PICTURES):
                parts.append(f'<img src="{escape(place)}" alt="">')
        parts.append(f"<p><small>File: {described}</small>{caption}</p>")
    if entry["reactions"]:
        shown = (f"{_name(each['emoji'])} {name_of(each['sender'])}" for each in entry["reactions"])
        parts.append(f"<small>{', '.join(shown)}</small>")
    own = ' class="own"' if message.outgoing else ""
    return f"<article{own}>{''.join(parts)}</article>"


def _name(name: str) -> str:
    return f"<bdi>{escape(visible(name))}</bdi>"


def _text(text: str) -> str:
    """Without characters that HTML does not know."""
    return "".join(each if each in "\n\t" or unicodedata.category(each) not in ("Cc", "Cs") else " " for each in text)


def _title(conversation: Conversation) -> str:
    return conversation.name if visible(conversation.name) else conversation.id


def _moment(milliseconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{milliseconds} ms"


def _file_name(conversation: Conversation) -> str:
    """Of its name, what every file system takes; of an Account ID the first digits."""
    plain = unicodedata.normalize("NFKD", _title(conversation))
    return re.sub(r"[^A-Za-z0-9]+", "-", plain)[:24].strip("-") or "conversation"
