"""The page in other languages: lines from right to left, plurals, what is missing, and what is loaded for it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

import allium
from tests.messenger.test_page_texts import LANGUAGES, PLURALS
from tests.support.browser import Tab
from tests.support.messenger import Messenger
from web.tools import catalogue

OpenTab = Callable[..., Tab]

PAGE = Path(allium.__file__).parent / "messenger" / "page"
#: A catalogue, bytes after gzip.
LARGEST_CATALOGUE = 12_000


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Messenger]:
    """A service that knows no network, and has no account."""
    made = Messenger(tmp_path_factory.mktemp("alone") / "data", None, "--port", "0").start()
    yield made
    made.close()


def core(language: str, key: str) -> str:
    return catalogue.read("core", language)[0][key]


def choose(page: Page, wanted: str, name: str) -> None:
    """Finds a language by a few letters, and takes it."""
    page.locator("button.pick").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("searchbox").fill(wanted)
    expect(dialog.get_by_role("listitem")).to_have_count(1)
    dialog.get_by_role("button", name=name).click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_language_is_chosen_before_anything_else_and_loaded_alone(alone: Messenger, open_tab: OpenTab) -> None:
    tab = open_tab(alone, color_scheme="dark", viewport={"width": 390, "height": 780})
    page = tab.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    expect(page.get_by_role("button", name="Create an account")).to_be_visible()
    assert [url for url in asked if "/assets/texts/" in url] == []
    page.get_by_role("button", name="Language: English").click()
    expect(page.get_by_role("dialog").get_by_role("listitem")).to_have_count(len(LANGUAGES))
    assert tab.violations() == []
    page.keyboard.press("Escape")
    # By the name in itself without marks, by the English one, and by what the reader calls it.
    choose(page, "turkce", "Türkçe")
    expect(page.get_by_role("button", name=core("tr", "welcome.create"))).to_be_visible()
    expect(page.locator("button.pick")).to_be_focused()
    choose(page, "almanca", "Deutsch")
    choose(page, "greek", "Ελληνικά")
    expect(page.get_by_role("heading", name=core("el", "welcome.title"))).to_be_visible()
    loaded = [url.rsplit("/", 1)[1].split(".")[0] for url in asked if "/assets/texts/" in url]
    assert loaded == ["tr", "de", "el"]
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "el")


@pytest.mark.parametrize(("language", "wanted", "name"), [("ar", "arabic", "العربية"), ("he", "עבר", "עברית")])
def test_lines_go_from_right_to_left(
    alone: Messenger, open_tab: OpenTab, language: str, wanted: str, name: str
) -> None:
    tab = open_tab(alone, viewport={"width": 390, "height": 780})
    page = tab.page
    expect(page.locator("button.pick")).to_be_visible()
    right = page.locator(".corner").bounding_box()
    choose(page, wanted, name)
    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    expect(page.get_by_role("heading", name=core(language, "welcome.title"))).to_be_visible()
    left = page.locator(".corner").bounding_box()
    assert left and right and left["x"] < 390 / 2 < right["x"] + right["width"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name=core(language, "welcome.restore")).click()
    expect(page.get_by_label(core(language, "restore.words"))).to_be_visible()
    assert tab.violations() == []


def test_plurals_are_the_languages_own(alone: Messenger, open_tab: OpenTab) -> None:
    page = open_tab(alone, locale="pl-PL").page
    page.get_by_role("button", name=core("pl", "welcome.restore")).click()
    for count, said in ((1, "1 słowo z 13"), (3, "3 słowa z 13"), (5, "5 słów z 13"), (12, "12 słów z 13")):
        page.get_by_label(core("pl", "restore.words")).fill("amaze " * count)
        expect(page.get_by_text(said)).to_be_visible()
    # Each form that the browser asks a catalogue for is in it.
    asked = page.evaluate(
        "tags => Object.fromEntries(tags.map(tag => {"
        " const rules = new Intl.PluralRules(tag);"
        " return [tag, [...new Set(Array.from({length: 1000}, (_, number) => rules.select(number)))]] }))",
        LANGUAGES,
    )
    assert [tag for tag, forms in asked.items() if not set(forms) <= set(PLURALS[tag])] == []


@pytest.mark.parametrize(("locale", "language"), [("pl-PL", "pl"), ("ar-EG", "ar")])
def test_what_a_language_lacks_is_english(alone: Messenger, browser: Browser, locale: str, language: str) -> None:
    assert "unauthorized.title" not in catalogue.read("more", language)[0]
    tab = Tab(browser, alone.url + "/", locale=locale)
    expect(tab.page.locator("html")).to_have_attribute("lang", language)
    expect(tab.page.get_by_text("Not opened by its link")).to_be_visible()
    expect(tab.page.get_by_text(core(language, "error.unauthorized"))).to_be_visible()
    # English lines keep their direction among others.
    kept = "\u2066" in tab.page.get_by_text("Not opened by its link").inner_text()
    assert kept == (language == "ar")
    tab.close()


def test_the_browsers_language_is_the_first_offer(alone: Messenger, browser: Browser) -> None:
    for locale, language in (("zh-HK", "zh-TW"), ("sr-Latn-RS", "sr-Latn"), ("yo", "en")):
        tab = Tab(browser, alone.url + "/", locale=locale)
        expect(tab.page.locator("html")).to_have_attribute("lang", language)
        tab.close()


def test_a_language_that_cannot_be_loaded_is_english(alone: Messenger, browser: Browser) -> None:
    tab = Tab(browser, "about:blank", locale="fr-FR")
    tab.hosts.add(alone.url.removeprefix("http://"))
    tab.page.route("**/assets/texts/*", lambda route: route.abort())
    tab.page.goto(alone.url + "/")
    expect(tab.page.get_by_text("Open the messenger with the link")).to_be_visible()
    tab.close()


def test_catalogues_are_small_and_not_kept_unasked() -> None:
    sizes = {
        path.name.split(".")[0]: len(gzip.compress(path.read_bytes()))
        for path in (PAGE / "assets" / "texts").glob("*.js")
    }
    assert sizes.keys() == set(LANGUAGES) - {"en"}
    assert {tag: size for tag, size in sizes.items() if size > LARGEST_CATALOGUE} == {}
    kept = json.loads((PAGE / "worker.js").read_text().split("const FILES = ", 1)[1].split(";\n", 1)[0])
    assert len(kept) > 3 and not [each for each in kept if "/texts/" in each]
    notice = (PAGE / "NOTICE").read_text()
    assert all(name in notice for name in ("matrix-react-sdk 3.75.0", "Django", "primelocale", "UNICODE LICENSE V3"))
