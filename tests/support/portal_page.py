"""The portal's page in a real browser, over a network of real nodes and contracts on a real chain."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import urllib.request
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from eth_account import Account
from eth_utils.address import to_checksum_address
from playwright.sync_api import Browser, Locator, expect

from allium.devnet import anvil, ports
from allium.settings import keys
from allium.wallet import registration
from tests.support.browser import Tab
from tests.support.chain import REQUIREMENT, Chain
from tests.support.server_process import ServerUnderTest
from tests.support.staked import PATIENCE, Member, Newcomer, Staked, staked

T = TypeVar("T")
_SCRIPT = Path(__file__).with_name("wallet.js").read_text()


_CHAIN = hex(anvil.CHAIN_ID)


@dataclass
class Way:
    """How a wallet in the browser is."""

    account: str
    rdns: str = "org.example.plain"
    name: str = "Plain Wallet"
    #: As `eth_chainId` tells it.
    chain: Any = _CHAIN
    known: list[str] = field(default_factory=lambda: ["0x1", _CHAIN])
    #: By EIP-6963, or at `window.ethereum`.
    announces: bool = True
    #: Reasons are inside of `data.originalError`.
    nested: bool = False


def person(who: int) -> str:
    """The address of an account of every local chain."""
    return str(anvil.account(who).address)


class PageWorld:
    """A staked network, a portal of it, and a loop in which both run."""

    def __init__(self, chain: Chain, directory: Path) -> None:
        self.chain, self.directory = chain, directory
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.net: Staked
        self.server: ServerUnderTest

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs something in the network's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(3 * PATIENCE)

    @contextlib.contextmanager
    def running(self, count: int, **settings: Any) -> Iterator[PageWorld]:
        """Until the block ends, with so many nodes."""
        self._thread.start()
        stack = contextlib.AsyncExitStack()
        capsys: Any = None
        try:
            self.net = self.do(stack.enter_async_context(staked(self.chain, self.directory, capsys, count)))
            with ports.reserve(1) as [port]:
                often = {"source_requests": 1_000_000, "source_signatures": 10_000, "refresh_seconds": 0.2}
                shown = {"chain_name": "Local chain", "explorer_url": "https://explorer.example"}
                settings = {**often, **shown, "wallet_rpc": self.chain.url, **settings}
                self.server = ServerUnderTest("portal", self.directory, port, *self.portal_options(), **settings)
                self.server.start()
                try:
                    yield self
                finally:
                    self.server.stop()
        finally:
            self.do(stack.aclose())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def portal_options(self) -> list[str]:
        """Of `allium portal init`, for a portal of this network."""
        names = {"network": "--network-file", "contracts": "--contracts", "chain-file": "--chain-file"}
        files = [part for name, file in self.net.files.items() for part in (names[name], str(file))]
        return [*files, "--rpc", self.chain.url]

    @property
    def url(self) -> str:
        return self.server.url

    def ask(self, path: str, data: bytes | None = None) -> Any:
        """What the portal's API answers."""
        with urllib.request.urlopen(f"{self.url}{path}", data) as answer:
            return json.loads(answer.read())

    def until(self, path: str, true: Callable[[Any], bool]) -> Any:
        """The first answer of which something is true."""

        async def poll() -> Any:
            async with asyncio.timeout(PATIENCE):
                while not true(told := await asyncio.to_thread(self.ask, path)):  # noqa: ASYNC110 - it does not tell
                    await asyncio.sleep(0.2)
            return told

        return self.do(poll())

    # --- nodes and contracts, made without the page

    def signed(self, member: Member | Newcomer, operator: str) -> registration.SignedRegistration:
        """What a node signs to be registered by an operator."""
        own, secret = keys.load(member.directory), keys.load_bls(member.directory)
        return registration.build(own, secret, self.chain.addresses, operator)  # type: ignore[arg-type]

    def join(self, member: Member, operator: str, contributors: Sequence[Any] = ()) -> int:
        """A node in the contract; its number."""
        number = int(self.chain.rewards.functions.nextServiceNodeID().call())
        made = self.signed(member, operator)
        functions = self.chain.rewards.functions
        self.chain.send(functions.addBLSPublicKey(made.key, made.proof, made.params(0), list(contributors)), operator)
        return number

    def open(
        self,
        member: Member | Newcomer,
        operator: str,
        fee: int = 1000,
        reserved: Sequence[Any] = (),
        manual: bool = False,
        amount: int = REQUIREMENT // 4,
    ) -> Any:
        """A contract for a node, in which its operator has staked already unless `amount` is 0."""
        made = self.signed(member, operator)
        arguments = (made.key, made.proof, made.params(fee), list(reserved), manual)
        receipt = self.chain.send(self.chain.factory.functions.deploy(*arguments), operator)
        [event] = self.chain.factory.events.NewServiceNodeContributionContract().process_receipt(
            receipt, errors=_discard()
        )
        pot = self.chain.at("ServiceNodeContribution", event["args"]["contributorContract"])
        if amount:
            self.chain.send(self.chain.token.functions.approve(pot.address, amount), operator)
            self.chain.send(pot.functions.contributeFunds(amount, operator), operator)
        self.until(f"/contract/contribution/{made.ed25519.hex()}", lambda told: told["contract"] is not None)
        return pot


