"""A contribution contract: a node that several people stake for."""

from __future__ import annotations

from typing import Any

from web3.contract import Contract

from tests.support.chain import REQUIREMENT, ZERO, Chain, Node

WAIT_FOR_OPERATOR, OPEN, WAIT_FOR_FINALIZED, FINALIZED = range(4)


class SharedNode:
    """A contribution contract, operated by alice."""

    def __init__(self, chain: Chain, reserved: list[Any] | None = None, manual: bool = False, fee: int = 100) -> None:
        self.chain = chain
        self.node = Node()
        self.proof = chain.possession(self.node, chain.alice)
        call = chain.factory.functions.deploy(self.node.key, self.proof, self.node.params(fee), reserved or [], manual)
        self.receipt = chain.send(call, chain.alice)
        [(self.name, address, self.ed25519, self.operator)] = chain.events(self.receipt, chain.factory)
        self.contract: Contract = chain.at("ServiceNodeContribution", address)
        for account in chain.w3.eth.accounts:
            chain.send(chain.token.functions.approve(address, 2**255), account)

    def __getattr__(self, name: str) -> Any:
        return self.contract.functions[name]

    def contribute(self, account: str, amount: int, beneficiary: str = ZERO) -> list[tuple[Any, ...]]:
        """Contributes atomic units; what the contract said."""
        receipt = self.chain.send(self.contributeFunds(amount, beneficiary), account)
        return self.chain.events(receipt, self.contract)

    def refused(self, call: Any, account: str) -> tuple[Any, ...]:
        return self.chain.refused(call, account)

    def said(self, call: Any, account: str) -> list[tuple[Any, ...]]:
        """Sends; what the contract said."""
        return self.chain.events(self.chain.send(call, account), self.contract)


def reserve(*pairs: tuple[str, int]) -> list[Any]:
    """Reservations, in percent of the requirement."""
    return [(address, REQUIREMENT * percent // 100) for address, percent in pairs]
