"""Words that docs/glossary.md says the code must not use, found in names.

The last column of its tables has them, in backticks; behind one may stand ` in DIRECTORY`, and it counts there alone. A
word with a capital letter, or with `_`, is looked for as a whole name, any other as a part of names (`tombs` in
`clean_tombs`). Comments and strings do not count, nor a method of the standard library (behind a dot).

Run from the repository's root: `python tests/lint/glossary.py`; ends with 1 if there are any.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

GLOSSARY = Path("docs/glossary.md")
WORD = re.compile(r"`(\w+)`(?: in ([\w/]+))?")
NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
RUST = re.compile(r"//[^\n]*|/\*.*?\*/|b?r(#*)\".*?\"\1|b?\"(?:\\.|[^\"\\])*\"|'(?:\\.[^']*|[^'\\])'", re.DOTALL)
PYTHON = re.compile(
    r"#[^\n]*|[a-zA-Z]{0,2}(\"\"\"|''').*?\1|[a-zA-Z]{0,2}\"(?:\\.|[^\"\\\n])*\"|[a-zA-Z]{0,2}'(?:\\.|[^'\\\n])*'",
    re.DOTALL,
)


@dataclass(frozen=True)
class Banned:
    """A word, where it must not be, and what is said instead."""

    word: str
    directory: str
    term: str

    def is_in(self, name: str) -> bool:
        """Whether a name is it, or has it as a part."""
        if self.word != self.word.lower() or "_" in self.word:
            return name == self.word
        return self.word in name.lower().split("_")


def banned(glossary: str) -> list[Banned]:
    """The words of the last column."""
    found = []
    for line in glossary.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and len(cells) == 3:
            found += [Banned(word, directory, cells[0]) for word, directory in WORD.findall(cells[2])]
    return found


def offences(root: Path, files: list[str], words: list[Banned]) -> Iterator[str]:
    """A line for each name that has such a word."""
    for file in files:
        here = [word for word in words if file.startswith(word.directory)]
        text = (root / file).read_text("utf-8")
        strings = RUST if file.endswith(".rs") else PYTHON
        code = strings.sub(lambda found: "\n" * found.group().count("\n"), text)
        for number, line in enumerate(code.splitlines(), 1):
            for name in NAME.findall(line):
                for word in here:
                    if word.is_in(name):
                        yield f"{file}:{number}: {name}: the glossary calls it {word.term}"


def main(root: Path = Path()) -> int:
    """Prints what was found."""
    listed = subprocess.run(
        ["git", "ls-files", "*.rs", "*.py", "*.pyx", "*.pyi"], cwd=root, capture_output=True, text=True, check=True
    )
    files = [file for file in listed.stdout.splitlines() if (root / file).exists() and "_pb2" not in file]
    found = list(offences(root, files, banned((root / GLOSSARY).read_text("utf-8"))))
    print("\n".join(found) or "no name has a word that the glossary replaces")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path()))
