"""Transactions: tried out first, so that what would revert says why and costs nothing."""

from __future__ import annotations

from typing import Any

from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from web3 import AsyncWeb3
from web3.exceptions import ContractLogicError, TimeExhausted, Web3Exception
from web3.types import TxParams, TxReceipt

from allium.staking import StakingError, abi


class RevertedError(StakingError):
    """A contract refuses a transaction, which was not sent or had no effect."""

    def __init__(self, what: str, data: bytes, text: str | None = None) -> None:
        super().__init__(f"{what}: {text or abi.describe_revert(data)}")
        #: The name of the error in the contracts' ABI; `None` for another.
        self.name = abi.revert_name(data)


class ProviderError(StakingError):
    """The provider failed or refuses; whether a transaction that was sent is on the chain has to be looked up."""


class Sender:
    """Sends from one account, one transaction after the other, and awaits each."""

    def __init__(self, w3: AsyncWeb3[Any], account: LocalAccount) -> None:
        self.w3 = w3
        self.account = account

    def transaction(self, contract: str, address: ChecksumAddress, function: str, *arguments: Any) -> TxParams:
        """A call of a published function of the contract named `contract`."""
        called = self.w3.eth.contract(address, abi=abi.load(contract))
        return {"to": address, "data": called.encode_abi(function, list(arguments)), "value": 0}  # type: ignore[typeddict-item]

    async def simulate(self, what: str, transaction: TxParams) -> int:
        """The gas that a transaction would use now; `RevertedError`, `ProviderError`. `what` names it in texts."""
        try:
            return await self.w3.eth.estimate_gas({**transaction, "from": self.account.address})
        except ContractLogicError as error:
            data = error.data if isinstance(error.data, str) else "0x"
            raise RevertedError(what, bytes.fromhex(data.removeprefix("0x"))) from None
        except (Web3Exception, OSError, TimeoutError) as error:
            raise ProviderError(f"{what}: the provider failed: {error}") from error

    async def send(self, what: str, transaction: TxParams) -> TxReceipt:
        """The receipt of a transaction that was simulated, signed, sent and mined; raises as `simulate` does."""
        gas = await self.simulate(what, transaction)
        try:
            receipt = await self._send(transaction, gas)
        except TimeExhausted as error:
            raise ProviderError(f"{what}: sent, but not yet mined: {error}") from error
        except (Web3Exception, OSError, TimeoutError) as error:
            raise ProviderError(f"{what}: the provider failed: {error}") from error
        if receipt["status"] != 1:
            raise RevertedError(what, b"", f"reverted in transaction {receipt['transactionHash'].to_0x_hex()}")
        return receipt

    async def _send(self, transaction: TxParams, gas: int) -> TxReceipt:
        tip = await self.w3.eth.max_priority_fee
        head = await self.w3.eth.get_block("latest")
        fields: dict[str, Any] = {
            **transaction,
            "from": self.account.address,
            # What others do meanwhile may make it dearer.
            "gas": gas * 5 // 4,
            "nonce": await self.w3.eth.get_transaction_count(self.account.address, "pending"),
            "chainId": await self.w3.eth.chain_id,
            "maxPriorityFeePerGas": tip,
            "maxFeePerGas": head["baseFeePerGas"] * 2 + tip,
        }
        signed = self.account.sign_transaction(fields)
        sent = await self.w3.eth.send_raw_transaction(signed.raw_transaction)
        return await self.w3.eth.wait_for_transaction_receipt(sent)
