"""The EVM side of a devnet: contracts, people with money, and a real stake for every node."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from eth_utils.address import to_checksum_address
from web3 import AsyncWeb3
from web3.types import RPCEndpoint, TxReceipt, Wei

from allium._native import BlsSecretKey
from allium.devnet.layout import StakeRecord, StakerRecord
from allium.devnet.progress import ContractDeployed, NodesStaked, Progress
from allium.settings.keys import NodeKeys
from allium.staking import StakingError, abi
from allium.staking.addresses import Addresses
from allium.staking.connection import connected
from allium.staking.provider import Provider, quantity
from allium.wallet import deploy
from allium.wallet.registration import SignedRegistration, build, joined, register
from allium.wallet.sender import Sender, told_of
from allium.wallet.steps import ContractReader

#: Every so many nodes, one has several contributors and takes a fee.
_SHARED_EVERY = 4
_FEE = 1000
#: What everybody gets for gas: 0.05 ether.
_GAS_MONEY = Wei(5 * 10**16)
#: How many nodes are staked for at once. The contract takes 20 per block of a small network.
_AT_ONCE = 4
_OPENED = abi.topic(
    next(
        entry
        for entry in abi.load("ServiceNodeContributionFactory")
        if entry.get("name") == "NewServiceNodeContributionContract"
    )
)


@dataclass(frozen=True)
class Rules:
    """What the rewards contract demands."""

    #: Atomic units.
    requirement: int
    max_contributors: int


@dataclass(frozen=True)
class Staked:
    """What a network on contracts needs to know of them."""

    addresses: Addresses
    rules: Rules
    stakes: tuple[StakeRecord, ...]


async def stake(
    url: str,
    funder: LocalAccount,
    nodes: Sequence[tuple[NodeKeys, BlsSecretKey]],
    addresses: Addresses | None,
    progress: Progress,
) -> Staked:
    """Deploys contracts unless there are some, and registers every node; raises `StakingError`.

    `funder` owns what is deployed, and gives every staker the money for the stake and for gas.
    """
    async with connected(url) as provider:
        if addresses is None:
            # Nobody waits for two hours on a devnet until a node may leave.
            parameters = deploy.DeployParameters(minimum_exit_age=0)
            addresses = await deploy.deploy(provider, funder, parameters, lambda line: progress(ContractDeployed(line)))
        rules = await read_rules(ContractReader(provider, addresses))
        bank = Bank(provider, funder, addresses)
        turns = asyncio.Semaphore(_AT_ONCE)
        done = 0

        async def one(index: int, keys: NodeKeys, secret: BlsSecretKey) -> StakeRecord:
            nonlocal done
            async with turns:
                record = await _stake_for(bank, rules, index, keys, secret)
            done += 1
            progress(NodesStaked(done, len(nodes)))
            return record

        try:
            async with asyncio.TaskGroup() as tasks:
                registering = [tasks.create_task(one(i, keys, secret)) for i, (keys, secret) in enumerate(nodes)]
        except* StakingError as errors:
            raise errors.exceptions[0] from None
        return Staked(addresses, rules, tuple(task.result() for task in registering))


async def mine(url: str, blocks: int) -> None:
    """Lets anvil make blocks at once."""
    async with connected(url) as provider:
        with told_of("anvil_mine", provider):
            await provider.ask(lambda w3: w3.provider.make_request(RPCEndpoint("anvil_mine"), [hex(blocks)]))


async def until_final(url: str, seconds: float) -> None:
    """Waits until what is the newest block now is final; `StakingError` when that takes longer."""

    async def final(w3: AsyncWeb3[Any]) -> int:
        return quantity((await w3.eth.get_block("finalized"))["number"])

    async with connected(url) as provider:
        with told_of("the newest block", provider):
            newest = await provider.ask(_newest)
        try:
            async with asyncio.timeout(seconds):
                with told_of("the last final block", provider):
                    while await provider.ask(final) < newest:  # noqa: ASYNC110 - a provider does not tell
                        await asyncio.sleep(0.5)
        except TimeoutError:
            raise StakingError(f"block {newest} is not final after {seconds:.0f} s; say how deep is final") from None


async def leave(url: str, addresses: Addresses, key: str, contract_id: int) -> None:
    """Asks for a node to leave, as a contributor of it; raises `StakingError`."""
    async with connected(url) as provider:
        sender = Sender(provider, Account.from_key(key))
        asking = sender.transaction("ServiceNodeRewards", addresses.rewards, "initiateExitBLSPublicKey", contract_id)
        await sender.send("ServiceNodeRewards.initiateExitBLSPublicKey", asking)


class Bank:
    """Gives money to people who have none."""

    def __init__(self, provider: Provider, funder: LocalAccount, addresses: Addresses) -> None:
        self.provider, self.addresses = provider, addresses
        self._sender = Sender(provider, funder)
        self._turn = asyncio.Lock()

    async def customer(self, sesh: int) -> Sender:
        """Somebody new with so many atomic SESH."""
        somebody: LocalAccount = Account.create()
        await self.give(somebody.address, sesh, _GAS_MONEY)
        return Sender(self.provider, somebody)

    async def give(self, address: ChecksumAddress, sesh: int, wei: int) -> None:
        """Money for somebody who is there."""
        async with self._turn:
            await self._sender.send("ether for a staker", {"to": address, "value": Wei(wei), "data": b""})
            giving = self._sender.transaction("SESH", self.addresses.token, "transfer", address, sesh)
            await self._sender.send("SESH.transfer", giving)


async def _stake_for(bank: Bank, rules: Rules, index: int, keys: NodeKeys, secret: BlsSecretKey) -> StakeRecord:
    count = min(2 + index // _SHARED_EVERY % 3, rules.max_contributors) if index % _SHARED_EVERY == 1 else 1
    parts = _parts(rules.requirement, count)
    people = [await bank.customer(part) for part in parts]
    operator, *others = people
    registration = build(keys, secret, bank.addresses, operator.account.address)
    contribution = None
    if others:
        contribution, number = await _share(bank.addresses, registration, people, parts)
    else:
        await approve(operator, bank.addresses, bank.addresses.rewards, rules.requirement)
        number = await register(operator, bank.addresses, registration)
    stakers = [
        StakerRecord(person.account.address, person.account.key.hex(), part)
        for person, part in zip(people, parts, strict=True)
    ]
    return StakeRecord(number, _FEE if others else 0, contribution, tuple(stakers))


async def _share(
    addresses: Addresses, registration: SignedRegistration, people: Sequence[Sender], parts: Sequence[int]
) -> tuple[ChecksumAddress, int]:
    """Collects a stake from several in a contract of its own; that contract, and the number of the node."""
    operator = people[0]
    arguments: tuple[Any, ...] = (registration.key, registration.proof, registration.params(_FEE), [], False)
    opening = operator.transaction("ServiceNodeContributionFactory", addresses.factory, "deploy", *arguments)
    contract = opened(await operator.send("ServiceNodeContributionFactory.deploy", opening), addresses)
    for person, part in zip(people, parts, strict=True):
        await approve(person, addresses, contract, part)
        call = ("ServiceNodeContribution", contract, "contributeFunds", part, person.account.address)
        receipt = await person.send("ServiceNodeContribution.contributeFunds", person.transaction(*call))
    return contract, joined(receipt, addresses)


async def approve(person: Sender, addresses: Addresses, spender: ChecksumAddress, amount: int) -> None:
    """Lets a contract take tokens of somebody."""
    await person.send("SESH.approve", person.transaction("SESH", addresses.token, "approve", spender, amount))


def opened(receipt: TxReceipt, addresses: Addresses) -> ChecksumAddress:
    """The contract that the factory made; raises `StakingError`."""
    for log in receipt["logs"]:
        if log["address"] == addresses.factory and len(log["topics"]) == 2 and bytes(log["topics"][0]) == _OPENED:
            return to_checksum_address(bytes(log["topics"][1])[12:])
    raise StakingError(f"{addresses.factory} made no contract for contributions: it is no factory")


def _parts(requirement: int, count: int) -> list[int]:
    """A stake in parts: the operator's half, and what is left in equal ones."""
    if count == 1:
        return [requirement]
    operator = requirement // 2
    each = (requirement - operator) // (count - 1)
    return [operator, *[each] * (count - 2), requirement - operator - each * (count - 2)]


async def read_rules(view: ContractReader) -> Rules:
    """What the rewards contract demands; raises `StakingError` unless nodes may join."""
    await view.check()
    if not await view.rewards("isStarted"):
        raise StakingError(f"{view.addresses.rewards} is not started; its owner has to call start()")
    return Rules(await view.rewards("stakingRequirement"), await view.rewards("maxContributors"))


async def _newest(w3: AsyncWeb3[Any]) -> int:
    return quantity(await w3.eth.block_number)
