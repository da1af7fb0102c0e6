"""Two services with an account each, on a devnet that has a file server."""

from __future__ import annotations

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


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory, messenger_devnet: Devnet) -> Iterator[tuple[Person, Person]]:
    """Alice and Bob, who have accepted each other."""
    services = [Messenger(tmp_path_factory.mktemp(name), messenger_devnet, "--port", "0") for name in ("alice", "bob")]
    try:
        for each in services:
            each.start()
        alice, bob = (
            Person(service, service.do("POST", "/api/accounts", {"display_name": name}))
            for service, name in zip(services, ("Alice", "Bob"), strict=True)
        )
        with alice.events() as at_alice, bob.events() as at_bob:
            alice.send(bob, "Bob?")
            at_bob.until("request_received")
            bob.send(alice, "Alice!")
            at_alice.until("message_received")
        yield alice, bob
    finally:
        for each in services:
            each.close()


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
