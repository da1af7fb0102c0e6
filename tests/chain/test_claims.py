"""Claims, exits and liquidations: nodes that sign with each other over OMQ, contracts that pay for it."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from web3 import HTTPProvider, Web3

from allium.appchain.certificates import Verdict
from allium.appchain.claims import SignatureRefusedError, claimable
from allium.appchain.nodes import Departed, Leaving, Node
from allium.appchain.parameters import SESH
from allium.appchain.types import Address, BlsKey, Height, Seconds
from allium.claims import wire
from allium.claims.aggregator import Fault, _signature
from allium.claims.signer import ClaimSigner
from allium.client.direct import Node as Place
from allium.client.direct import OmqClient
from allium.devnet import anvil
from allium.staking import abi
from allium.staking.addresses import Addresses
from allium.wallet import claim, deploy
from allium.wallet.claim import SignatureClient
from tests.support.chain import REQUIREMENT, Chain, raw
from tests.support.devnet import Devnet
from tests.support.staked import PATIENCE, Member, Staked, allium, staked


@pytest.fixture(scope="module")
def young_chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """An anvil whose contracts let nodes go that have just come."""
    with anvil.running(tmp_path_factory.mktemp("claims") / "anvil.log") as local:
        yield Chain(local.url, deploy.DeployParameters(minimum_exit_age=0))


@pytest.fixture
def young(young_chain: Chain) -> Iterator[Chain]:
    snapshot = young_chain.rpc("evm_snapshot")
    yield young_chain
    assert young_chain.rpc("evm_revert", snapshot)


def address(who: int) -> str:
    return anvil.account(who).address


async def test_a_node_lives_earns_and_leaves(young: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chain = young
    async with staked(chain, tmp_path, capsys, 5) as net:
        # Four nodes of one account each, and one of four.
        for index, who in enumerate((1, 1, 1)):
            assert "number" in await net.join(net.members[index], who)
        await net.join(net.members[4], 6)
        shared, lonely = net.members[3], net.members[4]
        file = await net.registration(shared, 2)
        opening = ("stake", "open", "--registration", str(file), "--amount", "6250", "--fee", "2.5")
        said = await net.allium(*opening, *net.options(), who=2)
        pot = said.split("contract is ")[1].split()[0]
        for who in (3, 4):
            said = await net.allium("stake", "contribute", pot, "6250", *net.options(), who=who)
            assert "status        open" in said
        said = await net.allium(
            *("stake", "contribute", pot, "6250", "--beneficiary", address(7), *net.options()), who=5
        )
        assert "status        registered" in said
        await net.until(lambda state: len(state.ledger.payees) == 5)
        operator, third, fourth = address(2), address(3), address(7)
        await net.until(lambda state: claimable(state, Address(raw(fourth)), Height(state.height - 1)) > 0)

        # A claim pays what the ledger says, to the last unit; the beneficiary of the fourth is paid, not the staker.
        before = chain.balance(fourth)
        said = await net.allium("rewards", "claim", *net.options("network"), who=7)
        earned, claimed = chain.rewards.functions.recipients(fourth).call()
        assert earned == claimed == chain.balance(fourth) - before
        assert net.was_ledger(fourth, earned)
        assert net.ledger(address(5)) == 0

        # A voluntary exit: asked for by a contributor, carried out by a stranger, paid back to who staked.
        leaving = ("node", "exit", shared.hex, *net.options("network"))
        assert "until the unlock is over" in await net.allium(*leaving, who=5)
        assert "asked for already" in await net.allium(*leaving, who=2)
        state = await net.until(lambda state: shared.pubkey not in state.nodes)
        gone = net.node(shared)
        assert isinstance(gone, Departed) and gone.leaving is Leaving.EXPIRED
        income = {who: net.ledger(who) for who in (operator, third, address(4), fourth)}
        assert "25,000 SESH" in await net.allium(*leaving, who=8)
        await net.until(lambda state: not state.departed and not state.returns)
        quarter = REQUIREMENT // 4
        assert net.ledger(operator) == income[operator] + quarter
        assert net.ledger(third) == income[third] + quarter
        assert net.ledger(address(5)) == quarter and net.ledger(fourth) == income[fourth]
        assert income[operator] > income[third] == income[address(4)]
        await net.heights(2)
        for who in (2, 3, 5):
            owed, before = net.ledger(address(who)), chain.balance(address(who))
            await net.allium("rewards", "claim", *net.options("network"), who=who)
            assert chain.balance(address(who)) - before == owed

        # Decommissioned, back, and deregistered when it fails again too soon.
        await net.judge(lonely, Verdict.DECOMMISSION)
        await net.until(lambda state: state.nodes[lonely.pubkey].decommissioned)
        await net.judge(lonely, Verdict.RECOMMISSION)
        state = await net.until(lambda state: not state.nodes[lonely.pubkey].decommissioned)
        again = net.node(lonely)
        assert isinstance(again, Node) and again.recommission_credit < net.rules.min_credit
        await net.judge(lonely, Verdict.DEREGISTER)
        state = await net.until(lambda state: lonely.pubkey not in state.nodes)
        gone = net.node(lonely)
        assert isinstance(gone, Departed) and gone.leaving is Leaving.DEREGISTERED
        owed = net.ledger(address(6))

        # Liquidated, when the time for leaving by itself is over, with the exact split.
        liquidation = ("node", "liquidate", str(gone.contract_id), *net.options("network"))
        if net.state.height < gone.liquidation_height - 1:
            assert "may be liquidated from height" in await net.allium(*liquidation, who=9, code=1)
        await net.until(lambda state: state.height >= gone.liquidation_height)
        pool, liquidator = chain.balance(chain.pool.address), chain.balance(address(9))
        assert "24,950 SESH" in await net.allium(*liquidation, who=9)
        assert chain.balance(address(9)) - liquidator == 7_500_000_000
        assert chain.balance(chain.pool.address) - pool == 42_500_000_000
        state = await net.until(lambda state: bool(state.returns))
        [back] = state.returns.values()
        assert (back.address, back.amount) == (bytes.fromhex(address(6)[2:]), 24_950 * SESH)
        assert back.due >= gone.removal_height + net.rules.deregistration_lock
        await net.until(lambda state: not state.returns)
        await net.heights(2)
        before = chain.balance(address(6))
        await net.allium("rewards", "claim", *net.options("network"), who=6)
        assert chain.balance(address(6)) - before == owed + 24_950 * SESH


async def everybody_joins(net: Staked, who: int = 1) -> None:
    for member in net.members:
        await net.join(member, who)
    await net.until(lambda state: len(state.ledger.payees) == len(net.members))
    await net.heights(3)


async def ask(member: Member, command: str, **fields: Any) -> tuple[int, Any]:
    """What a node answers: the code, and the dict or the text."""
    async with OmqClient(Place.parse(member.lone.entry)) as client:
        code, body = await client.request(command, wire.encode(fields))
    return int(code), wire.decode([body]) if code == wire.OK else body.decode()


def test_nobody_is_told_another_nodes_words() -> None:
    words = b"\x1b[2Jdatabase: /var/lib/allium/redo.1\nread-only"
    for parts, reason in (
        ([b"410", words], "it refused (410)"),
        ([b"<b>", words], "it refused"),
        ([words], "its answer is malformed"),
        ([wire.OK, words], "its answer is malformed"),
        ([wire.OK, wire.encode({"signature": bytes(128), "amount": words})], "it signed another amount"),
    ):
        fault = _signature(parts, {"amount": 1})
        assert isinstance(fault, Fault) and fault.reason == reason, parts
        assert "\n" not in fault.detail and "\x1b" not in fault.detail


async def test_who_signs_wrongly_or_not_at_all_is_named_and_left_out(
    young: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    liar, silent, third = 4, 5, 6
    async with staked(young, tmp_path, capsys, 7, wrong=(liar,)) as net:
        await everybody_joins(net)
        net.members[silent].lone.engine.shutdown()
        numbers = {member.pubkey: net.state.nodes[member.pubkey].contract_id for member in net.members}
        code, told = await ask(net.members[0], wire.REWARDS_REQUEST, address=raw(address(1)), height=-1)
        assert code == 200
        pubkeys = [net.members[index].pubkey for index in (liar, silent)]
        assert told[b"absent"] == sorted(
            [numbers[pubkey], pubkey, reason]
            for pubkey, reason in zip(pubkeys, (b"its signature is wrong", b"no answer in time"), strict=True)
        )
        assert told[b"non_signer_indices"] == sorted(numbers[pubkey] for pubkey in pubkeys)

        # Who asks does not wait for the one that is dead, however long that takes.
        with monkeypatch.context() as patience:
            patience.setattr(claim, "_ASK_SECONDS", 10.0**6)
            asker = SignatureClient([Place.parse(net.members[index].lone.entry) for index in (silent, 0)])
            assert b"balances" in await asker.ask(wire.ACCRUED, {"addresses": [raw(address(1))]})

        # The contract pays on what the others signed, whichever of them is asked.
        before = young.balance(address(1))
        for index in (0, 3):
            asked = ("--node", net.members[index].hex)
            await net.allium("rewards", "claim", *asked, *net.options("network"), who=1)
            await net.heights(2)
        earned, claimed = young.rewards.functions.recipients(address(1)).call()
        assert earned == claimed == young.balance(address(1)) - before > 0

        # One more, and there are too few.
        net.members[third].lone.engine.shutdown()
        asked = ("--node", net.members[0].hex)
        said = await net.allium("rewards", "claim", *asked, *net.options("network"), who=1, code=1)
        assert "4 of 7 nodes signed, 5 have to" in said and f"{pubkeys[0].hex()[:16]}: its signature is wrong" in said


async def test_strangers_who_ask_again_and_again_keep_nobody_from_a_claim(
    young: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four at addresses of their own want all that can be had; somebody else wants one claim, and balances."""
    async with staked(young, tmp_path, capsys, 4) as net:
        for number, each in enumerate(net.members):
            await net.join(each, 1 + number)
        await net.until(lambda state: len(state.ledger.payees) == 4)
        await net.heights(5)
        earners = [raw(address(1 + number)) for number in range(4)]
        # One that takes questions and answers none, so that every claim lasts as long as it may.
        net.members[3].tasks[0].cancel()
        await asyncio.gather(net.members[3].tasks[0], return_exceptions=True)
        asked = Place.parse(net.members[0].lone.entry)
        served: list[bytes] = []
        # All places have been taken once, and all are taken again.
        taken = asyncio.Event()

        async def want(number: int) -> None:
            async with OmqClient(replace(asked, ip=f"127.0.0.{11 + number}:0;{asked.ip}")) as client:
                for age in itertools.cycle(range(1, 4)):
                    fields = wire.encode({"address": earners[number], "height": net.state.height - age})
                    served.append((await client.request(wire.REWARDS_REQUEST, fields, timeout=PATIENCE))[0])
                    if served.count(wire.OK) >= 4:
                        taken.set()

        async with asyncio.TaskGroup() as strangers:
            greedy = [strangers.create_task(want(number)) for number in range(4) for _ in range(3)]
            await asyncio.wait_for(taken.wait(), PATIENCE)
            async with OmqClient(asked) as client:
                fields = wire.encode({"address": earners[0], "height": 0})
                code, told = await client.request(wire.REWARDS_REQUEST, fields, timeout=PATIENCE)
                assert code == wire.OK, told
                fields = wire.encode({"addresses": earners * 64})
                code, told = await client.request(wire.ACCRUED, fields, timeout=PATIENCE)
                assert code == wire.OK and len(wire.decode([told])[b"balances"]) == 256
            for task in greedy:
                task.cancel()


