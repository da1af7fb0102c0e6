"""One network with a portal, and one browser, for all tests of its page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from allium.appchain.parameters import SESH
from allium.devnet import anvil
from allium.wallet import deploy
from tests.support.browser import launched
from tests.support.chain import Chain
from tests.support.portal_page import PageWorld, WalletTab, Way

#: Nodes, of which the first is staked for; each test takes others.
NODES = 5


@pytest.fixture(scope="session")
def page_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageWorld]:
    """Nodes, contracts, and a portal. Nothing is taken back between tests, and time only goes forward."""
    directory = tmp_path_factory.mktemp("page")
    with anvil.running(directory / "anvil.log") as local:
        chain = Chain(local.url, deploy.DeployParameters(minimum_exit_age=0))
        with PageWorld(chain, directory).running(NODES) as made:
            # A greater pool, so that half a SESH is earned soon.
            chain.send(chain.token.functions.transfer(chain.addresses.pool, 150_000_000 * SESH), chain.owner)
            made.join(made.net.members[0], chain.alice)
            made.until("/nodes", lambda told: len(told["nodes"]) == 1)
            yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as made:
        yield made


@pytest.fixture
def open_page(browser: Browser, page_world: PageWorld) -> Iterator[Callable[..., WalletTab]]:
    """Opens the page with wallets; no tab may have asked a third party for anything."""
    tabs: list[WalletTab] = []

    def opened(path: str, *ways: Way, **options: Any) -> WalletTab:
        tabs.append(WalletTab(browser, page_world, path, *ways, **options))
        return tabs[-1]

    yield opened
    for each in tabs:
        each.close()
