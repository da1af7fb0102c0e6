"""A browser for the tests of pages: the Chromium or Chrome of this machine, its traffic and its complaints watched."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Worker, expect, sync_playwright

from tests.support import ROOT

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: Nothing here takes that long but on a machine that does much else.
_MILLISECONDS = 60_000
_AXE = ROOT / "python/web/node_modules/axe-core/axe.min.js"
#: What is said of a service that is away.
_NO_COMPLAINT = ("net::ERR_CONNECTION_REFUSED", "net::ERR_INTERNET_DISCONNECTED", "WebSocket")


def executable() -> str:
    """Where the browser is."""
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    raise AssertionError("the tests of pages need Chromium or Chrome on the PATH: apt-get install chromium")


_ARGUMENTS = (
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    # Calls find their way where there is no network but this machine's.
    "--allow-loopback-in-peer-connection",
)


@contextmanager
def launched() -> Iterator[Browser]:
    """The browser, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def beside(browser: Browser, *arguments: str) -> Iterator[Browser]:
    """Another one of the same kind, started with more arguments."""
    other = browser.browser_type.launch(executable_path=executable(), args=[*_ARGUMENTS, *arguments])
    try:
        yield other
    finally:
        other.close()


def wait(page: Page | Worker, function: str, given: object = None) -> None:
    """Returns when an asynchronous function answers truly; Playwright's own waiting takes its promise for an answer."""
    tries = _MILLISECONDS // 50
    page.evaluate(
        f"async given => {{ for (let tries = 0; tries < {tries}; tries++) {{ if (await ({function})(given)) return;"
        " await new Promise(done => setTimeout(done, 50)) } throw new Error('it has not become so') }",
        given,
    )


class Tab:
    """A page of one service, in a context of its own. `close` tells what it must not have done."""

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        settings = {
            "locale": "en-GB",
            "viewport": {"width": 1180, "height": 760},
            "reduced_motion": "reduce",
            **options,
        }
        self.context: BrowserContext = browser.new_context(**settings)
        self.context.set_default_timeout(_MILLISECONDS)
        expect.set_options(timeout=_MILLISECONDS)
        self.hosts = {urlsplit(url).netloc}
        #: Requests to anybody but the service, and what the browser complained of.
        self.foreign: list[str] = []
        self.complaints: list[str] = []
        self.context.on("request", self._requested)
        self.opening()
        self.page: Page = self.context.new_page()
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(url)

    def opening(self) -> None:
        """Prepares the context, before there is a page in it."""

    def _requested(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("blob", "data") and parts.netloc not in self.hosts:
            self.foreign.append(request.url)

    def _said(self, message: ConsoleMessage) -> None:
        refused = "Refused" in message.text or "Content Security Policy" in message.text or "violates" in message.text
        refused = refused or "Permissions-Policy" in message.text
        if refused and not any(each in message.text for each in _NO_COMPLAINT):
            self.complaints.append(message.text)

    def close(self) -> None:
        """Ends it; a failed test if it asked a third party for anything, or if something was refused."""
        self.context.close()
        assert self.foreign == []
        assert self.complaints == []

    def violations(self) -> list[str]:
        """What axe-core finds against WCAG 2.2 AA and good practice in what is shown now."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(Path(_AXE).read_text())
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{each['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
            for each in found["violations"]
            for node in each["nodes"]
        ]
