"""The page's texts: every language has the core, and what is filled in, in the forms that it wants."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support import ROOT
from web.tools import catalogue
from web.tools.import_texts import converted, latin, message

LANGUAGES = sorted(path.stem for path in (catalogue.LOCALES / "core").glob("*.json"))
PLURALS = catalogue.plurals()
#: How a catalogue may name where a text is from; what it does not name is our own.
SOURCES = re.compile(r"machine|core|matrix-react-sdk 3\.75\.0|django 5\.\d+(\.\d+)?|primelocale 2\.\d+\.\d+")


def check(part: str, language: str, texts: dict[str, str]) -> list[str]:
    """What is wrong with the texts of a language."""
    english = catalogue.read(part, "en")[0]
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
    assert {path.stem for path in (catalogue.LOCALES / "more").glob("*.json")} <= set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_has_the_core_and_nothing_broken(language: str) -> None:
    core, more = (catalogue.read(part, language)[0] for part in catalogue.PARTS)
    assert catalogue.read("core", "en")[0].keys() - core.keys() == set()
    assert check("core", language, core) + check("more", language, more) == []


def test_where_a_text_is_from_is_named() -> None:
    for language in LANGUAGES:
        for part in catalogue.PARTS:
            texts, sources = catalogue.read(part, language)
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


def test_what_the_page_says_is_in_its_catalogue() -> None:
    sources = "".join(path.read_text() for path in Path(ROOT / "python/web/messenger/src").rglob("*.ts*"))
    keys = catalogue.read("core", "en")[0].keys() | catalogue.read("more", "en")[0].keys()
    unused = {key for key in keys if f'"{key}"' not in sources and not re.match(r"(theme|accent)\.", key)}
    assert unused == set()