def _discard() -> Any:
    from web3.logs import DISCARD

    return DISCARD


class WalletTab(Tab):
    """The page with wallets in its browser."""

    def __init__(
        self, browser: Browser, world: PageWorld, path: str, *ways: Way, at: str | None = None, **options: Any
    ) -> None:
        self.world, self._ways = world, ways
        #: What the wallets' provider makes of the chain's answers.
        self.twist: Callable[[str, Any], Any] = lambda method, result: result
        super().__init__(browser, f"{at or world.url}{path}", **options)

    def opening(self) -> None:
        """See `Tab`."""
        told = json.dumps([asdict(way) for way in self._ways])
        self.context.expose_binding("__wallet", lambda _, asked: self._bridge(asked))
        self.context.add_init_script(_SCRIPT.replace("__WAYS__", told))

    def _bridge(self, asked: str) -> str:
        call = json.loads(asked)
        method, params = call["method"], call["params"]
        if method == "eth_sendTransaction":
            return json.dumps(self._send(params[0], call["account"]))
        told = self._rpc(method, params)
        if "result" in told:
            told["result"] = self.twist(method, told["result"])
        return json.dumps(told)

    def _rpc(self, method: str, params: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(self.world.chain.url, body, {"content-type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read())

    def raw(self, account: str, to: str, data: str, nonce: int, price: int) -> str:
        """Sends a transaction by an account's key; its hash."""
        told = self._signed_by(account, to, data, 500_000, nonce, price)
        return str(told["result"])

    def _signed_by(self, account: str, to: str, data: str, gas: int, nonce: int, price: int) -> Any:
        key = next(one.key for one in map(anvil.account, range(10)) if one.address == account)
        chain = {"nonce": nonce, "gasPrice": price, "gas": gas, "chainId": anvil.CHAIN_ID}
        signed = Account.sign_transaction({"to": to_checksum_address(to), "data": data, "value": 0, **chain}, key)
        return self._rpc("eth_sendRawTransaction", ["0x" + bytes(signed.raw_transaction).hex()])

    def _send(self, wanted: dict[str, Any], account: str) -> Any:
        nonce = int(self._rpc("eth_getTransactionCount", [account, "pending"])["result"], 16)
        price = int(self._rpc("eth_gasPrice", [])["result"], 16)
        return self._signed_by(account, wanted["to"], wanted["data"], int(wanted["gas"], 16), nonce, price)

    # --- what somebody does

    def wallet(self, part: dict[str, Any], rdns: str = "org.example.plain") -> None:
        """Changes what a wallet is like, as its owner would in its own window."""
        self.page.evaluate("([rdns, part]) => window.__wallets[rdns].set(part)", [rdns, part])

    def confirm(self) -> None:
        """In the wallet."""
        self.page.get_by_role("button", name="Wallet: Confirm").click()

    def reject(self) -> None:
        """In the wallet."""
        self.page.get_by_role("button", name="Wallet: Reject").click()

    def connect(self, name: str = "Plain Wallet", button: str = "Connect wallet") -> None:
        """Chooses a wallet, and shows it to the page; `button` is what the page calls that."""
        self.page.get_by_role("button", name=button).click()
        self.page.get_by_role("button", name=name).click()
        self.confirm()
        expect(self.page.get_by_role("dialog")).to_have_count(0)

    def step(self, kind: str) -> Locator:
        """A step of what is under way."""
        return self.page.locator(f'.step[data-kind="{kind}"]')

    def take(self, *kinds: str) -> None:
        """Confirms each of these steps, and sees it done."""
        for kind in kinds:
            expect(self.step(kind)).to_have_attribute("data-state", "wallet")
            self.confirm()
            expect(self.step(kind)).to_have_attribute("data-state", "done")

    def finished(self) -> None:
        """All steps are done; they are put away."""
        expect(self.page.get_by_text("Done.", exact=True)).to_be_visible()
        self.page.get_by_role("button", name="OK", exact=True).click()

    def amount(self, label: str, within: Locator | None = None) -> Locator:
        """The amount with a label."""
        place = within or self.page.locator("main")
        fact = place.locator(".fact").filter(has=self.page.locator("dt", has_text=label))
        return fact.locator("data").first
