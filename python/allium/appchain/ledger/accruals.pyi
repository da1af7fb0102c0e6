from collections.abc import Sequence

class Accruals:
    """Balances of accounts and the shares that are paid. See `model.Accruals`, which this equals in every answer."""

    @property
    def accounts(self) -> int:
        """How many accounts there are."""

    @property
    def nodes(self) -> int:
        """How many nodes are paid."""

    def open(self) -> int:
        """A new account with nothing in it; its number is the next one."""

    def enrol(self, accounts: Sequence[int], amounts: Sequence[int], portions: int) -> None:
        """Pays a node from now on, after those that are paid already.

        Raises `ValueError` for shares that cannot be paid exactly: none, none of an account, a total of 2**63 or more.
        """

    def expel(self, index: int) -> None:
        """Pays a node no longer; those after it move down by one."""

    def pay(self, reward: int) -> int:
        """Pays `reward` milli-atomic units for one block, equally to all nodes; what each node got.

        `OverflowError` for 2**64 or more.
        """

    def credit(self, account: int, milli: int) -> None:
        """Adds to one balance, once."""

    def balance(self, account: int) -> int:
        """What an account has accrued."""

    def copy(self) -> Accruals:
        """An equal one that goes its own way."""

    def balances(self, order: Sequence[int]) -> bytes:
        """The balances of the accounts in `order`, 16 bytes each, big-endian."""
