"""What people send to the contracts: all is tried before anything is approved, and nothing stays approved."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nacl import bindings

from allium.appchain.parameters import SESH
from allium.claims import wire
from allium.client.direct import Node as Place
from allium.devnet import anvil, ports
from allium.staking.connection import connected
from allium.staking.provider import ProviderError
from allium.wallet import claim
from allium.wallet.claim import NetworkRefusedError, SignatureClient
from tests.support.chain import REQUIREMENT, ZERO, Chain
from tests.support.lone_node import LoneNode
from tests.support.rpc_proxy import Provider, saying
from tests.support.staked import Staked


@pytest.fixture
def people(chain: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Staked:
    """The command line of people, and no network."""
    return Staked(chain, tmp_path, capsys)


async def registered(people: Staked, name: str, who: int) -> tuple[str, ...]:
    """The options of a registration of a new node, by its operator."""
    file = await people.registration(people.another(people.directory / name), who)
    return ("--registration", str(file), *people.options())


def address(who: int) -> str:
    return anvil.account(who).address


async def opened(people: Staked, who: int, *more: str) -> str:
    """The contract of a node that `who` opened to others."""
    registration = await registered(people, f"node{who}", who)
    said = await people.allium("stake", "open", *registration, *more, who=who)
    return said.split("contract is ")[1].split()[0]


def allowance(chain: Chain, who: int, spender: str) -> int:
    return int(chain.token.functions.allowance(address(who), spender).call())


async def test_nothing_is_made_for_what_cannot_be_finished(chain: Chain, people: Staked) -> None:
    registration = await registered(people, "node", 1)
    block = chain.w3.eth.block_number
    opening = ("stake", "open", *registration)
    for more, text in (
        (("--amount", "6249.999999999"), "stakes 6,250 SESH at least and 25,000 at most, not 6,249.999999999"),
        (("--amount", "25000.000000001"), "25,000 at most"),
        (("--amount", "7000", "--reserve", f"{address(2)}=18000.5"), "25,000.5 SESH are staked and reserved"),
        (("--amount", "7000", "--reserve", f"{address(1)}=7000"), "DuplicateAddressInReservedContributor"),
        (("--amount", "7000", "--beneficiary", "0x12"), "is no address"),
    ):
        assert text in await people.allium(*opening, *more, who=1, code=1), more
    assert chain.w3.eth.block_number == block
    # Nobody has the money.
    chain.send(chain.token.functions.transfer(address(9), chain.balance(address(1)) - 6_000 * SESH), address(1))
    assert "has 6,000 SESH, and needs 6,250" in await people.allium(*opening, "--amount", "6250", who=1, code=1)
    chain.send(chain.token.functions.transfer(address(1), REQUIREMENT), address(9))
    # The contracts take no nodes.
    chain.send(chain.rewards.functions.pause(), chain.owner)
    assert "takes no nodes now" in await people.allium(*opening, "--amount", "6250", who=1, code=1)
    chain.send(chain.rewards.functions.unpause(), chain.owner)
    # The node is registered: its contract could never be finalized.
    assert "as number 1" in await people.allium("node", "register", "--stake", *registration, who=1)
    block = chain.w3.eth.block_number
    assert "has this node as number 1 already" in await people.allium(*opening, "--amount", "6250", who=1, code=1)
    assert chain.w3.eth.block_number == block


async def test_nobody_pays_into_a_contract_whose_node_joined_elsewhere(chain: Chain, people: Staked) -> None:
    pot = await opened(people, 1, "--amount", "7000")
    file = people.directory / "node1" / "registration.json"
    register = ("node", "register", "--stake", "--registration", str(file), *people.options())
    assert "as number 1" in await people.allium(*register, who=1)
    block = chain.w3.eth.block_number
    said = await people.allium("stake", "contribute", pot, "5000", *people.options(), who=2, code=1)
    assert "as number 1 already" in said
    assert chain.w3.eth.block_number == block and allowance(chain, 2, pot) == 0


async def test_an_approval_is_the_last_step_and_is_taken_back(chain: Chain, people: Staked) -> None:
    pot = await opened(people, 1, "--amount", "12500")
    assert allowance(chain, 1, pot) == 0
    block = chain.w3.eth.block_number
    contribute = ("stake", "contribute", pot, *people.options())
    assert "Stake at least the minimum" in await people.allium(*contribute, "1", who=2, code=1)
    assert chain.w3.eth.block_number == block and allowance(chain, 2, pot) == 0
    # What only the registration after the payment refuses costs an approval, which is taken back.
    chain.send(chain.rewards.functions.pause(), chain.owner)
    for before in (0, 5):
        chain.send(chain.token.functions.approve(pot, before), address(2))
        assert "The contracts are paused" in await people.allium(*contribute, "12500", who=2, code=1)
        assert allowance(chain, 2, pot) == before
    chain.send(chain.rewards.functions.unpause(), chain.owner)
    assert "status        registered" in await people.allium(*contribute, "12500", who=2)
    assert allowance(chain, 2, pot) == 0


async def test_what_the_operator_changes(chain: Chain, people: Staked) -> None:
    pot = await opened(people, 1, "--amount", "7000", "--fee", "1")
    contract = chain.at("ServiceNodeContribution", pot).functions
    own, other = people.options(), await registered(people, "another", 1)

    async def stake(*arguments: str, who: int = 1, code: int = 0) -> str:
        return await people.allium("stake", *arguments, *own, who=who, code=code)

    assert "Others have staked already" in await stake("fee", pot, "2", code=1)
    assert "only the node's operator" in await stake("reset", pot, who=2, code=1)
    await stake("beneficiary", pot, address(8))
    assert contract.getContributions().call()[1] == [address(8)]
    assert "has nothing in" in await stake("beneficiary", pot, address(8), who=2, code=1)
    before = chain.balance(address(1))
    assert "would succeed" in await stake("reset", pot, "--dry-run")
    assert chain.balance(address(1)) == before
    assert "All 1 contributors get their stakes back" in await stake("reset", pot)
    assert chain.balance(address(1)) - before == 7_000 * SESH

    await stake("fee", pot, "2.5")
    assert contract.serviceNodeParams().call()[3] == 250
    await stake("reserve", pot, "--amount", "7000", "--reserve", f"{address(2)}=8000")
    assert contract.getReserved().call()[1] == [7_000 * SESH, 8_000 * SESH]
    too_much = ("reserve", pot, "--amount", "7000", "--reserve", f"{address(2)}=18001")
    assert "25,001 SESH would be reserved" in await stake(*too_much, code=1)
    await stake("reserve", pot)
    assert contract.getReserved().call() == [[], [], []]
    block = contract.blsPubkey().call()
    await people.allium("stake", "keys", pot, *other, who=1)
    assert contract.blsPubkey().call() != block
    assert "RescueBalanceIsEmpty" in await stake("rescue", pot, chain.addresses.token, code=1)
    chain.send(chain.token.functions.transfer(pot, 77), address(3))
    before = chain.balance(address(1))
    await stake("rescue", pot, chain.addresses.token)
    assert chain.balance(address(1)) - before == 77
    assert ZERO not in await people.allium("stake", "show", pot, *own)


# --- who is asked


@pytest.fixture
def silent() -> Iterator[Place]:
    """A node that takes connections and says nothing."""
    with ports.reserve(1) as [port], socket.create_server(("127.0.0.1", port)):
        yield Place("127.0.0.1", 1, port, *bindings.crypto_kx_keypair())


async def test_all_reasons_are_said(lone_node: Any, silent: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "_HEAD_START_SECONDS", 0.0)
    monkeypatch.setattr(claim, "_ASK_SECONDS", 1.0)
    lone: LoneNode = lone_node()
    asker = SignatureClient([silent, Place.parse(lone.entry)])
    with pytest.raises(NetworkRefusedError) as error:
        await asker.ask(wire.ACCRUED, {"addresses": [bytes(20)]})
    said = str(error.value)
    assert "This node signs nothing for the network" in said and f"{silent.ip}:{silent.omq_port}" in said
    assert error.value.code == 503


async def test_of_several_providers_one_that_answers_is_used(chain: Chain) -> None:
    dead, broken, good = [await Provider(chain.url).start() for _ in range(3)]
    broken.meddle = saying(b"", 500)
    await dead.stop()
    try:
        async with connected(dead.url, broken.url, good.url) as provider:
            assert provider.name in good.url
        good.meddle = saying(b"<html>")
        with pytest.raises(ProviderError, match=r"none of 3 .*cannot be reached.*HTTP status 500.*web page") as error:
            async with connected(dead.url, broken.url, good.url):
                raise AssertionError
        assert "secret" not in str(error.value)
        # The first is preferred.
        first = await Provider(chain.url).start()
        good.meddle = lambda method, params: None
        async with connected(first.url, good.url) as provider:
            assert provider.name in first.url
        await first.stop()
    finally:
        await broken.stop()
        await good.stop()
