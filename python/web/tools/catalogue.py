"""A catalogue of texts: one language's ICU messages by key, whence they are, and what may be wrong with them.

Files are as docs/translate.md says. `problems` is what both the importer and the tests ask.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

LOCALES = Path(__file__).parent.parent / "messenger" / "locales"
#: The portal's page has catalogues of its own; the plural forms and names of languages are the messenger's.
PORTAL_LOCALES = Path(__file__).parent.parent / "portal" / "locales"
PARTS = ("core", "more")
#: The key of a catalogue that names where texts are from: source -> keys. What is not named there is our own.
SOURCES = "@sources"
#: Texts that a machine has written, and that nobody who speaks the language has read yet.
MACHINE = "machine"
#: Texts of `more` that say in the same words what one of the core says.
REPEATED = "core"
FORMS = ("zero", "one", "two", "few", "many", "other")

#: A tree of a message: words, and what is filled in as (name, kind, branches).
Node = str | tuple[str, str, dict[str, "list[Node]"]]


class MessageError(ValueError):
    """A text that is no ICU message."""


def read(part: str, language: str, locales: Path = LOCALES) -> tuple[dict[str, str], dict[str, str]]:
    """Texts by key, and sources by key, of a page's catalogues; both empty if there is no such file."""
    path = locales / part / f"{language}.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    sources = {key: source for source, keys in found.pop(SOURCES, {}).items() for key in keys}
    return found, sources


def write(part: str, language: str, texts: Mapping[str, str], sources: Mapping[str, str]) -> None:
    """Keys stand in the order of the English ones, so that files can be read side by side."""
    order = [key for key in read(part, "en")[0] if key in texts]
    content: dict[str, object] = {key: texts[key] for key in order}
    by_source = {source: [key for key in order if sources.get(key) == source] for source in sorted({*sources.values()})}
    if by_source := {source: keys for source, keys in by_source.items() if keys}:
        content[SOURCES] = by_source
    (LOCALES / part / f"{language}.json").write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def languages(locales: Path = LOCALES) -> list[str]:
    """The tags of all languages that a page offers."""
    return sorted(path.stem for path in (locales / "core").glob("*.json"))


def plurals() -> dict[str, list[str]]:
    """The plural forms that each language wants for whole numbers below a million (CLDR)."""
    found: dict[str, list[str]] = json.loads((LOCALES / "plurals.json").read_text())
    return found


def parse(text: str) -> list[Node]:
    """The tree of a message; `MessageError` where it is none."""
    nodes, end = _message(text, 0, nested=False)
    if end != len(text):
        raise MessageError("a brace is closed that was not opened")
    return nodes


def _message(text: str, at: int, *, nested: bool) -> tuple[list[Node], int]:
    nodes: list[Node] = []
    while at < len(text):
        if text[at] == "{":
            node, at = _argument(text, at + 1)
            nodes.append(node)
        elif text[at] == "}":
            if nested:
                return nodes, at
            break
        else:
            end = next((place for place in range(at, len(text)) if text[place] in "{}"), len(text))
            nodes.append(text[at:end])
            at = end
    if nested:
        raise MessageError("a brace is not closed")
    return nodes, at


def _argument(text: str, at: int) -> tuple[Node, int]:
    head = re.compile(r"\s*(\w+)\s*(?:(,)\s*(\w+)\s*,|(?=\}))").match(text, at)
    if head is None:
        raise MessageError("what is in braces is no placeholder")
    name, kind, at = head[1], head[3] or "", head.end()
    if not kind:
        return (name, "", {}), at + 1
    if kind != "plural":
        raise MessageError(f"{kind} is nothing that we use")
    branches: dict[str, list[Node]] = {}
    branch = re.compile(r"\s*(=\d+|\w+)\s*\{")
    while found := branch.match(text, at):
        if (found[1] not in FORMS and not found[1].startswith("=")) or found[1] in branches:
            raise MessageError(f"{found[1]} is no plural form, or stands twice")
        branches[found[1]], at = _message(text, found.end(), nested=True)
        at += 1
    closing = re.compile(r"\s*\}").match(text, at)
    if closing is None:
        raise MessageError("a plural is not closed")
    return (name, kind, branches), closing.end()


def _arguments(nodes: list[Node]) -> Iterator[tuple[str, str, dict[str, list[Node]]]]:
    for node in nodes:
        if not isinstance(node, str):
            yield node
            for branch in node[2].values():
                yield from _arguments(branch)


def problems(text: str, english: str, forms: list[str]) -> list[str]:
    """What is wrong with a translation of `english` into a language that has those plural forms."""
    if not text.strip():
        return ["is empty"]
    try:
        nodes = parse(text)
    except MessageError as fault:
        return [str(fault)]
    wrong = []
    if re.search(r"</?\w|%\(|%[sd]|'", text):
        wrong.append("has markup, another format's placeholder, or a straight apostrophe")
    found = list(_arguments(nodes))
    names = {(name, kind) for name, kind, _ in found}
    wanted = {(name, kind) for name, kind, _ in _arguments(parse(english))}
    if names != wanted:
        wrong.append(f"fills in {sorted(names)}, not {sorted(wanted)}")
    for name, kind, branches in found:
        # What is said of one number (`=0`) is said beside the forms.
        had = {form for form in branches if not form.startswith("=")}
        if kind and had != set(forms):
            wrong.append(f"{name} has the forms {sorted(had)}, not {sorted(forms)}")
    return wrong
