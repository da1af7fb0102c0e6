"""The page's texts: every language has the core, and what is filled in is the same everywhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support import ROOT

LOCALES = ROOT / "python/web/messenger/locales"
LANGUAGES = sorted(path.stem for path in (LOCALES / "core").glob("*.json"))
#: Plural forms that a language has must be there (CLDR), of those that we have.
FORMS = {"ar": {"zero", "one", "two", "few", "many", "other"}}
FORMS |= {language: {"one", "few", "many", "other"} for language in ("ru", "uk", "pl")}


def texts(part: str, language: str) -> dict[str, str]:
    path = LOCALES / part / f"{language}.json"
    found: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return found


def placeholders(text: str) -> set[str]:
    """What is filled in: `{name}`, or `{name, plural, …}`."""
    return set(re.findall(r"\{(\w+)(?=[,}])", re.sub(r"\b(zero|one|two|few|many|other) \{[^{}]*\}", "", text)))


def problem(text: str) -> str | None:
    """What is wrong with the braces of a text."""
    depth = 0
    for letter in text:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if depth < 0:
            return "a brace is closed that was not opened"
    return "a brace is not closed" if depth else None


def check(part: str, language: str, found: dict[str, str]) -> list[str]:
    """What is wrong with the texts of a language."""
    english = texts(part, "en")
    wrong = [f"{key}: is no text of ours" for key in found.keys() - english.keys()]
    for key in found.keys() & english.keys():
        text = found[key]
        if not text.strip():
            wrong.append(f"{key}: is empty")
        elif reason := problem(text):
            wrong.append(f"{key}: {reason}")
        elif placeholders(text) != placeholders(english[key]):
            wrong.append(f"{key}: fills in {placeholders(text)}, not {placeholders(english[key])}")
        elif ", plural," in text:
            forms = set(re.findall(r"\b(zero|one|two|few|many|other) \{", text))
            if not FORMS.get(language, {"other"}) <= forms:
                wrong.append(f"{key}: lacks plural forms")
    return wrong


def test_the_languages_of_the_core_are_there() -> None:
    assert {"en", "de", "fr", "es", "ar"} <= set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_has_the_core_and_nothing_broken(language: str) -> None:
    core = texts("core", language)
    assert texts("core", "en").keys() - core.keys() == set()
    assert check("core", language, core) + check("more", language, texts("more", language)) == []


def test_a_broken_text_is_noticed() -> None:
    broken = {
        "list.you": "Du: {txt}",
        "chat.emptyHint": "Für {name",
        "list.unread": "{count, plural, one {#}}",
        "x": "y",
    }
    assert len(check("core", "de", broken)) == 4


def test_what_the_page_says_is_in_its_catalogue() -> None:
    sources = "".join(path.read_text() for path in Path(ROOT / "python/web/messenger/src").rglob("*.ts*"))
    keys = texts("core", "en").keys() | texts("more", "en").keys()
    unused = {key for key in keys if f'"{key}"' not in sources and not re.match(r"(theme|accent)\.", key)}
    assert unused == set()
