"""What it costs to know who earned what: `python bench/ledger.py`; one process, one core.

* a year of a network of mainnet's size replayed through the ledger, with joins, leaves and decommissions, and the same
  history through the plain-Python model for as many blocks as there is patience, ending in equal balances;
* a block of such a network through the whole state machine, and its root.
"""

from __future__ import annotations

import argparse
import random
import resource
import time
from collections.abc import Iterator
from hashlib import sha256

from nacl import bindings

from allium.appchain.events import Contributor, Position, Registration, registration_message
from allium.appchain.input import Input, Observation
from allium.appchain.ledger import model
from allium.appchain.ledger.ledger import Arithmetic, Ledger
from allium.appchain.ledger.shares import Payee
from allium.appchain.machine import apply
from allium.appchain.parameters import MAINNET
from allium.appchain.state import State, genesis, restore, snapshot
from allium.appchain.types import (
    Address,
    AtomicSesh,
    BasisPoints,
    BlsKey,
    ContractId,
    Hash,
    Height,
    Index,
    L2Height,
    PublicKey,
    Seconds,
    Signature,
)

YEAR = 365 * 720
NODES = 1500
#: Per day of 720 blocks.
JOINS, LEAVES, DECOMMISSIONS = 5, 5, 25
REWARD = 22_983_257_229
REQUIREMENT = MAINNET.staking_requirement


def digest(*parts: object) -> bytes:
    """Bytes that are the same in every run."""
    return sha256(repr(parts).encode()).digest()


def stakes(chance: random.Random) -> list[int]:
    """One to ten contributions that add up to the requirement."""
    count = chance.randint(1, MAINNET.max_contributors)
    rest = REQUIREMENT - REQUIREMENT // 4
    cuts = sorted(chance.sample(range(1, rest), count - 1))
    amounts = [right - left for left, right in zip([0, *cuts], [*cuts, rest], strict=True)]
    amounts[0] += REQUIREMENT // 4
    return amounts


class Year:
    """A history that is the same for every ledger: one node's worth of news now and then, a new reward each block."""

    def __init__(self, ledger: Ledger, seed: int = 1) -> None:
        self._ledger, self._chance = ledger, random.Random(seed)
        self._made = 0
        self._down: list[tuple[PublicKey, Payee]] = []
        for _ in range(NODES):
            self._join()

    def run(self, blocks: int) -> Iterator[int]:
        """Pays block after block, and yields the number of each."""
        ledger, chance = self._ledger, self._chance
        news = (JOINS + LEAVES + 2 * DECOMMISSIONS) / 720
        for block in range(blocks):
            if chance.random() < news:
                self._happen(chance.randrange(JOINS + LEAVES + 2 * DECOMMISSIONS))
            ledger.pay(AtomicSesh(REWARD + chance.randrange(1 << 24)))
            yield block

    def _happen(self, what: int) -> None:
        if what < JOINS:
            self._join()
        elif what < JOINS + LEAVES:
            node, payee = self._pick()
            for contributor, amount in zip(payee.beneficiaries, payee.amounts, strict=True):
                self._ledger.credit(contributor, amount)
            self._ledger.expel(node)
        elif what % 2:
            self._down.append(self._pick())
            self._ledger.expel(self._down[-1][0])
        elif self._down:
            self._ledger.enrol(*self._down.pop(self._chance.randrange(len(self._down))))

    def _pick(self) -> tuple[PublicKey, Payee]:
        node = self._chance.choice(list(self._ledger.payees))
        return node, self._ledger.payees[node]

    def _join(self) -> None:
        self._made += 1
        amounts = stakes(self._chance)
        beneficiaries = tuple(Address(digest("who", self._made, index)[:20]) for index in range(len(amounts)))
        fee = BasisPoints(self._chance.choice([0, 250, 500, 1000, self._chance.randrange(10_001)]))
        payee = Payee(beneficiaries, tuple(map(AtomicSesh, amounts)), fee)
        self._ledger.enrol(PublicKey(digest("node", self._made)), payee)


