"""Who has earned what, by address, now and at recent heights."""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

from allium.appchain.ledger.accruals import Accruals
from allium.appchain.ledger.shares import Payee, split
from allium.appchain.types import MILLI, NO_HEIGHT, Address, AtomicSesh, Blocks, Height, MilliAtomic, PublicKey

if TYPE_CHECKING:
    from allium.appchain.ledger import model

#: What a ledger is computed by. The model is for tests.
Arithmetic: TypeAlias = "Accruals | model.Accruals"

#: An address and its balance, big-endian: what `accounts` is made of.
RECORD = 20 + 16


class TooOldError(LookupError):
    """Balances of a height that is no longer, or not yet, known."""


NOTHING = MilliAtomic(0)


@dataclass
class _Change:
    """What one height did, so that it can be taken back."""

    height: Height
    income: MilliAtomic = NOTHING
    enrolled: list[PublicKey] = field(default_factory=list)
    expelled: list[tuple[PublicKey, Payee]] = field(default_factory=list)
    credits: list[tuple[Address, MilliAtomic]] = field(default_factory=list)


class Ledger:
    """Lifetime totals in milli-atomic SESH. They never fall.

    Changes of a height come first, then `pay` ends it. Balances can be told for the last `history` heights.
    """

    def __init__(self, history: Blocks, height: Height = NO_HEIGHT, arithmetic: Arithmetic | None = None) -> None:
        self._arithmetic: Arithmetic = Accruals() if arithmetic is None else arithmetic
        self._directory = _Directory()
        self._payees: dict[PublicKey, Payee] = {}
        self._places: list[PublicKey] = []
        #: The nodes that pay an address. Made when it is asked for, and again after who is paid has changed.
        self._paying: dict[Address, list[PublicKey]] | None = None
        self._past: list[_Change] = []
        self._history = history
        self._next = _Change(Height(height + 1))

    @classmethod
    def restored(
        cls,
        history: Blocks,
        height: Height,
        accounts: bytes,
        payees: Mapping[PublicKey, Payee],
        arithmetic: Arithmetic | None = None,
    ) -> Ledger:
        """The ledger that had these `accounts()` and payees after `height`; it knows nothing of the time before.

        Raises `ValueError` for accounts that are not whole records in ascending order.
        """
        made = cls(history, height, arithmetic)
        records = [accounts[start : start + RECORD] for start in range(0, len(accounts), RECORD)]
        if len(accounts) % RECORD or any(left[:20] >= right[:20] for left, right in pairwise(records)):
            raise ValueError("accounts must be whole records in ascending order of their addresses")
        for record in records:
            number = made._number(Address(record[:20]))
            made._arithmetic.credit(number, int.from_bytes(record[20:], "big"))
        for node, payee in payees.items():
            made.enrol(node, payee)
        made._next = _Change(Height(height + 1))
        return made

    @property
    def height(self) -> Height:
        """The last height that was paid."""
        return Height(self._next.height - 1)

    @property
    def payees(self) -> Mapping[PublicKey, Payee]:
        """The nodes that are paid."""
        return self._payees

    def enrol(self, node: PublicKey, payee: Payee) -> None:
        """Pays a node from the height that is under way on."""
        if node in self._payees:
            raise ValueError(f"{node.hex()} is paid already")
        accounts = [self._number(address) for address in payee.beneficiaries]
        self._arithmetic.enrol(accounts, payee.amounts, payee.portions)
        self._payees[node] = payee
        self._paying = None
        self._places.append(node)
        self._next.enrolled.append(node)

    def expel(self, node: PublicKey) -> None:
        """Pays a node no longer, beginning with the height that is under way. No matter when it was not paid."""
        if (payee := self._payees.pop(node, None)) is None:
            return
        self._paying = None
        place = self._places.index(node)
        self._arithmetic.expel(place)
        del self._places[place]
        if node in self._next.enrolled:
            self._next.enrolled.remove(node)
        else:
            self._next.expelled.append((node, payee))

    def credit(self, address: Address, amount: AtomicSesh) -> None:
        """Adds a returned stake."""
        milli = MilliAtomic(amount * MILLI)
        self._arithmetic.credit(self._number(address), milli)
        self._next.credits.append((address, milli))

    def pay(self, reward: AtomicSesh) -> None:
        """Pays the reward of the height under way to all nodes alike, and ends it."""
        self._next.income = MilliAtomic(self._arithmetic.pay(reward * MILLI))
        self._past.append(self._next)
        if len(self._past) > self._history:
            del self._past[0]
        self._next = _Change(Height(self._next.height + 1))

    def balance(self, address: Address, height: Height | None = None) -> MilliAtomic:
        """What an address has accrued, now or at a recent height; raises `TooOldError`."""
        number = self._directory.numbers.get(address)
        now = 0 if number is None else self._arithmetic.balance(number)
        if height is None or height == self.height:
            return MilliAtomic(now)
        first = self.height - len(self._past)
        if not first <= height < self.height:
            raise TooOldError(f"balances are known for the heights from {first} to {self.height}, not for {height}")
        return MilliAtomic(now - self._since(address, height))

    def _since(self, address: Address, height: Height) -> int:
        """What an address was credited after `height`."""
        if (paying := self._paying) is None:
            paying = self._paying = _by_beneficiary(self._payees)
        paid = {node: self._payees[node] for node in paying.get(address, ())}
        total = 0
        for change in reversed(self._past[height - self.height :]):
            for payee in paid.values():
                shares = zip(payee.beneficiaries, split(change.income, payee), strict=True)
                total += sum(share for beneficiary, share in shares if beneficiary == address)
            total += sum(milli for credited, milli in change.credits if credited == address)
            for node in change.enrolled:
                paid.pop(node, None)
            paid |= {node: payee for node, payee in change.expelled if address in payee.beneficiaries}
        return total

    def accounts(self) -> bytes:
        """Every address that was ever credited with its balance, `RECORD` bytes each, ascending."""
        addresses, order = self._directory.addresses, self._directory.order
        balances = self._arithmetic.balances(order)
        places = range(0, len(balances), 16)
        return b"".join(
            [addresses[number] + balances[place : place + 16] for number, place in zip(order, places, strict=True)]
        )

    def copy(self) -> Ledger:
        """An equal one that goes its own way."""
        twin = Ledger.__new__(Ledger)
        twin._arithmetic, twin._directory = self._arithmetic.copy(), self._directory
        twin._payees, twin._places = self._payees.copy(), self._places.copy()
        twin._paying = self._paying
        twin._past, twin._history, twin._next = self._past.copy(), self._history, deepcopy(self._next)
        self._directory.shared = True
        return twin

    def _number(self, address: Address) -> int:
        number = self._directory.numbers.get(address)
        if number is None:
            if self._directory.shared:
                self._directory = self._directory.copy()
            number = self._arithmetic.open()
            self._directory.add(address, number)
        return number


def _by_beneficiary(payees: Mapping[PublicKey, Payee]) -> dict[Address, list[PublicKey]]:
    paying: dict[Address, list[PublicKey]] = {}
    for node, payee in payees.items():
        for beneficiary in set(payee.beneficiaries):
            paying.setdefault(beneficiary, []).append(node)
    return paying


class _Directory:
    """The numbers of addresses. Ledgers share one until one of them has a new address."""

    def __init__(self) -> None:
        self.numbers: dict[Address, int] = {}
        self.addresses: list[Address] = []
        #: Numbers by ascending address.
        self.order: list[int] = []
        self.shared = False

    def add(self, address: Address, number: int) -> None:
        self.numbers[address] = number
        self.addresses.append(address)
        insort(self.order, number, key=self.addresses.__getitem__)

    def copy(self) -> _Directory:
        twin = _Directory()
        twin.numbers, twin.addresses, twin.order = self.numbers.copy(), self.addresses.copy(), self.order.copy()
        return twin
