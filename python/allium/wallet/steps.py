"""What a person does with the contracts, step by step: each is tried out first, told, and then done or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from eth_typing import ChecksumAddress
from web3 import AsyncWeb3
from web3.types import TxParams, TxReceipt

from allium.appchain.parameters import SESH
from allium.staking import StakingError, abi
from allium.staking.addresses import Addresses
from allium.staking.provider import Provider, quantity
from allium.wallet.advice import advised
from allium.wallet.sender import PendingError, RevertedError, Sender, told_of

#: More than any contract of ours can hold.
_MOST_SESH = 10**9


class ContractReader:
    """What the contracts of a network say. Every method raises `StakingError`."""

    def __init__(self, provider: Provider, addresses: Addresses) -> None:
        self.provider, self.addresses = provider, addresses

    async def check(self) -> None:
        """Raises `StakingError` for a provider of another chain."""

        async def ask(w3: AsyncWeb3[Any]) -> int:
            return quantity(await w3.eth.chain_id)

        with told_of("the chain", self.provider):
            chain_id = self.provider.chain_id = await self.provider.ask(ask)
        if chain_id != self.addresses.chain_id:
            raise StakingError(
                f"the provider is of chain {chain_id}, the contracts are on {self.addresses.chain_id}; "
                "name another with --rpc"
            )

    async def call(self, contract: str, address: ChecksumAddress, function: str, *arguments: Any) -> Any:
        """What a view function returns."""
        asked = self.provider.contract(contract, address).functions[function](*arguments)
        with _advised(), told_of(f"{contract}.{function}", self.provider):
            return await self.provider.ask(lambda _: asked.call())

    async def rewards(self, function: str, *arguments: Any) -> Any:
        """Of the rewards contract."""
        return await self.call("ServiceNodeRewards", self.addresses.rewards, function, *arguments)

    async def token(self, function: str, *arguments: Any) -> int:
        """A number of the token's."""
        return int(await self.call("SESH", self.addresses.token, function, *arguments))

    async def members(self) -> list[int]:
        """The numbers of all nodes that the contract holds."""
        ids, _ = await self.rewards("allServiceNodeIDs")
        return list(ids)

    async def now(self) -> int:
        """The time of the last block, Unix seconds."""

        async def ask(w3: AsyncWeb3[Any]) -> int:
            return quantity((await w3.eth.get_block("latest"))["timestamp"])

        with told_of("the newest block", self.provider):
            return await self.provider.ask(ask)


