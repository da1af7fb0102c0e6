"""What a portal has only where its operator wants it: wallets on other devices, a faucet, a bridge."""

from __future__ import annotations

import contextlib
import csv
import http.client
import io
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from eth_account import Account
from playwright.sync_api import Browser, expect

from allium.appchain.parameters import SESH
from allium.base import files
from allium.devnet import anvil, ports
from allium.portal import trial
from allium.portal.page_files import DIRECTORY, Surroundings, hashes
from allium.portal.settings import PortalConfig
from allium.settings.declared import ConfigError
from allium.staking.addresses import Addresses
from allium.staking.provider_quorum import ProviderQuorum
from tests.portal.test_page_served import got
from tests.support import ROOT
from tests.support.chain import REQUIREMENT
from tests.support.portal_page import PageWorld, WalletTab, Way, person
from tests.support.relay import Relay
from tests.support.server_process import ServerUnderTest

TOKENS, BRIDGE = 7, "https://bridge.example/?to=local"
PROJECT = "0123456789abcdef0123456789abcdef"
Open = Callable[..., WalletTab]


@pytest.fixture(scope="module")
def relay(page_world: PageWorld) -> Iterator[Relay]:
    """In the loop of the network."""
    made = Relay()
    running = made.running()
    page_world.do(running.__aenter__())
    try:
        yield made
    finally:
        page_world.do(running.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def configured(
    page_world: PageWorld, relay: Relay, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerUnderTest]:
    """Another portal of the network, with all of it."""
    chain, payer, directory = page_world.chain, Account.create(), tmp_path_factory.mktemp("options")
    chain.rpc("anvil_setBalance", payer.address, hex(10**18))
    chain.send(chain.token.functions.transfer(payer.address, 3 * TOKENS * SESH), chain.owner)
    key, codes = directory / "faucet.key", directory / "codes"
    files.create(key, payer.key.hex().removeprefix("0x").encode())
    codes.write_text("# for friends\nonce\nspring 3\n")
    with ports.reserve(1) as [port]:
        server = ServerUnderTest(
            "portal",
            directory,
            port,
            *page_world.portal_options(),
            source_requests=1_000_000,
            refresh_seconds=0.2,
            wallet_connect_id=PROJECT,
            wallet_connect_relay=relay.url,
            bridge_url=BRIDGE,
            explorer_url="https://explorer.example",
            faucet_key_file=str(key),
            faucet_codes=str(codes),
            faucet_tokens=TOKENS,
            faucet_source=3,
        )
        server.start()
        try:
            yield server
        finally:
            server.end()


def loaded(tab: WalletTab) -> set[str]:
    """The scripts that a page has loaded."""
    names = tab.page.evaluate("performance.getEntriesByType('resource').map(({name}) => new URL(name).pathname)")
    return {name.removeprefix("/") for name in names if name.endswith(".js")}


def code_of_it() -> set[str]:
    """The scripts in which there is anything of it."""
    scripts = [path for path in hashes() if path.endswith(".js")]
    found = {path for path in scripts if b"irn_publish" in (DIRECTORY / path).read_bytes()}
    assert found and len(found) < len(scripts)
    return found


def test_without_an_id_there_is_nothing_of_it(page_world: PageWorld, open_page: Open) -> None:
    _, headers = got(page_world.url)
    assert "connect-src 'self';" in headers["content-security-policy"]
    assert b"walletConnect" not in got(f"{page_world.url}/config.json")[0]
    tab = open_page("/", Way(person(7)))
    tab.page.get_by_role("button", name="Connect wallet").click()
    expect(tab.page.locator(".wallets button")).to_have_count(1)
    assert not loaded(tab) & code_of_it()


def test_a_wallet_on_another_device_stakes(
    page_world: PageWorld, configured: ServerUnderTest, relay: Relay, browser: Browser
) -> None:
    world, chain, me = page_world, page_world.chain, Account.create()
    chain.rpc("anvil_setBalance", me.address, hex(10**18))
    quarter = REQUIREMENT // 4
    chain.send(chain.token.functions.transfer(me.address, quarter), chain.owner)
    pot = world.open(world.net.another(world.directory / "remote"), person(2))
    host = urlsplit(relay.url).netloc
    _, headers = got(configured.url)
    assert f"connect-src 'self' ws://{host};" in headers["content-security-policy"]

    tab = RemoteTab(browser, world, configured.url, host, f"/stake/{pot.address}")
    page = tab.page
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Connect wallet").click()
    expect(page.get_by_role("button", name="WalletConnect")).to_be_visible()
    # Nobody was asked for anything yet, and nothing of it is loaded.
    assert not loaded(tab) & code_of_it() and relay.projects == []
    page.get_by_role("button", name="WalletConnect").click()
    expect(page.get_by_role("img", name="Code for a wallet")).to_be_visible()
    assert loaded(tab) >= code_of_it() and relay.projects == [PROJECT]
    uri = page.locator(".uri").inner_text()
    assert uri.startswith("wc:") and "symKey=" in uri
    page.get_by_role("button", name="Copy the link").click()
    assert page.evaluate("navigator.clipboard.readText()") == uri
    assert tab.violations() == []
    with wallet(world, relay, me.key.hex(), uri) as distant:
        assert distant.stdout is not None and distant.stdout.readline() == "approved\n"
        form = page.get_by_role("form", name="Stake in this node")
        form.get_by_label("Amount in SESH").fill("6250")
        form.get_by_role("button", name="Stake", exact=True).click()
        expect(tab.step("contribute")).to_have_attribute("data-state", "done")
        tab.finished()
        assert pot.functions.contributions(me.address).call() == quarter
        # After a reload it is still there; then it is left.
        page.reload()
        page.get_by_role("button", name=me.address[:6]).first.click()
        page.get_by_role("button", name="Disconnect").click()
        assert [line.split()[0] for line in distant.stdout] == ["sent", "sent", "left"]
    expect(page.get_by_role("button", name="Connect wallet")).to_be_visible()
    tab.close()


def test_a_faucet_pays_once_for_a_code(
    page_world: PageWorld, configured: ServerUnderTest, browser: Browser, open_page: Open
) -> None:
    chain, somebody = page_world.chain, Account.create().address
    url, explorer = configured.url, "https://explorer.example/tx/"
    told = json.loads(got(f"{url}/faucet-info")[0])["faucet"]
    assert told == {"tokens": TOKENS * SESH, "wei": str(10**16), "seconds": 86_400, "coded": True}
    tab = WalletTab(browser, page_world, "/faucet/once", at=url)
    page = tab.page
    form = page.get_by_role("form", name="Faucet")
    expect(form.get_by_label("Code")).to_have_value("once")
    form.get_by_label("To this address").fill(somebody)
    assert tab.violations() == []
    form.get_by_role("button", name="Send them").click()
    expect(form.get_by_text("They are there.")).to_be_visible()
    assert chain.balance(somebody) == TOKENS * SESH and chain.w3.eth.get_balance(somebody) == 10**16
    links = [link.get_attribute("href") or "" for link in form.locator("a.explore").all()]
    assert len(links) == 2
    paid = chain.w3.eth.get_transaction_receipt(links[1].removeprefix(explorer))  # type: ignore[arg-type]
    assert paid["status"] == 1 and paid["to"] == chain.token.address
    form.get_by_role("button", name="Send them").click()
    expect(form.get_by_text("this address has had its part; again in 24 h")).to_be_visible()
    tab.close()

    def asked(code: object, to: object = None) -> tuple[int, str]:
        body = json.dumps({"address": to or Account.create().address, "code": code}).encode()
        try:
            with urllib.request.urlopen(f"{url}/faucet", body) as answer:
                return answer.status, json.loads(answer.read())["granted"]["address"]
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())["error"]

    assert asked("once") == (403, "that code is used up")
    assert asked("autumn") == asked(None) == asked(["once"]) == (403, "a code is needed, and that is none")
    assert asked("spring", "0x12")[0] == 400
    # It survives its portal.
    configured.stop()
    configured.start()
    assert asked("spring", somebody)[0] == 429 and asked("once")[0] == 403
    assert [asked("spring")[0] for _ in range(2)] == [200, 200]
    # It has nothing left: that is no grant, and costs no code.
    assert asked("spring") == (503, "the faucet cannot pay now: it may be empty")
    assert asked("spring")[0] == 429
    # Elsewhere there is none.
    assert json.loads(got(f"{page_world.url}/faucet-info")[0])["faucet"] is None
    expect(open_page("/faucet").page.get_by_text("This portal has no faucet.")).to_be_visible()


