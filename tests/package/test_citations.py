"""Citations of protocol facts that lead nowhere are found, those that lead somewhere are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lint.citations import dead, main, numbers

HERE = Path(__file__).parents[2]
ONION = "# Onion requests\n\n## 2. Entry\n\n### 2.1a The first\n\n### 2.2 The next, as in §2.1a\n\n## 3. Encryption\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    pages = tmp_path / "docs" / "spec"
    pages.mkdir(parents=True)
    (pages / "onion.md").write_text(ONION, "utf-8")
    return tmp_path


def reported(root: Path, text: str, file: str = "code.rs") -> list[str]:
    # Its name is put in here, so that this file itself cites nothing.
    (root / file).write_text(text.replace("PAGE", "spec/onion"), "utf-8")
    return dead(root, [file])


@pytest.mark.parametrize(
    "text",
    [
        "// `PAGE`\n",
        "//! `PAGE` §2, §3; and then §9.\n",
        "/// (`PAGE`\n/// §2.1a).\n",
        "# `PAGE` §2-3\n",
        "# `PAGE` §2 to §3.\n",
        "RFC 8032 §5.1\n",
        "other/spec/nothing, spec/nothing\n",
    ],
)
def test_what_leads_somewhere_is_not_reported(root: Path, text: str) -> None:
    assert reported(root, text) == []


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("\n// `PAGE` §9.9\n", "2: §9.9"),
        ("// PAGE §9.9\n", "1: §9.9"),
        ("// `PAGE`\n//! §2.1\n", "1: §2.1"),
        ("# `PAGE` §2, §4 and §3.\n", "1: §4"),
        ("# `PAGE` §3-5\n", "1: §4, 1: §5"),
        ("# `PAGE` §2.2b\n", "1: §2.2b"),
    ],
)
def test_what_leads_nowhere_is_reported(root: Path, text: str, missing: str) -> None:
    found = reported(root, text)
    expected = [entry.split(": ") for entry in missing.split(", ")]
    assert found == [f"code.rs:{line}: spec/onion {number} is not in docs/spec/onion.md" for line, number in expected]


def test_pages_that_do_not_exist(root: Path) -> None:
    assert reported(root, "`PAGEs` §1") == ["code.rs:1: spec/onions has no docs/spec/onions.md"]


def test_pages_cite_each_other_and_themselves(root: Path) -> None:
    text = "## 1. Here\n\n[onion](onion.md) §3, [onion](onion.md) §4; §1, §2; RFC 8032 §5.1.\n"
    assert reported(root, text, "docs/spec/page.md") == [
        f"docs/spec/page.md:3: spec/{page} {section} is not in docs/spec/{page}.md"
        for page, section in (("onion", "§4"), ("page", "§2"))
    ]


def test_what_is_no_text_is_not_read(root: Path) -> None:
    (root / "image").write_bytes(b"\xff\xfe `spec/nowhere\xff`")
    assert dead(root, ["image", "deleted"]) == []


def test_sections_of_a_range() -> None:
    assert [*numbers("§1.4, §2-4, §2.3-§2.5")] == ["1.4", "2", "3", "4", "2.3", "2.4", "2.5"]


@pytest.mark.skipif(not (HERE / ".git").exists(), reason="git says which files there are")
def test_nothing_here_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)
    assert main() == 0
