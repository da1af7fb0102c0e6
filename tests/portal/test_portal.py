"""A portal in a process of its own, over a network of real nodes and contracts on a real chain."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from eth_utils.address import to_checksum_address

from allium.appchain.types import MILLI, Address
from allium.devnet import anvil, ports
from allium.operate.finding import Level
from allium.portal import doctor
from allium.wallet import deploy
from tests.support.chain import REQUIREMENT, Chain, raw
from tests.support.rpc_proxy import Provider
from tests.support.server_process import ServerUnderTest
from tests.support.staked import PATIENCE, Staked, staked

QUARTER = REQUIREMENT // 4
#: Every endpoint's members, and their types, as the front end wants them (`spec/portal` §4).
NETWORK = {
    "nettype": str,
    "version": str,
    "hard_fork": int,
    "block_height": int,
    "block_hash": str,
    "block_timestamp": int,
    "immutable_block_height": int,
    "immutable_block_hash": str,
    "pulse_target_timestamp": int,
    "node_count": int,
    "active_node_count": int,
    "max_stakers": int,
    "staking_requirement": int,
    "min_operator_contribution": int,
    "median_operator_fee": int,
    "total_staked": int,
    "l2_height": int,
    "l2_height_timestamp": int,
}
STAKE = {
    "active": bool,
    "contract_id": int,
    "contributors": list,
    "deregistration_height": (int, type(None)),
    "earned_downtime_blocks": int,
    "events": list,
    "exit_type": (str, type(None)),
    "last_reward_block_height": int,
    "last_uptime_proof": int,
    "liquidation_height": (int, type(None)),
    "operator_address": str,
    "operator_fee": int,
    "pubkey_bls": str,
    "pubkey_ed25519": str,
    "registration_height": int,
    "requested_unlock_height": int,
    "service_node_pubkey": str,
    "staking_requirement": int,
    "total_contributed": int,
}
EVENT = {"name": str, "block": int, "log_index": int, "tx": str, "main_arg": (str, type(None)), "args": dict}
CONTRACT = {
    "address": str,
    "service_node_pubkey": str,
    "pubkey_bls": (str, type(None)),
    "operator_address": str,
    "fee": (int, type(None)),
    "manual_finalize": bool,
    "status": int,
    "contributors": list,
    "events": list,
}
REWARDS = [
    "amount",
    "lifetime_rewards",
    "lifetime_locked_stakes",
    "lifetime_unlocked_stakes",
    "lifetime_liquidated_stakes",
    "locked_stakes",
    "timelocked_stakes",
    "claimed_stakes",
    "claimed_rewards",
]


def shaped(told: Any, members: dict[str, Any]) -> None:
    """Has these members of these types; amounts may be strings of digits."""
    for name, kind in members.items():
        value = told[name]
        if kind is int and isinstance(value, str):
            assert value.isdigit(), (name, value)
        else:
            assert isinstance(value, kind), (name, value)


@pytest.fixture(scope="module")
def young_chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """An anvil whose contracts let nodes go that have just come."""
    with anvil.running(tmp_path_factory.mktemp("portal") / "anvil.log") as local:
        yield Chain(local.url, deploy.DeployParameters(minimum_exit_age=0))


@pytest.fixture
def young(young_chain: Chain) -> Iterator[Chain]:
    snapshot = young_chain.rpc("evm_snapshot")
    yield young_chain
    assert young_chain.rpc("evm_revert", snapshot)


class PortalUnderTest:
    """One portal, and who asks it."""

    def __init__(self, server: ServerUnderTest, session: aiohttp.ClientSession) -> None:
        self.server, self._session = server, session

    async def ask(self, path: str, method: str = "GET", status: int = 200, **options: Any) -> Any:
        """The answer's JSON."""
        async with self._session.request(method, f"{self.server.url}{path}", **options) as answer:
            assert answer.status == status, await answer.text()
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            return await answer.json()

    async def until(self, path: str, true: Callable[[Any], bool]) -> Any:
        """The first answer of which something is true."""
        async with asyncio.timeout(PATIENCE):
            while not true(told := await self.ask(path)):  # noqa: ASYNC110 - a portal does not tell
                await asyncio.sleep(0.2)
        return told


@contextlib.asynccontextmanager
async def portal(net: Staked, *rpc: str, **settings: Any) -> AsyncIterator[PortalUnderTest]:
    """Follows a network."""
    files = [part for name, file in net.files.items() for part in (_OPTIONS[name], str(file))]
    for url in rpc or (net.chain.url,):
        files += ["--rpc", url]
    with ports.reserve(1) as [port]:
        settings = {"refresh_seconds": 0.2, "source_requests": 100_000, **settings}
        server = ServerUnderTest("portal", net.directory, port, *files, **settings)
        await asyncio.to_thread(server.start)
        async with aiohttp.ClientSession() as session:
            try:
                yield PortalUnderTest(server, session)
            finally:
                await asyncio.to_thread(server.stop)


