"""Transactions: tried out first, so that what would revert says why and costs nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from eth_account.datastructures import SignedTransaction
from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from web3 import AsyncWeb3
from web3.exceptions import TransactionIndexingInProgress, TransactionNotFound
from web3.types import TxParams, TxReceipt

from allium.staking import StakingError, abi
from allium.staking.provider import CallRevertedError, Provider, ProviderError, RateLimitError, quantity

#: How long a transaction that was sent is waited for, and between two looks at most.
_MINED_SECONDS, _LOOK_SECONDS = 90.0, 2.0


class RevertedError(StakingError):
    """A contract refuses a transaction, which was not sent or had no effect."""

    def __init__(self, what: str, data: bytes, text: str | None = None) -> None:
        super().__init__(f"{what}: {text or CallRevertedError(data).reason}")
        #: The name of the error in the contracts' ABI; `None` for another.
        self.name = abi.revert_name(data)


class PendingError(ProviderError):
    """A transaction was sent, and what became of it is not known."""


@contextmanager
def told_of(what: str, provider: Provider) -> Iterator[None]:
    """Names, in what a provider's answers end with, the provider and what it was asked for; `RevertedError` too."""
    try:
        yield
    except CallRevertedError as error:
        raise RevertedError(what, error.data) from None
    except ProviderError as error:
        remedy = "try again later" if isinstance(error, RateLimitError) else "try again"
        text = f"{what}: the provider failed: {provider.name} {error}; {remedy}, or use another provider"
        raise ProviderError(text) from None


class Sender:
    """Sends from one account, one transaction after the other, and awaits each."""

    def __init__(self, provider: Provider, account: LocalAccount) -> None:
        self.provider = provider
        self.account = account

    def transaction(self, contract: str, address: ChecksumAddress, function: str, *arguments: Any) -> TxParams:
        """A call of a published function of the contract named `contract`."""
        called = self.provider.contract(contract, address)
        return {"to": address, "data": called.encode_abi(function, list(arguments)), "value": 0}  # type: ignore[typeddict-item]

    async def simulate(self, what: str, transaction: TxParams) -> int:
        """The gas that a transaction would use now; `RevertedError`, `ProviderError`. `what` names it in texts."""

        async def ask(w3: AsyncWeb3[Any]) -> int:
            return quantity(await w3.eth.estimate_gas({**transaction, "from": self.account.address}))

        with told_of(what, self.provider):
            return await self.provider.ask(ask)

    async def send(self, what: str, transaction: TxParams) -> TxReceipt:
        """The receipt of a transaction that was simulated, signed, sent and mined; raises as `simulate` does."""
        gas = await self.simulate(what, transaction)
        with told_of(what, self.provider):
            signed = await self._signed(transaction, gas)
        name = signed.hash.to_0x_hex()
        try:
            receipt = await self._mined(signed)
        except TimeoutError:
            text = f"{what}: transaction {name} was sent, and is not in the chain after {_MINED_SECONDS:.0f} s"
            raise PendingError(f"{text}; look it up before you try again") from None
        except ProviderError as error:
            text = f"{what}: the provider failed: {self.provider.name} {error}, as transaction {name} was sent"
            raise PendingError(f"{text}; look it up before you try again") from None
        if receipt["status"] != 1:
            raise RevertedError(what, b"", f"reverted in transaction {name}")
        return receipt

    async def _signed(self, transaction: TxParams, gas: int) -> SignedTransaction:
        async def ask(w3: AsyncWeb3[Any]) -> dict[str, int]:
            chain_id = quantity(await w3.eth.chain_id)
            if self.provider.chain_id not in (None, chain_id):
                raise ProviderError(f"has chain {chain_id} now, and had {self.provider.chain_id}")
            tip = quantity(await w3.eth.max_priority_fee)
            head = await w3.eth.get_block("latest")
            if "baseFeePerGas" not in head:
                raise ProviderError("names no base fee of its newest block: its chain is older than EIP-1559")
            return {
                "nonce": quantity(await w3.eth.get_transaction_count(self.account.address, "pending")),
                "chainId": chain_id,
                "maxPriorityFeePerGas": tip,
                "maxFeePerGas": quantity(head["baseFeePerGas"]) * 2 + tip,
            }

        # What others do meanwhile may make it dearer.
        limits = {"from": self.account.address, "gas": gas * 5 // 4}
        fields: dict[str, Any] = {**transaction, **limits, **await self.provider.ask(ask)}
        return self.account.sign_transaction(fields)

    async def _mined(self, signed: SignedTransaction) -> TxReceipt:
        """Sends, and waits; raises `ProviderError`, `TimeoutError`."""

        async def look(w3: AsyncWeb3[Any]) -> TxReceipt | None:
            try:
                return _checked(await w3.eth.get_transaction_receipt(signed.hash), signed)
            except (TransactionNotFound, TransactionIndexingInProgress):
                return None

        await self.provider.ask(lambda w3: w3.eth.send_raw_transaction(signed.raw_transaction))
        pause = _LOOK_SECONDS / 32
        async with asyncio.timeout(_MINED_SECONDS):
            while (receipt := await self.provider.ask(look)) is None:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LOOK_SECONDS)
        return receipt


def _checked(receipt: TxReceipt, signed: SignedTransaction) -> TxReceipt:
    """A receipt that has what is read of it."""
    if receipt["transactionHash"] != signed.hash or receipt["status"] not in (0, 1):
        raise ProviderError("gives the receipt of something else")
    quantity(receipt["gasUsed"])
    for entry in receipt["logs"]:
        bytes(entry["data"]), [bytes(topic) for topic in entry["topics"]], entry["address"].lower()
    return receipt
