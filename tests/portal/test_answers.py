"""Each answer of a portal beside the live network's daemon: exact members, errors, headers for caches, limits."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from eth_utils.address import to_checksum_address
from multidict import CIMultiDict

from allium.base import files
from allium.devnet import anvil, ports
from allium.portal import doctor
from allium.staking.connection import connected
from allium.wallet import deploy
from tests.portal.shapes import ANSWERS, exact
from tests.support import postgres
from tests.support.chain import REQUIREMENT, Chain, Node, words
from tests.support.openapi import OpenApi
from tests.support.oxend_http import OxendServer
from tests.support.rpc_proxy import Provider
from tests.support.server_process import ServerUnderTest
from tests.support.staked import PATIENCE

HEIGHT, TIME = 1_700_123, 1_790_000_000
QUARTER = REQUIREMENT // 4
EXITED = Node()


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """PostgreSQL where it is installed; the file of SQLite else."""
    with contextlib.ExitStack() as stack:
        try:
            url = stack.enter_context(postgres.running())
        except pytest.skip.Exception:
            url = ""
        yield url


class PortalClient:
    """Asks one portal, and looks at the shape of each answer."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url, self._session = url, session
        self.seen: set[str] = set()
        self.openapi: OpenApi

    async def open(self) -> None:
        _, told = await self.raw("/openapi.json")
        self.openapi = OpenApi(json.loads(told))

    async def raw(
        self, path: str, method: str = "GET", status: int = 200, **options: Any
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        answer, body = await self.answered(path, method, **options)
        assert answer.status == status, (path, answer.status, body)
        return answer, body

    async def answered(self, path: str, method: str, **options: Any) -> tuple[aiohttp.ClientResponse, bytes]:
        """The answer, whatever it is."""
        async with self._session.request(method, f"{self._url}{path}", **options) as answer:
            return answer, await answer.read()

    async def status(self, head: str) -> int:
        """Of an answer to a request with this head."""
        place = urlsplit(self._url)
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        writer.write(f"GET /info HTTP/1.1\r\n{head}\r\n\r\n".encode())
        found = int((await reader.readline()).split()[1])
        writer.close()
        return found

    async def ask(self, what: str, *parts: object, **options: Any) -> Any:
        """The answer to an operation, whose shape is as it has to be."""
        method, template = what.split(" ")
        path = template
        for part in parts:
            before, _, rest = path.partition("{")
            path = f"{before}{part}{rest.partition('}')[2]}"
        answer, body = await self.raw(path, method, **options)
        told = json.loads(gzip.decompress(body) if "content-encoding" in answer.headers else body)
        exact(told, what)
        self.openapi.check(what, told)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["access-control-allow-origin"] == "*"
        self.seen.add(what)
        return told

    async def until(self, true: Any, what: str, *parts: object) -> Any:
        async with asyncio.timeout(PATIENCE):
            while not true(told := await self.ask(what, *parts)):  # noqa: ASYNC110 - a portal does not tell
                await asyncio.sleep(0.1)
        return told


def state(chain: Chain, node: Node, **changes: Any) -> dict[str, Any]:
    """A node as the daemon lists it."""
    return {
        "service_node_pubkey": node.ed25519.hex(),
        "pubkey_ed25519": node.ed25519.hex(),
        "pubkey_bls": node.secret.public.hex(),
        "active": True,
        "funded": True,
        "payable": True,
        "registration_height": HEIGHT - 5000,
        "requested_unlock_height": 0,
        "earned_downtime_blocks": 321,
        "decommission_count": 1,
        "operator_address": chain.alice.lower(),
        "operator_fee": 25_000,
        "contributors": [
            {"address": chain.alice.lower(), "beneficiary": chain.carol.lower(), "amount": QUARTER},
            {"address": chain.bob.lower(), "amount": str(REQUIREMENT - QUARTER)},
        ],
        "swarm": "fedcba9876543210",
        "swarm_id": 18364758544493064720,
        "last_uptime_proof": TIME - 60,
        **changes,
    }


def speak(oxend: OxendServer, chain: Chain, nodes: list[Node]) -> None:
    """The daemon says what the specification lists, with what may be odd or missing among it."""
    states: list[Any] = [
        state(chain, nodes[0]),
        state(chain, nodes[1], active=False, earned_downtime_blocks=7, requested_unlock_height=HEIGHT + 9),
        # Less, or nonsense.
        {"pubkey_ed25519": "33" * 32, "operator_address": chain.bob, "last_uptime_proof": None, "swarm_id": -1},
        state(chain, Node(), contributors=[{"address": "0x12", "amount": 1}]),
        state(chain, Node(), pubkey_ed25519="zz", service_node_pubkey=None),
        state(chain, Node(), funded=False),
        None,
        [],
    ]
    block = {"height": HEIGHT, "block_hash": "ab" * 32, "hardfork": 22}
    oxend.results |= {
        "get_service_nodes": lambda params: (
            {"unchanged": True, "status": "OK"}
            if params.get("poll_block_hash") == block["block_hash"]
            else {"service_node_states": states, "status": "OK", **block}
        ),
        "bls_exit_liquidation_list": [
            {
                "service_node_pubkey": EXITED.ed25519.hex(),
                "type": "deregister",
                "height": HEIGHT - 10,
                "liquidation_height": HEIGHT + 10,
                "version": 0,
                "info": {
                    "bls_public_key": EXITED.secret.public.hex(),
                    "contributors": [{"address": chain.bob, "amount": REQUIREMENT}],
                },
            },
            {"service_node_pubkey": "11" * 32},
            None,
        ],
        "get_accrued_rewards": {
            "status": "OK",
            "balances": [
                {"address": chain.alice, "amount": 2**60, "timelocked_stakes": 77},
                {"address": chain.carol.lower(), "amount": "12345"},
                {"address": "nobody", "amount": 1},
                {"address": chain.bob},
            ],
        },
        "get_info": {
            "nettype": "mainnet",
            "version": "11.4.0",
            "immutable_height": HEIGHT - 9,
            "immutable_block_hash": "cd" * 32,
            "pulse_target_timestamp": TIME + 120,
            "status": "OK",
        },
        "get_last_block_header": {"block_header": {"timestamp": TIME, "height": HEIGHT}, "status": "OK"},
        "price": {"session-token": {"usd": 0.25, "usd_market_cap": 2e7, "last_updated_at": TIME}, "odd": {"usd": "x"}},
    }
    signed = {
        "msg_to_sign": "0102",
        "signature": "aa" * 128,
        "aggregate_pubkey": "bb" * 64,
        "non_signer_indices": [3, 5],
        "status": "OK",
    }
    oxend.results["bls_rewards_request"] = lambda params: (
        {**signed, "address": params["address"], "amount": 2**60, "height": HEIGHT}
        if params["address"] == chain.alice
        else {"status": "this address has earned nothing"}
    )
    oxend.results["bls_exit_liquidation_request"] = lambda params: {
        **signed,
        "timestamp": TIME + params["liquidate"],
        "bls_pubkey": params["bls_pubkey"],
    }


@contextlib.asynccontextmanager
async def beside(
    oxend: OxendServer, chain: Chain, directory: Path, database: str, *rpc: str
) -> AsyncIterator[tuple[PortalClient, ServerUnderTest]]:
    chain.addresses.save(directory / "addresses.json")
    files.create(directory / "faucet.key", anvil.account(0).key.hex().encode())
    options = ["--oxend", oxend.url, "--contracts", str(directory / "addresses.json")]
    for url in rpc:
        options += ["--rpc", url]
    settings: dict[str, Any] = {
        "refresh_seconds": 0.2,
        "source_requests": 100_000,
        "source_signatures": 6,
        "source_prices": 3,
        "price_url": f"{oxend.url}/price?ids=session-token",
        "vesting_file": str(directory / "vesting.json"),
        "faucet_key_file": str(directory / "faucet.key"),
    }
    if database:
        settings["database_url"] = database
    with ports.reserve(1) as [port]:
        server = ServerUnderTest("portal", directory, port, *options, **settings)
        try:
            await asyncio.to_thread(server.start)
            async with aiohttp.ClientSession(auto_decompress=False) as session:
                asked = PortalClient(server.url, session)
                await asked.open()
                yield asked, server
            await asyncio.to_thread(server.stop)
        finally:
            server.end()


async def test_every_answer_beside_the_live_networks_daemon(chain: Chain, tmp_path: Path, database: str) -> None:
    nodes = [chain.join(chain.alice), chain.join(chain.alice)]
    now = chain.now
    held = deploy.Vesting(
        to_checksum_address(chain.carol), to_checksum_address(chain.bob), now + 9, now + 99, 5 * 10**9
    )
    async with connected(chain.url) as provider:
        made = await deploy.vest(provider, anvil.account(0), chain.addresses, held, lambda _: None)
    listed = [{"address": made.lower(), "initial_amount": 6 * 10**9}, {"address": chain.addresses.token}]
    (tmp_path / "vesting.json").write_text(json.dumps(listed))
    gone = await Provider(chain.url).start()
    await gone.stop()
    # One provider of three is dead.
    urls = (gone.url, chain.url, chain.url.replace("127.0.0.1", "localhost"))
    async with OxendServer() as oxend:
        speak(oxend, chain, nodes)
        async with beside(oxend, chain, tmp_path, database, *urls) as (asked, server):
            await _network(asked, oxend, chain, nodes)
            await _contracts(asked, chain, nodes, made)
            await _money(asked, chain, oxend)
            await _on_a_test_network(asked, chain)
            await _kept_by_caches(asked, chain)
            await _said_twice(asked)
            await _refused(asked, chain, oxend)
            assert asked.seen == set(ANSWERS) == asked.openapi.operations
            checked = await asyncio.to_thread(doctor.examine, server.directory / "portal.toml")
            told = {each.check: each.found for each in checked}
            assert "oxend" in told["chain"] and "the daemon asks" in told["network"]


async def _network(asked: PortalClient, oxend: OxendServer, chain: Chain, nodes: list[Node]) -> None:
    await asked.until(lambda told: told["bls_keys"], "GET /nodes/bls")
    told = await asked.until(lambda told: sum(each["contract_id"] > 0 for each in told["nodes"]) == 2, "GET /nodes")
    network = told["network"]
    assert (
        network
        | {
            "block_height": HEIGHT,
            "block_hash": "ab" * 32,
            "block_timestamp": TIME,
            "hard_fork": 22,
            "version": "11.4.0",
            "immutable_block_height": HEIGHT - 9,
            "immutable_block_hash": "cd" * 32,
            "pulse_target_timestamp": TIME + 120,
            "node_count": 3,
            "active_node_count": 2,
            "median_operator_fee": 250,
        }
        == network
    )
    for what in ("GET /info", "GET /network"):
        assert (await asked.ask(what))["network"] == network
    by_key = {each["pubkey_ed25519"]: each for each in told["nodes"]}
    assert set(by_key) == {nodes[0].ed25519.hex(), nodes[1].ed25519.hex(), "33" * 32, EXITED.ed25519.hex()}
    first, second = (by_key[node.ed25519.hex()] for node in nodes)
    assert first["contributors"] == [
        {"address": chain.alice, "beneficiary": chain.carol, "amount": QUARTER},
        {"address": chain.bob, "beneficiary": chain.bob, "amount": REQUIREMENT - QUARTER},
    ]
    assert (first["earned_downtime_blocks"], first["operator_fee"], first["swarm_id"]) == (321, 250, "fedcba9876543210")
    assert (first["last_uptime_proof"], first["payable"], first["decommission_count"]) == (TIME - 60, True, 1)
    assert [event["name"] for event in first["events"]] == ["NewServiceNodeV2"]
    assert not second["active"] and second["earned_downtime_blocks"] == 7
    assert second["requested_unlock_height"] == HEIGHT + 9 and second["contract_id"] == nodes[1].id
    left = by_key[EXITED.ed25519.hex()]
    assert (left["exit_type"], left["deregistration_height"]) == ("deregister", HEIGHT - 10)
    [leaving] = (await asked.ask("GET /exit_liquidation_list"))["result"]
    assert (leaving["type"], leaving["liquidation_height"]) == ("deregister", HEIGHT + 10)
    assert (await asked.ask("GET /stakes/{pubkey}", nodes[1].ed25519.hex()))["stakes"] == [second]
    # Another block: other answers, and what comes in another form is read too.
    oxend.results["get_accrued_rewards"] = {"addresses": [chain.alice], "amounts": [5], "status": "OK"}
    before, oxend.bodies["get_info"] = oxend.results["get_service_nodes"], b"<html>not now</html>"
    oxend.results["get_service_nodes"] = lambda _: {**before({}), "height": HEIGHT + 1, "block_hash": "ef" * 32}
    since = len(oxend.calls)
    async with asyncio.timeout(PATIENCE):
        while sum(method == "get_info" for method, _ in oxend.calls[since:]) < 2:  # noqa: ASYNC110 - it is asked
            await asyncio.sleep(0.1)
    assert (await asked.ask("GET /info"))["network"]["block_height"] == HEIGHT, "half an answer is none"
    del oxend.bodies["get_info"]
    await asked.until(lambda told: told["network"]["block_height"] == HEIGHT + 1, "GET /info")
    assert (await asked.ask("GET /rewards/{address}", chain.alice))["rewards"]["amount"] == 5
    oxend.results["get_service_nodes"] = before
    speak(oxend, chain, nodes)
    await asked.until(lambda told: told["network"]["block_height"] == HEIGHT, "GET /info")


async def _contracts(asked: PortalClient, chain: Chain, nodes: list[Node], vesting: str) -> None:
    fresh = Node()
    possession = chain.possession(fresh, chain.bob)
    chain.send(chain.factory.functions.deploy(fresh.key, possession, fresh.params(700), [], True), chain.bob)
    [contract] = (await asked.until(lambda told: told["contracts"], "GET /contract/contribution"))["contracts"]
    assert (contract["fee"], contract["status"], contract["manual_finalize"]) == (700, 0, True)
    assert (await asked.ask("GET /contract/contribution/{pubkey}", fresh.ed25519.hex()))["contract"] == contract
    assert (await asked.ask("GET /contract/contribution/{address}", chain.bob))["contracts"] == [contract]
    told = await asked.until(lambda told: told["vesting"], "GET /stakes/{address}", chain.carol)
    assert {each["pubkey_ed25519"] for each in told["stakes"]} == {node.ed25519.hex() for node in nodes}
    [vested] = told["vesting"]
    assert (vested["address"], vested["beneficiary"], vested["revoker"]) == (vesting, chain.carol, chain.bob)
    assert (vested["initial_beneficiary"], vested["initial_amount"]) == (chain.carol, 6 * 10**9)
    assert vested["time_end"] - vested["time_start"] == 90 and not vested["transferable_beneficiary"]
    assert (await asked.ask("GET /stakes/{address}", vesting))["vesting"] == [vested]
    names = (await asked.ask("GET /contract/names"))["names"]
    abis = (await asked.ask("GET /contract/abis"))["abis"]
    assert list(abis) == names
    for name in names:
        assert (await asked.ask("GET /contract/abi/{name}", name))["contract"] == {"name": name, "abi": abis[name]}
    core = (await asked.ask("GET /contract/addresses/core"))["addresses"]
    assert core["ServiceNodeRewards"] == chain.addresses.rewards
    assert (await asked.ask("GET /contract/addresses"))["addresses"]["ServiceNodeContribution"] == [contract["address"]]
    assert (await asked.ask("GET /contract/address/{name}", "SESH"))["address"] == chain.addresses.token
    events = await asked.ask("GET /events/{count}/{skip}", 500, 0)
    assert events["pagination"]["total"] == len(events["events"])
    assert len((await asked.ask("GET /events/{count}/{skip}", 1, 1))["events"]) == 1
    assert len((await asked.ask("GET /stake-events/{number}", nodes[0].id))["events"]) == 1


async def _on_a_test_network(asked: PortalClient, chain: Chain) -> None:
    leaders = (await asked.ask("GET /leaders"))["leaders"]
    assert leaders[0] == {
        "rank": 1,
        "address": chain.alice,
        "lifetime_rewards": (await asked.ask("GET /rewards/{address}", chain.alice))["rewards"]["lifetime_rewards"],
        "staked": 2 * QUARTER,
        "nodes": 2,
    }
    terms = (await asked.ask("GET /faucet-info"))["faucet"]
    stranger = to_checksum_address("0x" + "ab" * 20)
    for body in (b"", b"[" * 900, b'{"address": 1}', b"{}" + b" " * 2000):
        await asked.raw("/faucet", "POST", status=400, data=body)
    paid = (await asked.ask("POST /faucet", json={"address": stranger}))["granted"]
    assert (paid["address"], paid["tokens"], chain.balance(stranger)) == (stranger, terms["tokens"], terms["tokens"])
    assert len(paid["transactions"]) == 2
    # This page's reads of the chain are open only where a wallet needs them.
    await asked.raw("/rpc", "POST", status=405, json={"id": 1, "method": "eth_blockNumber", "params": []})


async def _money(asked: PortalClient, chain: Chain, oxend: OxendServer) -> None:
    told = (await asked.ask("GET /rewards/{address}", chain.alice.lower()))["rewards"]
    assert (told["amount"], told["timelocked_stakes"]) == (str(2**60), 77)
    assert told["locked_stakes"] == 2 * QUARTER
    assert set((await asked.ask("GET /rewards/{address}", "0x" + "12" * 20))["rewards"].values()) == {0}
    info = (await asked.ask("GET /arbitrum-info"))["info"]
    assert info["balance_service_node_rewards"] == chain.balance(chain.addresses.rewards)
    await asked.ask("GET /token")
    days = (await asked.until(lambda told: told["rewards"], "GET /daily-rewards/{address}", chain.carol))["rewards"]
    assert days[0]["block"] in (HEIGHT, HEIGHT + 1)
    price = await asked.ask("GET /price")
    assert (price["usd"], price["usd_market_cap"]) == (0.25, 2e7) and price["t_stale"] > price["t_price"]
    assert await asked.ask("GET /price/{name}", "session-token") == price
    await asked.raw("/price/odd", status=404)
    assert [call for call in oxend.calls if call[0] == "price"] == [("price", {"ids": "session-token"})], "asked once"
    refused, _ = await asked.raw("/price", status=429)
    assert int(refused.headers["retry-after"]) > 0
    # What was signed, and what was not.
    operator = to_checksum_address(chain.bob)
    node = Node()
    fields = {
        "operator": operator,
        "pubkey_bls": node.secret.public.hex(),
        "sig_bls": b"".join(word.to_bytes(32, "big") for word in chain.possession(node, operator)).hex(),
        "sig_ed25519": "00" * 64,
    }
    _, body = await asked.raw(f"/store/{node.ed25519.hex()}", "POST", data=fields)
    assert set(json.loads(body)) == {"error"}
    asked.openapi.check("POST /store/{pubkey}", json.loads(body))
    from nacl.signing import SigningKey

    key = SigningKey(os.urandom(32))
    node.ed25519 = bytes(key.verify_key)
    possession = chain.possession(node, operator)
    fields["sig_bls"] = b"".join(word.to_bytes(32, "big") for word in possession).hex()
    fields["sig_ed25519"] = key.sign(node.ed25519 + node.secret.public).signature.hex()
    assert words(bytes.fromhex(fields["sig_bls"])) == possession
    stored = await asked.ask("POST /store/{pubkey}", node.ed25519.hex(), data=fields)
    for what, which in (("{pubkey}", node.ed25519.hex()), ("{address}", operator)):
        assert (await asked.ask(f"GET /registrations/{what}", which))["registrations"] == [stored["registration"]]


async def _kept_by_caches(asked: PortalClient, chain: Chain) -> None:
    """Compressed or not it is the same, and who has it already is told so."""
    for path in ("/nodes", f"/stakes/{chain.alice}", "/contract/abis", "/events/500/0"):
        plain, whole = await asked.raw(path, headers={"accept-encoding": "identity"})
        packed, body = await asked.raw(path, headers={"accept-encoding": "br, gzip;q=0.5"})
        assert "content-encoding" not in plain.headers
        assert packed.headers.get("content-encoding") == "gzip" and len(body) < len(whole), path
        first, second = json.loads(whole), json.loads(gzip.decompress(body))
        assert {**first, "t": 0} == {**second, "t": 0}
        assert plain.headers["vary"] == "accept-encoding" and "public, max-age=" in plain.headers["cache-control"]
        tag = plain.headers["etag"]
        assert packed.headers["etag"] == tag and tag.startswith('W/"')
        for given in (tag, f'"other", {tag}', tag.removeprefix("W/"), "*"):
            same, nothing = await asked.raw(path, status=304, headers={"if-none-match": given})
            assert nothing == b"" and same.headers["etag"] == tag and "content-type" not in same.headers
        await asked.raw(path, headers={"if-none-match": '"another"'})
        head, nothing = await asked.raw(path, "HEAD", headers={"accept-encoding": "identity"})
        assert nothing == b"" and int(head.headers["content-length"]) > 100
    refused, _ = await asked.raw("/nodes", headers={"accept-encoding": "gzip;q=0"})
    assert "content-encoding" not in refused.headers
    other, _ = await asked.raw("/info")
    assert other.headers["etag"] != (await asked.raw("/nodes"))[0].headers["etag"]


async def _said_twice(asked: PortalClient) -> None:
    """Any page may ask, but says once which it is, and whom it asks."""
    await asked.raw("/info", headers={"origin": "https://any.example"})
    for other in ("https://any.example", "https://other.example", "null"):
        for path in ("/info", "/", "/api/ssb/nodes"):
            twice = CIMultiDict([("origin", "https://any.example"), ("origin", other)])
            await asked.raw(path, status=403, headers=twice)
    for second in ("portal.example", "other.example"):
        # The parser of requests may see it first.
        assert await asked.status(f"Host: portal.example\r\nHost: {second}") in (400, 403)
    assert await asked.status("Host: portal.example") == 200


async def _refused(asked: PortalClient, chain: Chain, oxend: OxendServer) -> None:
    signed = (await asked.ask("POST /rewards/{address}", chain.alice.lower()))["rewards"]
    assert (signed["amount"], signed["height"], signed["non_signer_indices"]) == (str(2**60), HEIGHT, [3, 5])
    key = EXITED.ed25519.hex()
    exit_ = (await asked.ask("GET /exit/{pubkey}", key))["result"]
    liquidation = (await asked.ask("GET /liquidation/{pubkey}", key.upper()))["result"]
    assert (exit_["timestamp"], liquidation["timestamp"]) == (TIME, TIME + 1)
    assert exit_["bls_pubkey"] == EXITED.secret.public.hex()
    answer, body = await asked.raw(f"/rewards/{chain.bob}", "POST", status=404)
    assert "earned nothing" in json.loads(body)["error"] and answer.headers["cache-control"] == "no-store"
    for path in (f"/exit/{'77' * 32}", f"/liquidation/{'77' * 32}", "/contract/address/Nothing", "/price"):
        await asked.raw(path, status=429 if path == "/price" else 404)
    # An answer that is none, and none at all.
    oxend.results["bls_exit_liquidation_request"] = {"status": "OK", "signature": "zz", "non_signer_indices": []}
    _, body = await asked.raw(f"/exit/{key}", status=504)
    assert "malformed" in json.loads(body)["error"]
    asked.openapi.check("GET /exit/{pubkey}", json.loads(body), "default")
    oxend.bodies["bls_exit_liquidation_request"] = b"\xff{"
    await asked.raw(f"/exit/{key}", status=504)
    # So many signatures a minute are one source's, though one comes back every ten seconds; all else goes on.
    for path, method in ((f"/exit/{key}", "GET"), (f"/liquidation/{key}", "GET"), (f"/rewards/{chain.alice}", "POST")):
        every = await asyncio.gather(*[asked.answered(path, method) for _ in range(8)])
        refused = [answer for answer, _ in every if answer.status == 429]
        assert refused and all(int(answer.headers["retry-after"]) > 0 for answer in refused)
        assert {answer.status for answer, _ in every} <= {200, 429, 504}
    await asked.ask("GET /rewards/{address}", chain.alice)
