"""Two services with an account each, on a devnet that has a file server."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.support.browser import Tab, launched
from tests.support.devnet import Devnet, up
from tests.support.messenger import Events, Messenger


@pytest.fixture(scope="session")
def messenger_devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """Nodes for two paths and a swarm, and a file server."""
    with up(tmp_path_factory.mktemp("messenger"), "--nodes", "6", "--files") as made:
        yield made


@dataclass
class Person:
    """Somebody with a service of their own."""

    service: Messenger
    account: dict[str, Any]

    @property
    def id(self) -> str:
        found: str = self.account["account_id"]
        return found

    @property
    def path(self) -> str:
        return f"/api/accounts/{self.account['id']}"

    def with_(self, other: Person) -> str:
        """The path of a conversation."""
        return f"{self.path}/conversations/{other.id}"

    def send(self, other: Person, text: str = "", **more: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.service.do("POST", f"{self.with_(other)}/messages", {"text": text, **more})
        return found

    def events(self, after: int | None = None) -> Events:
        return self.service.events(after)


def befriend(one: Person, other: Person) -> None:
    """One writes, and the other answers, so that they have accepted each other."""
    with one.events() as at_one, other.events() as at_other:
        one.send(other, "Is that you?")
        at_other.until("request_received")
        other.send(one, "It is!")
        at_one.until("message_received")


@contextlib.contextmanager
def friends(directory: Path, devnet: Devnet, *names: str) -> Iterator[tuple[Person, Person]]:
    """Two who have accepted each other, with a service each."""
    services = [Messenger(directory / name, devnet, "--port", "0") for name in names]
    try:
        for each in services:
            each.start()
        one, other = (
            Person(service, service.do("POST", "/api/accounts", {"display_name": name}))
            for service, name in zip(services, names, strict=True)
        )
        befriend(one, other)
        yield one, other
    finally:
        for each in services:
            each.close()


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory, messenger_devnet: Devnet) -> Iterator[tuple[Person, Person]]:
    """Alice and Bob, who have accepted each other."""
    with friends(tmp_path_factory.mktemp("people"), messenger_devnet, "Alice", "Bob") as made:
        yield made


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, messenger_devnet: Devnet) -> Iterator[tuple[Person, Person]]:
    """Dana and Emil, whose conversation a test may change as it likes."""
    with friends(tmp_path_factory.mktemp("pair"), messenger_devnet, "Dana", "Emil") as made:
        yield made


@pytest.fixture
def service(tmp_path: Path, messenger_devnet: Devnet) -> Iterator[Messenger]:
    """A service without accounts."""
    made = Messenger(tmp_path / "data", messenger_devnet, "--port", "0").start()
    yield made
    made.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as made:
        yield made


@pytest.fixture
def open_tab(browser: Browser) -> Iterator[Callable[..., Tab]]:
    """Opens a service in a tab that is let in; no tab may have asked a third party for anything."""
    tabs: list[Tab] = []

    def opened(service: Messenger, **options: Any) -> Tab:
        tabs.append(Tab(browser, service.do("POST", "/api/links")["url"], **options))
        return tabs[-1]

    yield opened
    for each in tabs:
        each.close()
