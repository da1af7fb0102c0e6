"""The ledger's arithmetic as `spec/economics` §4 writes it: the measure of the fast one, in tests and in the bench."""

from __future__ import annotations

from collections.abc import Sequence

from allium.appchain.ledger.shares import PORTIONS


class Accruals:
    """Balances of accounts and the shares that are paid, in milli-atomic units."""

    def __init__(self) -> None:
        self._balances: list[int] = []
        self._nodes: list[tuple[list[int], list[int], int, int]] = []

    @property
    def accounts(self) -> int:
        """How many accounts there are."""
        return len(self._balances)

    @property
    def nodes(self) -> int:
        """How many nodes are paid."""
        return len(self._nodes)

    def open(self) -> int:
        """A new account with nothing in it; its number is the next one."""
        self._balances.append(0)
        return len(self._balances) - 1

    def enrol(self, accounts: Sequence[int], amounts: Sequence[int], portions: int) -> None:
        """Pays a node from now on, after those that are paid already."""
        if not accounts or len(accounts) != len(amounts):
            raise ValueError("a node has one or more accounts, and an amount for each")
        if not all(0 <= account < len(self._balances) for account in accounts):
            raise ValueError("there is no such account")
        if not 0 < sum(amounts) < 1 << 63 or min(amounts) < 0 or not 0 <= portions <= PORTIONS:
            raise ValueError("amounts must be positive and add up to less than 2**63, portions be at most 100 %")
        self._nodes.append((list(accounts), list(amounts), portions, sum(amounts)))

    def expel(self, index: int) -> None:
        """Pays a node no longer; those after it move down by one."""
        if not 0 <= index < len(self._nodes):
            raise IndexError("there is no such node")
        del self._nodes[index]

    def pay(self, reward: int) -> int:
        """Pays `reward` milli-atomic units for one block, equally to all nodes; what each node got."""
        if not 0 <= reward < 1 << 64:
            raise OverflowError("a block pays less than 2**64")
        if not self._nodes:
            return 0
        balances = self._balances
        income = reward // len(self._nodes)
        for accounts, amounts, portions, total in self._nodes:
            fee = portions * income // PORTIONS
            rest = income - fee
            balances[accounts[0]] += fee
            for account, amount in zip(accounts, amounts, strict=True):
                balances[account] += amount * rest // total
        return income

    def credit(self, account: int, milli: int) -> None:
        """Adds to one balance, once."""
        total = self._balances[account] + milli
        if milli < 0 or total >> 128:
            raise OverflowError("a balance has at most 128 bits")
        self._balances[account] = total

    def balance(self, account: int) -> int:
        """What an account has accrued."""
        return self._balances[account]

    def copy(self) -> Accruals:
        """An equal one that goes its own way."""
        twin = Accruals()
        twin._balances, twin._nodes = self._balances.copy(), self._nodes.copy()
        return twin

    def balances(self, order: Sequence[int]) -> bytes:
        """The balances of the accounts in `order`, 16 bytes each, big-endian."""
        return b"".join(self._balances[account].to_bytes(16, "big") for account in order)