async def test_the_contract_may_be_ahead_of_the_network(
    young: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with staked(young, tmp_path, capsys, 5) as net:
        await everybody_joins(net)
        leaver = net.members[4]
        leaving = ("node", "exit", leaver.hex, *net.options("network"))
        await net.allium(*leaving, who=1)
        await net.until(lambda state: leaver.pubkey not in state.nodes)
        # From here on the network sees nothing of what happens on the chain.
        net.freeze()
        await net.allium(*leaving, who=2)
        newcomer = net.another(tmp_path / "newcomer")
        said = await net.join(newcomer, 3)
        assert "as number 6" in said
        await net.allium("rewards", "claim", *net.options("network"), who=1)
        earned, claimed = young.rewards.functions.recipients(address(1)).call()
        assert earned == claimed and net.was_ledger(address(1), earned)


async def test_nobody_signs_what_does_not_follow_from_the_state(
    young: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with staked(young, tmp_path, capsys, 3) as net:
        await everybody_joins(net)
        member = net.members[1]
        now = young.now
        key, stranger = member.secret.public, bytes(63) + b"\1"
        earner, nobody = raw(address(1)), bytes(19) + b"\1"
        for command, fields, code, text in (
            (wire.GET_REWARDS, {"address": earner, "height": net.state.height + 99}, 410, "balances are known"),
            (wire.GET_REWARDS, {"address": earner}, 400, "height must be a whole number"),
            (wire.GET_REWARDS, {"address": earner, "height": -1}, 400, "height must be a whole number"),
            (wire.GET_REWARDS, {"address": earner[1:], "height": 1}, 400, "address must be 20 bytes"),
            (wire.GET_EXIT, {"bls_pubkey": key, "timestamp": now}, 403, "the node is registered"),
            (wire.GET_EXIT, {"bls_pubkey": stranger, "timestamp": now}, 403, "the contract has no such node"),
            (wire.GET_EXIT, {"bls_pubkey": key, "timestamp": now - 3600}, 400, "away from this node's clock"),
            (wire.GET_LIQUIDATION, {"bls_pubkey": key, "timestamp": now}, 403, "the node is registered"),
            (wire.REWARDS_REQUEST, {"address": nobody}, 403, "the address has earned nothing"),
            (wire.LEAVING_REQUEST, {"bls_pubkey": key}, 403, "the node is registered"),
            (wire.LEAVING_REQUEST, {"pubkey": bytes(32)}, 403, "the contract has no such node"),
            (wire.ACCRUED, {"addresses": [earner] * 257}, 400, "at most 256"),
        ):
            assert (await ask(member, command, **fields))[0] == code, (command, fields)
            assert text in (await ask(member, command, **fields))[1]
        async with OmqClient(Place.parse(member.lone.entry)) as client:
            for body in (b"", b"i1e", b"d", b"l" * 60_000, b"d7:address"):
                assert await client.request(wire.GET_REWARDS, body) == [b"400", b"one bencoded dict is expected"]
            assert (await client.request(wire.GET_REWARDS))[0] == b"400"
            assert await client.request(wire.GET_REWARDS, bytes(70_000)) == [b"400", b"The question is too long"]
        late = Seconds(member.consensus.state.time + 100)
        behind = ClaimSigner(member.consensus, member.secret, young.domain, clock=lambda: late)
        with pytest.raises(SignatureRefusedError, match="this node's state is"):
            behind.leaving(member.consensus.state, BlsKey(key), late, liquidate=False)
        height = net.state.height
        code, told = await ask(member, wire.GET_REWARDS, address=earner, height=height)
        assert code == 200 and told[b"amount"] == net.ledger(address(1), height)
        message = young.domain.reward_message(earner, told[b"amount"])
        assert young.domain.verify(key, message, told[b"signature"])
        code, told = await ask(member, wire.ACCRUED, addresses=[earner, nobody])
        assert code == 200 and [balance[2:] for balance in told[b"balances"]] == [[3 * REQUIREMENT, 0], [0, 0]]


async def test_a_node_without_a_chain_signs_nothing(lone_node: Callable[..., Any]) -> None:
    async with OmqClient(Place.parse(lone_node().entry)) as client:
        answer = await client.request(wire.GET_REWARDS, wire.encode({}))
    assert answer == [b"503", b"This node signs nothing for the network"]


async def test_commands_try_first_and_say_what_to_do(
    young: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with staked(young, tmp_path, capsys, 1) as net:
        [member] = net.members
        # Nothing is sent in a dry run, also where a step would follow another.
        block = young.w3.eth.block_number
        said = await net.join(member, 1, "--dry-run")
        assert "addBLSPublicKey: would succeed" in said
        young.send(young.token.functions.approve(young.addresses.rewards, 0), address(1))
        said = await net.join(member, 1, "--dry-run")
        assert "SESH.approve: would succeed" in said and "addBLSPublicKey: would be sent next" in said
        assert young.w3.eth.block_number == block + 1
        file = str(await net.registration(member, 1))
        register = ("node", "register", "--registration", file, "--stake", *net.options())
        assert "is for" in await net.allium(*register, who=2, code=1)
        young.send(young.token.functions.transfer(address(9), 10**15), address(1))
        assert "needs 25,000" in await net.allium(*register, who=1, code=1)
        young.send(young.token.functions.transfer(address(1), 10**15), address(9))
        assert "as number 1" in await net.allium(*register, who=1)
        assert "as number 1 already" in await net.allium(*register, who=1, code=1)
        await net.until(lambda state: len(state.ledger.payees) == 1)
        await net.heights(3)

        shown = json.loads(await net.shown(address(1), "--json"))
        assert shown["claimable"] == shown["earned"] and net.was_ledger(address(1), shown["earned"])
        assert shown["locked"] == REQUIREMENT and shown["claimed"] == 0
        claim = ("rewards", "claim", *net.options("network"))
        block = young.w3.eth.block_number
        said = await net.allium(*claim, "--dry-run", who=1)
        assert "updateRewardsBalance: would succeed" in said and "SESH would be paid" in said
        assert young.w3.eth.block_number == block
        assert "earned nothing" in await net.allium(*claim, who=5, code=1)
        assert "can be claimed, not 9,999" in await net.allium(*claim, "--amount", "9999", who=1, code=1)
        assert "is no amount" in await net.allium(*claim, "--amount", "0.0000000001", who=1, code=1)
        before = young.balance(address(1))
        assert "0.000000007 SESH were paid" in await net.allium(*claim, "--amount", "0.000000007", who=1)
        assert young.balance(address(1)) - before == 7
        # What the network may pay in a cycle is told before anything is sent.
        young.send(young.rewards.functions.setClaimThreshold(8), young.owner)
        said = await net.allium(*claim, who=1, code=1)
        assert "pays 0.000000001 SESH more in this cycle" in said
        young.send(young.rewards.functions.setClaimThreshold(10**15), young.owner)
        young.send(young.rewards.functions.pause(), young.owner)
        await net.heights(3)
        assert "EnforcedPause(). The contracts are paused" in await net.allium(*claim, who=1, code=1)
        young.send(young.rewards.functions.unpause(), young.owner)
        pool = young.pool.functions.totalPaidOut().call()
        await net.allium(*claim, "--release", who=1)
        assert young.pool.functions.totalPaidOut().call() > pool
        stranger = await net.allium("node", "exit", member.hex, *net.options("network"), who=5, code=1)
        assert "CallerNotContributor" in stranger and "Only somebody who staked" in stranger
        exiting = ("node", "exit", member.hex, *net.options("network"))
        unsigned = await net.allium(*exiting, "--unsigned", who=5, code=1)
        assert "LeaveRequestNotInitiatedYet" in unsigned and "Nobody has asked" in unsigned
        await net.allium(*exiting, who=1)
        assert "LeaveRequestTooEarly" in await net.allium(*exiting, "--unsigned", who=5, code=1)
        nobody = await net.allium("node", "exit", "99", *net.options("network"), who=1, code=1)
        assert "the contract holds no node 99" in nobody


async def test_several_stake_for_one_node(chain: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with staked(chain, tmp_path, capsys, 1) as net:
        file = str(await net.registration(net.members[0], 1))
        opening = ("stake", "open", "--registration", file, "--amount", "7000", "--manual", *net.options())
        assert "ReservedContributionBelowMinAmount" in await net.allium(
            *opening, "--reserve", f"{address(2)}=1", who=1, code=1
        )
        said = await net.allium(*opening, "--reserve", f"{address(2)}=8000", "--fee", "12.34", who=1)
        pot = said.split("contract is ")[1].split()[0]
        shown = await net.allium("stake", "show", pot, *net.options())
        for line in ("fee 12.34 %", "7,000 of 25,000 SESH, 8,000 reserved, 10,000 missing", "at least      1,250 SESH"):
            assert line in shown

        async def contribute(who: int, amount: str, *more: str, code: int = 0) -> str:
            return await net.allium("stake", "contribute", pot, amount, *more, *net.options(), who=who, code=code)

        assert "Stake at least the minimum" in await contribute(3, "1249.999999999", code=1)
        assert "A place is reserved for you" in await contribute(2, "7999", code=1)
        assert "were offered" in await contribute(3, "18000.000000001", code=1)
        block = chain.w3.eth.block_number
        assert "SESH.approve: would succeed" in await contribute(3, "10000", "--dry-run")
        assert chain.w3.eth.block_number == block
        await contribute(3, "10000", "--beneficiary", address(4))
        withdraw = ("stake", "withdraw", pot, *net.options())
        assert "can be withdrawn a day after" in await net.allium(*withdraw, who=3, code=1)
        assert "has nothing in" in await net.allium(*withdraw, who=5, code=1)
        chain.at_time(chain.now + 86_400)
        before = chain.balance(address(3))
        assert "10,000 SESH are back" in await net.allium(*withdraw, who=3)
        assert chain.balance(address(3)) - before == 10_000 * SESH
        await contribute(3, "10000")
        assert "complete, to be finalized" in await contribute(2, "8000")
        finalize = ("stake", "finalize", pot, *net.options())
        assert "Only the node's operator" in await net.allium(*finalize, who=3, code=1)
        await net.allium(*finalize, who=1)
        assert "registered" in await net.allium("stake", "show", pot, *net.options())
        assert "its stakes come back when it leaves" in await net.allium(*withdraw, who=3, code=1)
        # A contract that only looks like one of ours could keep the stake.
        foreign = await net.allium("stake", "contribute", chain.addresses.pool, "1", *net.options(), who=3, code=1)
        assert "was not made by the network's factory" in foreign


async def test_what_is_wrong_with_a_command_is_said(
    chain: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALLIUM_WALLET_KEY", raising=False)
    net = Staked(chain, tmp_path, capsys)
    for arguments, text in (
        (("rewards", "claim", *net.options("network")), "no key to pay with"),
        (("rewards", "show", "0x12", *net.options()), "network.json cannot be read"),
        (("stake", "show", "0x12", *net.options()), "0x12 is no address"),
        (("stake", "show", address(1), *net.options(), "--contracts", "nowhere.json"), "with --contracts"),
        (("node", "register", address(1)), "--data-dir"),
        (("node", "register", "--registration", str(net.files["contracts"])), "is no registration"),
        (("stake", "show", address(1), "--rpc", "http://127.0.0.1:1", *net.options()[2:]), "the provider failed"),
    ):
        assert text in await net.allium(*arguments, code=1)
    other = Addresses(**{**asdict(chain.addresses), "chain_id": 1})
    other.save(net.files["contracts"])
    said = await net.allium("stake", "show", address(1), *net.options(), code=1)
    assert "is of chain 31337, the contracts are on 1" in said


# A devnet of real processes.


async def test_a_devnet_pays_what_its_stakes_earn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = Devnet(tmp_path / "net")
    await asyncio.to_thread(net.run, "up", "--nodes", "6", "--chain")
    try:
        chain = net.network["chain"]
        [shared] = [stake for stake in chain["stakes"] if len(stake["stakers"]) == 3]
        files = ("--contracts", str(net.directory / "ADDRESSES.json"), "--network", str(net.directory / "network.json"))
        options = ("--rpc", chain["rpc_url"], *files)
        # One of six may be silent, and each of the others can be asked.
        os.kill(net.nodes[5]["pid"], signal.SIGKILL)
        w3 = Web3(HTTPProvider(chain["rpc_url"]))
        token = w3.eth.contract(chain["contracts"]["token"], abi=abi.load("SESH")).functions
        rewards = w3.eth.contract(chain["contracts"]["rewards"], abi=abi.load("ServiceNodeRewards")).functions
        first = 0
        for staker, node in zip(shared["stakers"], net.nodes[1:4], strict=True):
            wallet = tmp_path / staker["address"]
            wallet.touch(mode=0o600)
            wallet.write_text(staker["key"])
            asked = ("--node", node["pubkey_ed25519"], *options)
            show = ("rewards", "show", staker["address"], "--json", *asked)
            height = earned = 0
            async with asyncio.timeout(PATIENCE):
                # A claim is of the height before the last, and the node that is asked may be one behind. All three are
                # paid from the same height on.
                while not earned or height < first + 3:
                    told = json.loads(await allium(capsys, *show))
                    height, earned = told["height"], int(told["earned"])
                    first = first or (height if earned else 0)
            said = await allium(capsys, "rewards", "claim", "--key-file", str(wallet), *asked)
            assert "SESH were paid" in said
            earned, claimed = rewards.recipients(staker["address"]).call()
            assert earned == claimed == token.balanceOf(staker["address"]).call() > 0
        # The operator, who has the most in it, has earned the most, at any height that both are told of.
        async with asyncio.timeout(PATIENCE):
            heights, incomes = [0, 1], [0, 0]
            while heights[0] != heights[1]:
                for index, staker in enumerate(shared["stakers"][:2]):
                    told = json.loads(await allium(capsys, "rewards", "show", staker["address"], "--json", *asked))
                    heights[index], incomes[index] = told["height"], int(told["earned"])
        assert incomes[0] > incomes[1]
    finally:
        await asyncio.to_thread(net.run, "down")