def ledger(arithmetic: Arithmetic | None = None) -> Ledger:
    """An empty ledger of mainnet."""
    return Ledger(MAINNET.history, arithmetic=arithmetic)


def replay(blocks: int, plain_blocks: int) -> None:
    """The year, fast and plain."""
    fast = ledger()
    year = Year(fast)
    shares = sum(len(payee.amounts) for payee in fast.payees.values())
    print(f"{NODES} nodes with {shares} contributors; a new reward in each of {blocks} blocks")
    quarter, began = max(1, blocks // 4), time.process_time()
    for block in year.run(blocks):
        if (block + 1) % quarter == 0:
            resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"  block {block + 1:>7}: {time.process_time() - began:6.2f} s, {resident:6.1f} MiB resident at most")
    took = time.process_time() - began
    print(f"the ledger: {took:.2f} s, {took / blocks * 1e6:.1f} us per block")

    plain = ledger(model.Accruals())
    plain_year, began = Year(plain), time.process_time()
    for _ in plain_year.run(plain_blocks):
        pass
    plain_took = time.process_time() - began
    print(f"the model:  {plain_took / plain_blocks * 1e6:.1f} us per block, over {plain_blocks} blocks")
    print(f"ratio: {plain_took / plain_blocks / (took / blocks):.0f}")

    again = ledger()
    for _ in Year(again).run(plain_blocks):
        pass
    if again.accounts() != plain.accounts():
        raise SystemExit("the two ledgers differ")
    print(f"both have the same balances at block {plain_blocks}")


def registration(name: int, chance: random.Random) -> Registration:
    """A node that the state machine takes."""
    public, secret = bindings.crypto_sign_seed_keypair(digest("seed", name))
    key, bls_key = PublicKey(public), BlsKey(digest("x", name) + digest("y", name))
    signature = bindings.crypto_sign(registration_message(key, bls_key), secret)[:64]
    owners = [Address(digest("owner", name, index)[:20]) for index in range(MAINNET.max_contributors)]
    contributors = tuple(
        Contributor(owner, owner, AtomicSesh(amount)) for owner, amount in zip(owners, stakes(chance), strict=False)
    )
    position = Position(L2Height(1), Index(name))
    return Registration(
        position, ContractId(name + 1), key, bls_key, Signature(signature), BasisPoints(500), contributors
    )


def following(state: State, events: tuple[Registration, ...] = ()) -> Input:
    """An input that does little."""
    height = state.height + 1
    seen = Observation(L2Height(height), Hash(digest(height)), AtomicSesh(REWARD), events)
    return Input(Height(height), Seconds(height), seen, ())


def machine(blocks: int) -> None:
    """The whole state machine."""
    chance = random.Random(2)
    state = genesis(MAINNET)
    began = time.process_time()
    state = apply(state, following(state, tuple(registration(name, chance) for name in range(NODES))))
    print(f"{NODES} registrations in one height: {time.process_time() - began:.2f} s")
    for _ in range(MAINNET.payable_after + 1):
        state = apply(state, following(state))
    applying = rooting = 0.0
    for _ in range(blocks):
        given, began = following(state), time.process_time()
        state = apply(state, given)
        applied = time.process_time()
        _ = state.root
        applying, rooting = applying + applied - began, rooting + time.process_time() - applied
    print(f"a height: {applying / blocks * 1e3:.2f} ms to apply, {rooting / blocks * 1e3:.2f} ms for the root")
    began = time.process_time()
    encoded = snapshot(state)
    written = time.process_time()
    same = restore(encoded).root == state.root
    read = time.process_time() - written
    print(f"a snapshot: {len(encoded)} bytes, {written - began:.3f} s to make, {read:.3f} s to start from, {same=}")


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=YEAR, help="how many blocks to replay (default: a year)")
    parser.add_argument("--plain-blocks", type=int, default=2000, help="how many of them with the model too")
    arguments = parser.parse_args()
    replay(arguments.blocks, min(arguments.blocks, arguments.plain_blocks))
    machine(200)


if __name__ == "__main__":
    main()