_OPTIONS = {"network": "--network-file", "contracts": "--contracts", "chain-file": "--chain-file"}


def person(who: int) -> str:
    return anvil.account(who).address


async def test_a_nodes_life_as_a_portal_tells_it(
    young: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chain = young
    async with staked(chain, tmp_path, capsys, 3) as net, portal(net) as asked:
        # Two nodes of one account each, and one of two, which is opened first and filled after a look at it.
        for index in (0, 1):
            await net.join(net.members[index], 1)
        shared = net.members[2]
        file = await net.registration(shared, 2)
        opening = ("stake", "open", "--registration", str(file), "--amount", "6250", "--fee", "2.5", *net.options())
        said = await net.allium(*opening, "--reserve", f"{person(4)}=5000", who=2)
        pot = said.split("contract is ")[1].split()[0]
        told = await asked.until(
            "/contract/contribution", lambda told: [each["status"] for each in told["contracts"]] == [1]
        )
        [contract] = told["contracts"]
        shaped(told["network"], NETWORK)
        shaped(contract, CONTRACT)
        shaped(contract["events"][0], EVENT)
        assert (contract["address"], contract["operator_address"]) == (pot, person(2))
        assert (contract["status"], contract["fee"], contract["manual_finalize"]) == (1, 250, False)
        assert contract["service_node_pubkey"] == shared.hex and contract["pubkey_bls"] == shared.secret.public.hex()
        assert contract["contributors"] == [
            {
                "address": person(2),
                "beneficiary_address": person(2),
                "amount": QUARTER,
                "reserved": QUARTER,
            },
            {"address": person(4), "beneficiary_address": None, "amount": 0, "reserved": REQUIREMENT // 5},
        ]
        for key in (shared.hex, shared.hex.upper()):
            assert (await asked.ask(f"/contract/contribution/{key}"))["contract"] == contract
        assert (await asked.ask(f"/contract/contribution/{'00' * 32}"))["contract"] is None
        for who in (person(2), person(2).lower()):
            assert (await asked.ask(f"/contract/contribution/{who}"))["contracts"] == [contract]
            assert (await asked.ask(f"/stakes/{who}"))["contracts"] == [contract]
        await net.allium("stake", "contribute", pot, "13750", *net.options(), who=3)
        await net.allium("stake", "contribute", pot, "5000", "--beneficiary", person(7), *net.options(), who=4)

        events = await asked.until("/events/500/0", lambda told: told["events"][0]["main_arg"] == "3")
        told = await asked.until("/nodes", lambda told: len(told["nodes"]) == 3)
        for stake in told["nodes"]:
            shaped(stake, STAKE)
            assert stake["active"] and stake["total_contributed"] == REQUIREMENT
        assert told["network"]["node_count"] == told["network"]["active_node_count"] == 3
        assert told["network"]["median_operator_fee"] == 250 and told["network"]["total_staked"] == 3 * REQUIREMENT
        assert len((await asked.ask(f"/nodes/{person(1)}"))["stakes"]) == 2
        for who in (person(7), person(4)):
            [stake] = (await asked.ask(f"/stakes/{who}"))["stakes"]
            assert stake["pubkey_ed25519"] == shared.hex and stake["operator_fee"] == 250
        [stake] = (await asked.ask(f"/stakes/{shared.hex}"))["stakes"]
        assert [each["amount"] for each in stake["contributors"]] == [
            QUARTER,
            REQUIREMENT * 55 // 100,
            REQUIREMENT // 5,
        ]
        keys = {member.secret.public.hex(): index + 1 for index, member in enumerate(net.members)}
        assert (await asked.ask("/nodes/bls"))["bls_keys"] == keys
        assert (await asked.ask(f"/stakes/{person(9)}"))["added_bls_keys"] == keys
        total = events["pagination"]["total"]
        assert events["pagination"] == {"limit": 500, "skip": 0, "total": total} and len(events["events"]) == total
        places = [(each["block"], each["log_index"]) for each in events["events"]]
        assert places == sorted(places, reverse=True)
        assert (await asked.ask("/events/2/1"))["events"] == events["events"][1:3]
        assert [each["name"] for each in (await asked.ask("/stake-events/3"))["events"]] == ["NewServiceNodeV2"]
        await _money(asked, net)
        await _leave(asked, net)


async def _money(asked: PortalUnderTest, net: Staked) -> None:
    """What is earned is what the ledger says, and what the network signs pays it."""
    chain, earner = net.chain, person(7)
    await net.until(lambda state: state.ledger.balance(Address(raw(earner))) > MILLI)
    told = await asked.until(f"/rewards/{earner.lower()}", lambda told: int(told["rewards"]["amount"]) > 0)
    assert list(told["rewards"]) == REWARDS
    assert told["rewards"]["amount"] == net.ledger(earner, told["network"]["block_height"])
    assert told["rewards"]["lifetime_rewards"] == told["rewards"]["amount"]
    assert (await asked.ask(f"/rewards/{person(3)}"))["rewards"]["locked_stakes"] == REQUIREMENT * 55 // 100
    nobody = (await asked.ask(f"/rewards/{'0x' + '11' * 20}"))["rewards"]
    assert set(nobody.values()) == {0}

    await net.heights(3)  # what is signed is of the height before the last
    signed = (await asked.ask(f"/rewards/{earner}", "POST"))["rewards"]
    message = chain.domain.reward_message(raw(earner), int(signed["amount"]))
    assert signed["msg_to_sign"] == message.hex() and net.was_ledger(earner, int(signed["amount"]))
    sums = [bytes.fromhex(signed[name]) for name in ("aggregate_pubkey", "signature")]
    assert chain.domain.verify(sums[0], message, sums[1])
    signature = bytes.fromhex(signed["signature"])
    words = tuple(int.from_bytes(signature[at : at + 32], "big") for at in range(0, 128, 32))
    arguments = (earner, int(signed["amount"]), words, signed["non_signer_indices"])
    chain.send(chain.rewards.functions.updateRewardsBalance(*arguments), chain.owner)
    chain.send(chain.rewards.functions.claimRewards(5), earner)
    told = await asked.until(f"/rewards/{earner}", lambda told: told["rewards"]["claimed_rewards"] == 5)
    assert told["rewards"]["claimed_stakes"] == 0
    # Who has staked too, and gets it back later.
    await net.allium("rewards", "claim", "--amount", "0.000000003", *net.options("network"), who=3)
    await asked.until(f"/rewards/{person(3)}", lambda told: told["rewards"]["claimed_rewards"] == 3)
    assert (await asked.ask(f"/rewards/{person(9)}", "POST", status=404))["error"]
    days = (await asked.until(f"/daily-rewards/{person(1)}", lambda told: bool(told["rewards"])))["rewards"]
    assert set(days[0]) == {"block", "lifetime_rewards", "timestamp"} and len(days) == 1
    info = (await asked.ask("/arbitrum-info"))["info"]
    assert set(info) == {"block", "timestamp", "balance_reward_rate_pool", "balance_service_node_rewards"}
    token = await asked.ask("/token")
    assert set(token["token"]) == {"staking_requirement", "staking_reward_pool", "contract_address"}
    assert "network" not in token and token["token"]["contract_address"] == chain.addresses.token


async def _leave(asked: PortalUnderTest, net: Staked) -> None:
    """A node asks, is let go, and its stakes come back."""
    chain, leaver = net.chain, net.members[2]
    assert (await asked.ask(f"/exit/{leaver.hex}", status=404))["error"]
    await net.allium("node", "exit", leaver.hex, *net.options("network"), who=3)
    told = await asked.until(f"/stakes/{leaver.hex}", lambda told: told["stakes"][0]["requested_unlock_height"] > 0)
    await asked.until("/exit_liquidation_list", lambda told: bool(told["result"]))
    [stake] = (await asked.ask(f"/stakes/{leaver.hex}"))["stakes"]
    assert not stake["active"] and stake["exit_type"] == "exit" and stake["is_removable"]
    assert stake["requested_unlock_height"] == told["stakes"][0]["requested_unlock_height"]
    [listed] = (await asked.ask("/exit_liquidation_list"))["result"]
    assert (listed["service_node_pubkey"], listed["type"]) == (leaver.hex, "exit")
    assert listed["info"] == {"bls_public_key": leaver.secret.public.hex()}
    signed = (await asked.ask(f"/exit/{leaver.hex}"))["result"]
    assert signed["bls_pubkey"] == leaver.secret.public.hex()
    assert set(signed) == {
        "bls_pubkey",
        "timestamp",
        "msg_to_sign",
        "signature",
        "aggregate_pubkey",
        "non_signer_indices",
    }
    # Nobody takes it out: after a time anybody may liquidate it.
    assert (await asked.ask(f"/liquidation/{net.members[0].hex}", status=404))["error"]
    await asked.until(f"/stakes/{leaver.hex}", lambda told: told["stakes"][0]["is_liquidatable"])
    over = (await asked.ask(f"/liquidation/{leaver.hex}"))["result"]
    message = chain.domain.liquidation_message(leaver.secret.public, over["timestamp"])
    assert set(over) == set(signed) and over["msg_to_sign"] == message.hex()
    assert chain.domain.verify(
        *(bytes.fromhex(over[name]) for name in ("aggregate_pubkey", "msg_to_sign", "signature"))
    )
    signature = bytes.fromhex(signed["signature"])
    words = tuple(int.from_bytes(signature[at : at + 32], "big") for at in range(0, 128, 32))
    key = tuple(int.from_bytes(leaver.secret.public[at : at + 32], "big") for at in (0, 32))
    call = chain.rewards.functions.exitBLSPublicKeyWithSignature(
        key, signed["timestamp"], words, signed["non_signer_indices"]
    )
    chain.send(call, chain.owner)
    await asked.until(f"/stakes/{leaver.hex}", lambda told: not told["stakes"])
    staker = person(3)
    told = await asked.until(
        f"/rewards/{staker}", lambda told: told["rewards"]["lifetime_unlocked_stakes"] == REQUIREMENT * 55 // 100
    )
    assert told["rewards"]["locked_stakes"] == told["rewards"]["timelocked_stakes"] == 0
    # All of it can be claimed still, whatever was claimed before it was there.
    assert (told["rewards"]["claimed_stakes"], told["rewards"]["claimed_rewards"]) == (0, 3)
    assert leaver.secret.public.hex() not in (await asked.ask("/nodes/bls"))["bls_keys"]


async def test_strangers_get_a_status_and_what_two_keys_signed_is_kept(
    young: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with staked(young, tmp_path, capsys, 1) as net, portal(net, source_requests=150) as asked:
        # Before it has heard of a block it is not well, and says so.
        await asked.until("/info", lambda told: told["network"]["block_height"] > 0)
        await _register(asked, net)
        await _pester(asked, net)


async def _register(asked: PortalUnderTest, net: Staked) -> None:
    member, operator = net.members[0], person(5)
    made = json.loads((await net.registration(member, 5)).read_text())
    names = {"pubkey_bls": "bls", "sig_ed25519": "signature", "sig_bls": "possession", "operator": "operator"}
    given = {name: made[other] for name, other in names.items()}
    store = f"/store/{member.hex}"
    for path, options in (
        (f"/api{store}", {"data": given}),
        (store, {"data": _form(given)}),
        (f"/registrations/{member.hex}", {"data": given}),
        (store, {"params": given, "method": "GET"}),
    ):
        sent: dict[str, Any] = {"method": "POST", **options}
        told = await asked.ask(path, **sent)
        assert told["success"] is True and "network" not in told, told
        assert told["registration"]["operator"] == operator
    for key in (operator, operator.lower(), member.hex):
        [kept] = (await asked.ask(f"/registrations/{key}"))["registrations"]
        assert kept["pubkey_ed25519"] == member.hex and kept["contract"] is None
        assert {name: kept[name] for name in given} == given
    # As its operator does it, on the node.
    by_command = ("node", "register", operator, "--data-dir", str(member.directory), "--portal", asked.server.url)
    files = ("--contracts", str(net.files["contracts"]))
    assert f"{asked.server.url}/register/{member.hex}" in await net.allium(*by_command, *files)
    elsewhere = await net.allium(*by_command[:-1], f"{asked.server.url}/nowhere", *files, code=1)
    assert "did not take the registration" in elsewhere
    # Whatever is wrong is said, and keeps nothing.
    other = given["sig_bls"][:-1] + ("0" if given["sig_bls"][-1] != "0" else "1")
    for wrong, reason in (
        ({"operator": person(6)}, "BLS signature"),
        ({"sig_bls": other}, "BLS signature"),
        ({"sig_ed25519": "00" * 64}, "Ed25519 signature"),
        ({"pubkey_bls": "zz" * 64}, "128 hex digits"),
        ({"pubkey_bls": given["pubkey_bls"] + " "}, "128 hex digits"),
        ({"operator": "0x12"}, "operator is no address"),
        ({"sig_bls": "00" * 20_000}, "too long"),
    ):
        told = await asked.ask(store, "POST", data={**given, **wrong})
        assert reason in told["error"], told
    for key, reason in (("ff" * 32, "no point"), (net.members[0].hex[:-2] + "zz", "64 hex"), ("00", "64 hex")):
        told = await asked.ask(f"/store/{key}", "POST", data=given)
        assert told["error"].startswith("Invalid registration: ") and reason in told["error"], told
    junk = {"content-type": "multipart/form-data; boundary=" + "x" * 5000}
    for headers, body in (
        (junk, b"--x\r\n"),
        ({"content-type": "multipart/form-data"}, b"a" * 9000),
        ({}, b"\xff"),
        ({"content-type": "multipart/form-data; boundary=x"}, _TWO_NOTATIONS),
    ):
        assert "error" in await asked.ask(store, "POST", data=body, headers=headers)
    assert len((await asked.ask(f"/registrations/{operator}"))["registrations"]) == 1


#: A parameter in both notations of RFC 2231 at once.
_TWO_NOTATIONS = b"--x\r\nContent-Disposition: form-data; name*0*=a; name*=utf-8''b\r\n\r\nc\r\n--x--\r\n"


def _form(given: dict[str, str]) -> aiohttp.FormData:
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in given.items():
        form.add_field(name, value)
    return form


async def _pester(asked: PortalUnderTest, net: Staked) -> None:
    for path, status in (
        ("/nowhere", 404),
        ("/nodes/", 200),
        ("/api/ssb/info", 200),
        ("/network", 200),
        ("/stakes/0x12", 400),
        ("/stakes/%00", 400),
        (f"/stakes/0x{'g' * 40}", 400),
        (f"/stakes/{'٣' * 64}", 400),
        (f"/contract/contribution/{'f' * 65}", 400),
        ("/contract/abi/Nothing", 404),
        ("/contract/abi/..%2f..%2fetc%2fpasswd", 404),
        ("/contract/address/SESH", 200),
        ("/events/501/0", 400),
        ("/events/-1/0", 400),
        ("/events/1/99999999999999999999999999", 400),
        ("/stake-events/x", 400),
        (f"/exit/{'00' * 32}", 404),
        ("/" + "a" * 600, 414),
        ("/openapi.json", 200),
    ):
        await asked.ask(path, status=status)
    await asked.ask("/nodes", "POST", status=405)
    await asked.ask("/nodes", "DELETE", status=405)
    assert (await asked.ask("/contract/addresses/core"))["addresses"][
        "ServiceNodeRewards"
    ] == net.chain.addresses.rewards
    assert set((await asked.ask("/contract/names"))["names"]) >= {"SESH", "TokenVestingStaking"}
    described = await asked.ask("/openapi.json")
    assert described["openapi"] == "3.1.0" and "/rewards/{address}" in described["paths"]
    # A flood from one source is refused, and says when to come again.
    statuses = await asyncio.gather(*[_status(asked, "/info") for _ in range(300)])
    assert 429 in statuses and set(statuses) <= {200, 429}

    told = await net.allium("status", "--data-dir", str(asked.server.directory))
    assert "nodes at height" in told
    checked = await asyncio.to_thread(doctor.examine, asked.server.directory / "portal.toml")
    own = {each.check: each.level for each in checked if each.check in ("chain", "providers", "network")}
    assert own == dict.fromkeys(("chain", "providers", "network"), Level.OK)


async def _status(asked: PortalUnderTest, path: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(f"{asked.server.url}{path}") as answer:
        await answer.read()
        assert answer.status != 429 or int(answer.headers["retry-after"]) > 0
        return answer.status


async def test_a_provider_that_lies_or_is_dead_changes_nothing(
    young: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def lie(method: str, params: list[Any], result: Any) -> Any:
        """Another contributor, in every registration."""
        if method == "eth_getLogs":
            victim = raw(person(1)).hex()
            return json.loads(json.dumps(result).replace(victim, "66" * 20))
        return result

    providers = [await Provider(young.url).start() for _ in range(4)]
    providers[0].twist = lie
    await providers[1].stop()
    try:
        urls = [each.url for each in providers]
        async with staked(young, tmp_path, capsys, 1) as net, portal(net, *urls) as asked:
            # Two tell the truth, one lies and one is dead: three have to agree, and nobody believes a lie.
            await net.join(net.members[0], 1)
            await asked.until("/nodes", lambda told: len(told["nodes"]) == 1)
            assert (await asked.ask("/events/9/0"))["pagination"]["total"] == 0
            # One more honest answer, and it goes on from there.
            providers[0].twist = lambda method, params, result: result
            told = await asked.until("/events/9/0", lambda told: told["pagination"]["total"] > 0)
            [event] = told["events"]
            assert event["args"]["contributors"][0]["staker"]["addr"] == person(1)
            assert event["args"]["initiator"] == to_checksum_address(person(1))
    finally:
        for place in (0, 2, 3):
            await providers[place].stop()
