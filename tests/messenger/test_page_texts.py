"""Pages' texts: every language has the core, and what is filled in, in the forms that it wants."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support import ROOT
from web.tools import catalogue
from web.tools.import_texts import converted, latin, message

LANGUAGES = catalogue.languages()
PAGES = {"messenger": catalogue.LOCALES, "portal": catalogue.PORTAL_LOCALES}
EVERY = [(page, language) for page, locales in PAGES.items() for language in catalogue.languages(locales)]
PLURALS = catalogue.plurals()
#: How a catalogue may name where a text is from; what it does not name is our own.
SOURCES = re.compile(r"machine|core|matrix-react-sdk 3\.75\.0|django 5\.\d+(\.\d+)?|primelocale 2\.\d+\.\d+")


def check(part: str, language: str, texts: dict[str, str], page: str = "messenger") -> list[str]:
    """What is wrong with the texts of a language."""
    english = catalogue.read(part, "en", PAGES[page])[0]
    wrong = [f"{key}: is no text of ours" for key in texts.keys() - english.keys()]
    for key in texts.keys() & english.keys():
        wrong += [f"{key}: {each}" for each in catalogue.problems(texts[key], english[key], PLURALS[language])]
    return wrong


def test_seventy_languages_are_offered() -> None:
    assert len(LANGUAGES) >= 70
    assert {"en", "de", "fr", "es", "it", "nl", "pt-BR", "ar", "he", "fa", "pl", "ru", "ja", "zh-CN"} <= set(LANGUAGES)
    names = json.loads((catalogue.LOCALES / "names.json").read_text())
    assert set(LANGUAGES) == names.keys() == PLURALS.keys()
    assert len({own for own, _ in names.values()}) == len(LANGUAGES)
    # What stakers read most is in the languages that most people speak, among them four from right to left.
    of_the_portal = catalogue.languages(catalogue.PORTAL_LOCALES)
    assert len(of_the_portal) >= 24 and {"ar", "fa", "he", "ur"} <= set(of_the_portal) <= set(LANGUAGES)
    for locales in PAGES.values():
        assert {path.stem for path in (locales / "more").glob("*.json")} <= set(catalogue.languages(locales))


@pytest.mark.parametrize(("page", "language"), EVERY)
def test_a_language_has_the_core_and_nothing_broken(page: str, language: str) -> None:
    core, more = (catalogue.read(part, language, PAGES[page])[0] for part in catalogue.PARTS)
    assert catalogue.read("core", "en", PAGES[page])[0].keys() - core.keys() == set()
    assert check("core", language, core, page) + check("more", language, more, page) == []


def test_where_a_text_is_from_is_named() -> None:
    for page, language in EVERY:
        for part in catalogue.PARTS:
            texts, sources = catalogue.read(part, language, PAGES[page])
            assert sources.keys() <= texts.keys(), language
            assert [each for each in set(sources.values()) if not SOURCES.fullmatch(each)] == [], language


def test_a_broken_text_is_noticed() -> None:
    core = catalogue.read("core", "pl")[0]
    assert check("core", "pl", core) == []
    for broken in (
        {"list.you": "Ty: {txt}"},
        {"list.you": "Ty: %(text)s {text}"},
        {"chat.emptyHint": "Dla {name"},
        {"chat.emptyHint": "Dla {name}}"},
        {"chat.emptyHint": "Dla <b>{name}</b>"},
        {"list.unread": "{count, plural, one {#} other {#}}"},
        {"list.unread": "{count, plural, one {#} few {#} many {#} other {#} two {#}}"},
        {"list.unread": "{count, plural, one {#} few {#} many {#} other {#}"},
        {"list.unread": "{count}"},
        {"common.back": " "},
        {"x": "y"},
    ):
        assert len(check("core", "pl", core | broken)) == 1, broken


def test_what_a_source_says_becomes_a_message_of_ours() -> None:
    assert converted("Copié !", "Copied") == "Copié"
    assert converted("chargement...", "Loading…") == "Chargement…"
    assert converted("L'%(name)s", "{name}") == "L\u2019{name}"
    english = "{count, plural, one {# member} other {# members}}"
    forms = {"one": "%(count)s member", "other": "%(count)s members."}
    assert message(forms, english, ["one", "other"], "en") == english
    assert message(forms, english, ["one", "few", "many", "other"], "pl") is None
    assert latin("Љубав Џеп његов {count}") == "Ljubav Džep njegov {count}"


#: Keys that are put together of parts.
MADE = {"messenger": r"(theme|accent)\.", "portal": r"(revert|node\.state|pot\.status)\."}


@pytest.mark.parametrize("page", PAGES)
def test_what_the_page_says_is_in_its_catalogue(page: str) -> None:
    sources = "".join(path.read_text() for path in Path(ROOT / "python/web" / page / "src").rglob("*.ts*"))
    parts = [catalogue.read(part, "en", PAGES[page])[0].keys() for part in catalogue.PARTS]
    assert parts[0] & parts[1] == set()
    unused = {key for key in parts[0] | parts[1] if f'"{key}"' not in sources and not re.match(MADE[page], key)}
    assert unused == set()