class Steps:
    """Transactions of one account. With `dry_run` they are tried out and told only."""

    def __init__(
        self, sender: Sender, view: ContractReader, tell: Callable[[str], None], dry_run: bool = False
    ) -> None:
        self.view, self.dry_run = view, dry_run
        self._sender, self._tell = sender, tell

    @property
    def account(self) -> ChecksumAddress:
        """Whose transactions they are."""
        return self._sender.account.address

    def tell(self, text: str) -> None:
        """Says something to the person."""
        self._tell(text)

    async def take(self, contract: str, address: ChecksumAddress, function: str, *arguments: Any) -> TxReceipt | None:
        """One transaction; `None` in a dry run. Raises `StakingError` with what to do about it."""
        return await self._take(_Call(contract, address, function, arguments))

    async def follow(self, contract: str, address: ChecksumAddress, function: str, *arguments: Any) -> TxReceipt | None:
        """As `take`, for what fails unless the step before was really done: a dry run only names it."""
        return await self._take(_Call(contract, address, function, arguments), follows=True)

    async def spend(
        self, amount: int, contract: str, address: ChecksumAddress, function: str, *arguments: Any
    ) -> TxReceipt | None:
        """As `take`, for what takes so many of the account's tokens (atomic units).

        The contract is let do so last, when nothing else is against it, and no longer once it did not.
        """
        call = _Call(contract, address, function, arguments)
        held = await self.view.token("balanceOf", self.account)
        if held < amount:
            raise StakingError(f"{self.account} has {sesh(held)} SESH, and needs {sesh(amount)}")
        allowed = await self.view.token("allowance", self.account, address)
        if allowed >= amount:
            return await self._take(call)
        await self._check_but_for_allowance(call)
        await self._approve(address, amount)
        try:
            return await self._take(call, follows=True)
        except PendingError as error:
            raise PendingError(f"{error}. {address} may take {sesh(amount)} SESH until it is") from error
        except StakingError as error:
            await self._withdraw_approval(address, allowed, error)
            raise

    async def _take(self, call: _Call, follows: bool = False) -> TxReceipt | None:
        with _advised():
            transaction = self._transaction(call)
            if not self.dry_run:
                receipt = await self._sender.send(call.name, transaction)
                gas = f"{receipt['gasUsed']:,} gas"
                self._tell(f"{call.name}: done in {receipt['transactionHash'].to_0x_hex()}, {gas}")
                return receipt
            if follows:
                self._tell(f"{call.name}: would be sent next; it can be tried out only after the step before")
            else:
                used = await self._sender.simulate(call.name, transaction)
                self._tell(f"{call.name}: would succeed, about {used:,} gas; nothing was sent")
        return None

    async def _check_but_for_allowance(self, call: _Call) -> None:
        """Raises `StakingError` for what else a contract has against a call: it takes the tokens after its checks."""
        with _advised():
            try:
                await self._sender.simulate(call.name, self._transaction(call))
            except RevertedError as error:
                if error.name != "ERC20InsufficientAllowance":
                    raise

    async def _approve(self, spender: ChecksumAddress, amount: int) -> None:
        await self.take("SESH", self.view.addresses.token, "approve", spender, amount)

    async def _withdraw_approval(self, spender: ChecksumAddress, before: int, reason: StakingError) -> None:
        try:
            await self._approve(spender, before)
        except StakingError as error:
            text = f"{reason}. {spender} may still take the tokens, as this could not be undone: {error}"
            raise StakingError(text) from reason

    def _transaction(self, call: _Call) -> TxParams:
        return self._sender.transaction(call.contract, call.address, call.function, *call.arguments)


@contextmanager
def _advised() -> Iterator[None]:
    """Adds to what a contract says what to do about it."""
    try:
        yield
    except RevertedError as error:
        raise advised(error) from error


@dataclass(frozen=True)
class _Call:
    """A function of a contract, and what it is given."""

    contract: str
    address: ChecksumAddress
    function: str
    arguments: tuple[Any, ...]

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.contract}.{self.function.partition('(')[0]}"


def event(receipt: TxReceipt, contract: str, address: ChecksumAddress, name: str) -> dict[str, Any]:
    """What a contract said in a transaction; `StakingError` when it did not."""
    from web3 import Web3

    entry = next(entry for entry in abi.load(contract) if entry.get("name") == name and entry["type"] == "event")
    for log in receipt["logs"]:
        if log["address"] == address and log["topics"] and bytes(log["topics"][0]) == abi.topic(entry):
            try:
                return dict(Web3().eth.contract(address, abi=[entry]).events[name]().process_log(log)["args"])
            except Exception:  # a stranger's log may break any part of the library
                break
    raise StakingError(f"{address} did not say {name}, as a {contract} does; look at the transaction")


def sesh(amount: int) -> str:
    """Atomic units as SESH, exactly."""
    return f"{amount // SESH:,}.{amount % SESH:09d}".rstrip("0").rstrip(".")


def atomic(text: str) -> int:
    """An amount of SESH in atomic units, exactly; raises `StakingError`."""
    try:
        units = Decimal(text.replace(",", "")) * SESH
        if not units.is_finite() or units != int(units) or not 0 < units <= _MOST_SESH * SESH:
            raise ValueError
    except (InvalidOperation, ValueError, OverflowError):
        raise StakingError(f"{text!r} is no amount of SESH: a number above 0 with 9 decimals at most") from None
    return int(units)
