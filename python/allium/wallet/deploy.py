"""A new network's contracts, deployed and wired as the main network's are (`spec/contracts` §1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from eth_utils.address import is_address, to_checksum_address
from web3 import AsyncWeb3, Web3
from web3.types import TxParams, TxReceipt, Wei

from allium.appchain.parameters import SESH
from allium.staking import StakingError, artifacts
from allium.staking.addresses import Addresses
from allium.staking.provider import Provider, quantity
from allium.wallet.sender import Sender, told_of
from allium.wallet.steps import ContractReader, sesh

_NOBODY = to_checksum_address("0x" + "00" * 20)


class DeployError(StakingError):
    """What was to be deployed was not; the text says what and why."""


@dataclass(frozen=True)
class DeployParameters:
    """What a network is started with. The defaults are the main network's; amounts in atomic units."""

    supply: int = 240_000_000 * SESH
    #: What the pool of rewards holds at first.
    pool: int = 40_000_000 * SESH
    staking_requirement: int = 25_000 * SESH
    max_contributors: int = 10
    liquidator_ratio: int = 3
    pool_ratio: int = 17
    recipient_ratio: int = 9980
    #: Seconds before the network's signature can remove a node.
    minimum_exit_age: int = 7200
    #: Who receives the share of fees that is the network's liquidity; the deployer when there is nobody.
    treasury: str | None = None
    #: Whether nodes may join at once.
    start: bool = True


@dataclass(frozen=True)
class Vesting:
    """Tokens that are somebody's from a day on, and may be staked before. Times are Unix seconds."""

    beneficiary: ChecksumAddress
    #: Who may take back what is not the beneficiary's yet.
    revoker: ChecksumAddress
    start: int
    end: int
    #: Atomic units.
    amount: int
    #: Whether the beneficiary may be another one.
    transferable: bool = False


class _Deployer:
    def __init__(self, sender: Sender, tell: Callable[[str], None]) -> None:
        self.sender = sender
        self.tell = tell

    async def send(self, what: str, transaction: TxParams) -> TxReceipt:
        receipt = await self.sender.send(what, transaction)
        self.tell(f"{what}: {receipt['gasUsed']:,} gas")
        return receipt

    async def create(self, what: str, code: bytes) -> ChecksumAddress:
        address = (await self.send(what, {"data": code, "value": Wei(0)})).get("contractAddress")
        if address is None:
            raise DeployError(f"{what}: no contract was made")
        return address

    async def contract(self, name: str, *arguments: Any) -> ChecksumAddress:
        compiled = artifacts.load(name)
        factory = Web3().eth.contract(abi=compiled.abi, bytecode=compiled.bytecode)
        return await self.create(name, bytes.fromhex(factory.constructor(*arguments).data_in_transaction[2:]))

    async def call(self, name: str, address: ChecksumAddress, function: str, *arguments: Any) -> None:
        await self.send(f"{name}.{function}", self.sender.transaction(name, address, function, *arguments))


async def deploy(
    provider: Provider,
    account: LocalAccount,
    parameters: DeployParameters | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Addresses:
    """Deploys a network's contracts, owned and paid for by `account`, who also receives what the pool does not.

    Raises `StakingError`, also for a provider that fails; what was deployed until then stays without use.
    """
    parameters = parameters or DeployParameters()
    if parameters.treasury is not None and not is_address(parameters.treasury):
        raise DeployError(f"{parameters.treasury} is no address")

    async def ask(w3: AsyncWeb3[Any]) -> tuple[int, int]:
        return quantity(await w3.eth.chain_id), quantity(await w3.eth.block_number)

    with told_of("the chain", provider):
        chain_id, block = await provider.ask(ask)
    provider.chain_id = chain_id
    deployer = _Deployer(Sender(provider, account), tell)
    return Addresses(chain_id, block + 1, *await _deploy(deployer, parameters))


async def vest(
    provider: Provider, account: LocalAccount, addresses: Addresses, vesting: Vesting, tell: Callable[[str], None]
) -> ChecksumAddress:
    """Deploys a contract that holds tokens of `account` for somebody, and pays them in. Raises `StakingError`."""
    sender = Sender(provider, account)
    held = await ContractReader(provider, addresses).token("balanceOf", account.address)
    if held < vesting.amount:
        raise DeployError(f"{account.address} has {sesh(held)} SESH, and {sesh(vesting.amount)} would be held")
    deployer = _Deployer(sender, tell)
    people = (vesting.beneficiary, vesting.revoker)
    network = (addresses.rewards, addresses.factory, addresses.token)
    terms = (vesting.start, vesting.end, vesting.transferable)
    made = await deployer.contract("TokenVestingStaking", *people, *terms, *network)
    if vesting.amount:
        await deployer.call("SESH", addresses.token, "transfer", made, vesting.amount)
    return made


async def _deploy(deployer: _Deployer, parameters: DeployParameters) -> tuple[ChecksumAddress, ...]:
    me = deployer.sender.account.address
    token = await deployer.contract("SESH", parameters.supply, me, _NOBODY, _NOBODY)
    pool = await deployer.contract("RewardRatePool")
    rewards = await deployer.contract("ServiceNodeRewards", parameters.minimum_exit_age)
    blueprint = await deployer.create("ServiceNodeContribution", artifacts.load("ServiceNodeContribution").blueprint)
    factory = await deployer.contract("ServiceNodeContributionFactory", blueprint)
    splitter = await deployer.contract(
        "FeeSplitter", token, pool, to_checksum_address(parameters.treasury) if parameters.treasury else me
    )
    await deployer.call("RewardRatePool", pool, "initialize", rewards, token)
    await deployer.call(
        "ServiceNodeRewards",
        rewards,
        "initialize",
        token,
        pool,
        parameters.staking_requirement,
        parameters.max_contributors,
        parameters.liquidator_ratio,
        parameters.pool_ratio,
        parameters.recipient_ratio,
    )
    await deployer.call("ServiceNodeContributionFactory", factory, "initialize", rewards)
    if parameters.pool:
        await deployer.call("SESH", token, "transfer", pool, parameters.pool)
    if parameters.start:
        await deployer.call("ServiceNodeRewards", rewards, "start")
    return token, pool, rewards, factory, splitter
