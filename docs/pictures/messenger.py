"""Takes the pictures of the messenger, of what Chromium really shows. `make screenshots` calls it.

Every page, in light, dark, from right to left and as wide as a telephone, is in `build/screenshots`, to be looked at;
those that the documentation shows are beside this file, as `messenger-*.png`. Nothing in them is made up: a network of
real nodes, three people with a service each, and what they have said.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image, ImageDraw
from playwright.sync_api import Page, expect

from tests.support.browser import Tab, launched
from tests.support.devnet import up
from tests.support.messenger import Messenger

OUT = Path(__file__).parent
#: Where all of them go.
ALL = OUT.parents[1] / "build" / "screenshots"
#: How each page is looked at.
WAYS: dict[str, dict[str, Any]] = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "rtl": {"locale": "ar"},
    "phone": {"viewport": {"width": 390, "height": 760}, "has_touch": True},
    "phone-rtl": {"viewport": {"width": 390, "height": 760}, "has_touch": True, "locale": "ar"},
}
SECTIONS = (
    *("profile", "phrase", "privacy", "notifications", "appearance", "language"),
    *("lock", "network", "backups", "blocked", "data", "help"),
)
#: Of those, what the documentation shows, under the name that it has there.
SHOWN = {
    ("conversation", "light"): "light",
    ("conversation", "dark"): "dark",
    ("settings-appearance", "dark"): "settings",
    ("list", "phone-rtl"): "phone-arabic",
    ("conversation", "phone"): "phone",
    ("group", "light"): "group",
}
#: Colours of a picture: enough for a page, and a third of the bytes.
COLOURS = 256


class Person:
    """Somebody with a service and an account."""

    def __init__(self, service: Messenger, name: str) -> None:
        self.service = service
        account = service.do("POST", "/api/accounts", {"display_name": name})
        self.id, self.path = account["account_id"], f"/api/accounts/{account['id']}"
        service.do("POST", f"{self.path}/phrase/seen")

    def say(self, to: str, text: str, **more: Any) -> dict[str, Any]:
        """Sends a message."""
        sent: dict[str, Any] = self.service.do(
            "POST", f"{self.path}/conversations/{to}/messages", {"text": text, **more}
        )
        return sent


def lake() -> bytes:
    """A picture to send."""
    image = Image.new("RGB", (1200, 800))
    draw = ImageDraw.Draw(image)
    for row in range(800):
        share = row / 800
        above = (int(250 - 120 * share), int(190 - 40 * share), int(150 + 60 * share))
        below = (int(100 - 40 * share), int(130 - 20 * share), int(140 + 10 * share))
        draw.line([(0, row), (1200, row)], fill=above if row < 430 else below)
    draw.ellipse([820, 180, 960, 320], fill=(255, 236, 190))
    draw.polygon([(0, 430), (180, 300), (340, 400), (560, 250), (760, 430)], fill=(70, 90, 105))
    draw.polygon([(500, 430), (800, 330), (1000, 390), (1200, 320), (1200, 430)], fill=(95, 110, 120))
    written = BytesIO()
    image.save(written, "JPEG", quality=88)
    return written.getvalue()


def talk(mira: Person, jonas: Person, salma: Person) -> None:
    """What the pictures show."""
    with mira.service.events() as at_mira, jonas.service.events() as at_jonas:

        def to_mira(text: str, **more: Any) -> dict[str, Any]:
            jonas.say(mira.id, text, **more)
            got: dict[str, Any] = at_mira.until("message_received")["message"]
            return got

        mira.say(jonas.id, "Hi Jonas, it is Mira. This is where I write from now on!")
        at_jonas.until("request_received")
        to_mira("Found you. No phone number, nice.")
        mira.say(jonas.id, "Are you coming to the lake on Saturday?")
        at_jonas.until("message_received")
        answer = to_mira("Yes! I bring the boat and something to eat.")
        mira.service.do("PUT", f"{mira.path}/messages/{answer['id']}/reactions/{quote('🥰')}")
        mira.say(jonas.id, "Perfect. Salma wants to know whether there is room for a dog.", quote=answer["id"])
        at_jonas.until("message_received")
        upload = jonas.service.ask("POST", f"{jonas.path}/uploads?name=lake.jpg&voice=false", lake()).json
        to_mira("There is always room for a dog. It looked like this last year", attachments=[upload["id"]])
        salma.say(mira.id, "Hello Mira, Jonas gave me your id. Is it fine to bring the dog?")
        at_mira.until("request_received")
        mira.say(mira.id, "Rope, lemons, dog biscuits")


def group(mira: Person, jonas: Person) -> str:
    """A group of two; its id."""
    with jonas.service.events() as at_jonas:
        made = mira.service.do("POST", f"{mira.path}/groups", {"name": "Lake on Saturday", "members": [jonas.id]})
        at_jonas.until("group_changed", lambda event: event["group"] == made["id"])
    mira.say(made["id"], "Who takes whom? I have two seats.")
    found: str = made["id"]
    return found


def pages(mira: Person, jonas: Person, room: str) -> dict[str, tuple[str, Callable[[Page], object]]]:
    """Every page: its address, and what is done there. Nothing goes by its label, so that it works in each language."""

    def press(keys: str) -> Callable[[Page], object]:
        return lambda page: page.keyboard.press(keys)

    def click(what: str) -> Callable[[Page], object]:
        return lambda page: page.locator(what).first.click()

    def look(page: Page) -> None:
        page.locator("button.picture").click()
        expect(page.locator(".viewer img")).to_be_visible()

    def nothing(_: Page) -> None:
        return

    account = mira.path.rpartition("/")[2]
    talk, start = f"{account}/c/{jonas.id}", f"{account}"
    found: dict[str, tuple[str, Callable[[Page], object]]] = {
        "list": (start, nothing),
        "conversation": (talk, lambda page: expect(page.locator(".picture img")).to_be_visible()),
        "contact": (talk, click(".chat-head .account")),
        "menu": (talk, lambda page: page.locator("article").last.click(button="right")),
        "picture": (talk, look),
        "group": (f"{account}/c/{room}", click(".chat-head .account")),
        "requests": (f"{account}/requests", nothing),
        "palette": (start, press("Control+k")),
        "new": (start, press("Control+n")),
        "new-group": (start, press("Control+Shift+G")),
        "search": (start, lambda page: page.locator("#search").fill("lake")),
        "welcome": ("new", nothing),
        "restore": ("new", click(".welcome button:not(.primary)")),
    }
    return found | {f"settings-{each}": (f"{account}/settings/{each}", nothing) for each in SECTIONS}


def take(tab: Tab, name: str, way: str) -> None:
    """One picture, made small where it is kept."""
    tab.page.wait_for_load_state("networkidle")
    shot = Image.open(BytesIO(tab.page.screenshot())).convert("RGB")
    shot.save(ALL / f"{name}-{way}.png")
    if (kept := SHOWN.get((name, way))) is not None:
        shot.quantize(COLOURS, dither=Image.Dither.NONE).save(OUT / f"messenger-{kept}.png", optimize=True)


def pictures(mira: Person, jonas: Person, room: str) -> None:
    """All of them, or those of the ways that were named on the command line."""
    ALL.mkdir(parents=True, exist_ok=True)
    with launched() as browser:
        for way in sys.argv[1:] or WAYS:
            tab = Tab(browser, mira.service.do("POST", "/api/links")["url"], **WAYS[way])
            expect(tab.page.locator(".shell")).to_be_visible()
            for name, (address, act) in pages(mira, jonas, room).items():
                tab.page.goto(f"{mira.service.url}/#/{address}")
                tab.page.reload()
                tab.page.locator(".shell, .splash .welcome").first.wait_for()
                act(tab.page)
                take(tab, name, way)
            tab.close()


def main() -> int:
    """Runs everything; the exit code."""
    with tempfile.TemporaryDirectory() as directory, up(Path(directory) / "net", "--nodes", "6", "--files") as net:
        names = {"mira": "Mira Okafor", "jonas": "Jonas Weber", "salma": "Salma Haddad"}
        services = {name: Messenger(Path(directory) / name, net, "--port", "0") for name in names}
        try:
            people = [Person(service.start(), names[name]) for name, service in services.items()]
            talk(*people)
            mira, jonas, _ = people
            pictures(mira, jonas, group(mira, jonas))
        finally:
            for service in services.values():
                service.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
