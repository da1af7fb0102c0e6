"""Whether each protocol fact that is cited is there: `spec/node-rpc` §2.4 is "### 2.4 ..." in docs/spec/node-rpc.md.

How citations are written is in docs/spec/index.md. Read are all texts that git knows; in docs/spec also links with a
section, `[onion](onion.md) §4.3`, and sections of the page itself. Run it from the repository's root: a line for each
citation that leads nowhere, and exit code 1 if there is one.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

PAGES = Path("docs/spec")

#: A line may end anywhere in a citation; what begins the next line of a comment is not part of it.
_GAP = r"(?:[ \t]*\n[ \t]*(?://[/!]?|#:?|--|\*)?[ \t]*|[ \t]+)"
_NUMBER = r"\d+(?:\.\d+)*[a-z]?\b"
#: `§3`, `§3-5`, `§2.1 to §2.4`.
_SECTION = rf"§{_NUMBER}(?:(?:-|{_GAP}to{_GAP})§?{_NUMBER})?"
_SECTIONS = rf"{_SECTION}(?:(?:,|,?{_GAP}and){_GAP}?{_SECTION})*"
_NAMED = re.compile(
    rf"`spec/(?P<page>[a-z0-9-]+)`(?:{_GAP}(?P<sections>{_SECTIONS}))?"
    # Without the quotes it may be anything, unless a section follows.
    rf"|(?<![\w`/.-])spec/(?P<bare>[a-z0-9-]+){_GAP}(?P<bare_sections>{_SECTIONS})"
)
#: Within the pages: of another page, of somebody else's document, of the page itself.
_WITHIN = re.compile(
    rf"\]\((?P<page>[a-z0-9-]+)\.md\){_GAP}(?P<sections>{_SECTIONS})"
    rf"|(?:RFC{_GAP}\d+|`spec/[a-z0-9-]+`){_GAP}{_SECTIONS}"
    rf"|(?P<own>{_SECTIONS})"
)
_RANGE = re.compile(rf"§(?P<first>{_NUMBER})(?:(?:-|{_GAP}to{_GAP})§?(?P<last>{_NUMBER}))?")
_HEADING = re.compile(rf"^#{{1,6}} (?P<number>{_NUMBER})", re.MULTILINE)


def numbers(sections: str) -> Iterator[str]:
    """Each section of `§1.4, §2-3` by its number: 1.4, 2, 3."""
    for found in _RANGE.finditer(sections):
        first, last = found["first"], found["last"] or found["first"]
        yield first
        (parent, _, low), (_, _, high) = first.rpartition("."), last.rpartition(".")
        if low.isdecimal() and high.isdecimal():
            for number in range(int(low) + 1, int(high)):
                yield f"{parent}.{number}" if parent else str(number)
        if last != first:
            yield last


def cited(file: Path, text: str) -> Iterator[tuple[int, str, str | None]]:
    """Line, page and section of each citation in `text`; the section is None where a whole page is meant."""
    matches = [*_NAMED.finditer(text)]
    if file.parent == PAGES:
        matches += _WITHIN.finditer(text)
    for found in sorted(matches, key=lambda found: found.start()):
        names = found.groupdict()
        sections = names.get("sections") or names.get("bare_sections") or names.get("own")
        page = names.get("page") or names.get("bare") or (file.stem if names.get("own") else None)
        if page is None:
            continue
        line = text.count("\n", 0, found.start()) + 1
        if sections is None:
            yield line, page, None
        else:
            yield from ((line, page, number) for number in numbers(sections))


def dead(root: Path, files: Iterable[str]) -> list[str]:
    """What citations in `files`, named from `root`, lead nowhere: `file:line: what is missing`."""
    pages = {
        page.stem: {found["number"] for found in _HEADING.finditer(page.read_text("utf-8"))}
        for page in (root / PAGES).glob("*.md")
    }
    lines = []
    for file in map(Path, files):
        try:
            text = (root / file).read_text("utf-8")
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue  # No text, deleted and not yet committed, or a submodule.
        for line, page, section in cited(file, text):
            if page not in pages:
                lines.append(f"{file}:{line}: spec/{page} has no {PAGES}/{page}.md")
            elif section is not None and section not in pages[page]:
                lines.append(f"{file}:{line}: spec/{page} §{section} is not in {PAGES}/{page}.md")
    return lines


def main() -> int:
    """The exit code."""
    listed = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True).stdout.decode()
    lines = dead(Path(), filter(None, listed.split("\0")))
    print("\n".join(lines), end="\n" if lines else "")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