def test_no_faucet_and_no_leaders_where_tokens_are_worth_something(tmp_path: Path) -> None:
    places = {name: "0x" + "11" * 20 for name in ("token", "pool", "rewards", "factory")}
    addresses = Addresses(chain_id=42161, block=0, **places)  # type: ignore[arg-type]
    key, panel = tmp_path / "key", ProviderQuorum(["http://127.0.0.1:9"])
    files.create(key, b"11" * 32)
    config = PortalConfig(data_dir=tmp_path, contracts=tmp_path / "none", faucet_key_file=key)
    with pytest.raises(ConfigError, match="42161 has no faucet"):
        trial.opened(contextlib.AsyncExitStack(), config, panel, addresses)
    without = PortalConfig(data_dir=tmp_path, contracts=tmp_path / "none")
    assert trial.opened(contextlib.AsyncExitStack(), without, panel, addresses) is None
    assert not (tmp_path / "faucet.sqlite").exists()


def test_who_leads_is_told_as_a_page_and_as_files(page_world: PageWorld, open_page: Open) -> None:
    told = page_world.ask("/leaders")["leaders"]
    assert [each["rank"] for each in told] == list(range(1, len(told) + 1))
    order = [(-int(each["lifetime_rewards"]), -int(each["staked"])) for each in told]
    assert order == sorted(order) and page_world.chain.alice in [each["address"] for each in told]
    [alice] = [each for each in told if each["address"] == page_world.chain.alice]
    assert int(alice["staked"]) >= REQUIREMENT and alice["nodes"] >= 1
    head, *rows = list(csv.reader(io.StringIO(got(f"{page_world.url}/leaders.csv")[0].decode())))
    assert head == ["rank", "address", "lifetime_rewards", "staked", "nodes", "height"]
    assert {row[1] for row in rows} >= {each["address"] for each in told}
    page = open_page("/").page
    page.get_by_role("link", name="Leaderboard").click()
    row = page.get_by_role("row").filter(has_text=page_world.chain.alice[:8])
    expect(row.locator("data").nth(1)).to_have_attribute("value", str(alice["staked"]))
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert download.value.suggested_filename == "leaderboard.csv"


def test_the_bridge_is_where_the_operator_says(
    page_world: PageWorld, configured: ServerUnderTest, open_page: Open
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", configured.port)
    with contextlib.closing(connection):
        connection.request("GET", "/bridge/arbitrum")
        answer = connection.getresponse()
        assert answer.status == 302 and answer.headers["location"] == BRIDGE
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    # Arbitrum's own where it is not said, and none where there is none.
    assert Surroundings().told(42161)["chain"]["bridge"].startswith("https://bridge.arbitrum.io/")
    expect(open_page("/bridge/arbitrum").page.get_by_text("There is no bridge to Local chain.")).to_be_visible()


def test_the_chain_is_only_read(page_world: PageWorld, configured: ServerUnderTest) -> None:
    chain = page_world.chain

    def asked(told: object) -> tuple[int, object]:
        try:
            with urllib.request.urlopen(f"{configured.url}/rpc", json.dumps(told).encode()) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, None

    known = {"id": 7, "method": "eth_getTransactionByHash", "params": ["0x" + "11" * 32]}
    assert asked(known) == (200, {"jsonrpc": "2.0", "id": 7, "result": None})
    # A contract's refusal, with what it says.
    call = {"from": chain.alice, "to": chain.addresses.rewards, "data": "0xd9054b09" + "ff".rjust(64, "0")}
    status, told = asked({"id": 8, "method": "eth_call", "params": [call, "latest"]})
    assert status == 200 and isinstance(told, dict) and told["error"]["data"].startswith("0x")
    for method in ("eth_sendRawTransaction", "anvil_setBalance", "eth_getLogs", None):
        assert asked({"id": 9, "method": method, "params": []})[0] == 400
    for wrong in ([known], {**known, "id": "7"}, {**known, "params": {}}, {**known, "params": ["0"] * 4}, "x" * 40_000):
        assert asked(wrong)[0] == 400


class RemoteTab(WalletTab):
    """The page of another portal, which may ask a relay too."""

    def __init__(self, browser: Browser, world: PageWorld, url: str, relay: str, path: str) -> None:
        self._relay = relay
        super().__init__(browser, world, path, at=url)

    def opening(self) -> None:
        """See `Tab`."""
        self.hosts.add(self._relay)


@contextlib.contextmanager
def wallet(world: PageWorld, relay: Relay, key: str, uri: str) -> Iterator[subprocess.Popen[str]]:
    """One that takes a pairing up, in a process of its own."""
    script = ROOT / "tests/support/remote_wallet.mjs"
    given = (str(ROOT / "python/web"), relay.url, world.chain.url, str(anvil.CHAIN_ID), f"0x{key.removeprefix('0x')}")
    with subprocess.Popen(["node", str(script), *given, uri], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()
