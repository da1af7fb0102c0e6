"""The generator that nodes agree by, and what is drawn from it (`spec/appchain` §4.2, `spec/swarms` §2.3)."""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from copy import copy
from enum import IntEnum
from typing import Any

_N, _M = 312, 156
_MASK = (1 << 64) - 1
_MASK32 = (1 << 32) - 1
_UPPER, _LOWER = _MASK ^ ((1 << 31) - 1), (1 << 31) - 1
_MATRIX = 0xB5026F5AA96619E9


class Quorum(IntEnum):
    """Kinds of quorums; each draws from a sequence of its own."""

    OBLIGATIONS = 0
    CHECKPOINTING = 1
    BLINK = 2
    PULSE = 3


class Mt19937:
    """64-bit Mersenne Twister, standard parameters."""

    def __init__(self, seed: int) -> None:
        """From a 64-bit number, as the C++ constructor does."""
        state = [seed & _MASK]
        for index in range(1, _N):
            before = state[-1]
            state.append((6364136223846793005 * (before ^ before >> 62) + index) & _MASK)
        self._state, self._index = state, _N

    @classmethod
    def of_block(cls, quorum: Quorum, block_hash: bytes) -> Mt19937:
        """For a quorum at a block, whose hash has 32 bytes."""
        if len(block_hash) != 32:
            raise ValueError(f"a block hash has 32 bytes, not {len(block_hash)}")
        words = [int.from_bytes(block_hash[start : start + 4], "little") for start in range(0, 32, 4)]
        generated = _seed_seq([quorum, *words], 2 * _N)
        made = cls(0)
        made._state = [generated[2 * index] | generated[2 * index + 1] << 32 for index in range(_N)]
        if made._state[0] >> 31 == 0 and not any(made._state[1:]):
            made._state[0] = 1 << 63
        return made

    def __copy__(self) -> Mt19937:
        twin = Mt19937.__new__(Mt19937)
        twin._state, twin._index = self._state.copy(), self._index
        return twin

    def draw(self) -> int:
        """The next 64 bits."""
        if self._index == _N:
            self._twist()
        x = self._state[self._index]
        self._index += 1
        x ^= x >> 29 & 0x5555555555555555
        x ^= x << 17 & 0x71D67FFFEDA60000
        x ^= x << 37 & 0xFFF7EEE000000000
        return x ^ x >> 43

    def _twist(self) -> None:
        state = self._state
        for index in range(_N):
            x = state[index] & _UPPER | state[(index + 1) % _N] & _LOWER
            state[index] = state[(index + _M) % _N] ^ x >> 1 ^ (_MATRIX if x & 1 else 0)
        self._index = 0

    def below(self, n: int) -> int:
        """Uniform among the numbers below n."""
        usable = _MASK - _MASK % n
        while (x := self.draw()) >= usable:
            pass
        return x // (usable // n)

    def shuffle(self, items: MutableSequence[Any], first: int = 0) -> None:
        """Shuffles `items` from `first` on."""
        for index in range(1, len(items) - first):
            other = first + self.below(index + 1)
            items[first + index], items[other] = items[other], items[first + index]


def obligations_quorum(
    block_hash: bytes, active: int, decommissioned: int, testers: int = 10, tested: int = 50
) -> tuple[list[int], list[int]]:
    """Validators and workers at a block, as indices: the active nodes by key, then the decommissioned ones by key.

    At most `testers` validators, and at least `tested` workers if there are so many.
    """
    total, validators = active + decommissioned, min(active, testers)
    generator = Mt19937.of_block(Quorum.OBLIGATIONS, block_hash)
    order = list(range(total))
    if 0 < validators < total and 0 < active < total:
        twin = copy(generator)
        among_active = order[:active]
        generator.shuffle(among_active)
        order[:active] = among_active
        twin.shuffle(order, validators)
    else:
        generator.shuffle(order)
    rest = total - validators
    workers = min(rest, max(tested, rest // 100))
    return order[:validators], order[validators : validators + workers]


def _seed_seq(words: Sequence[int], count: int) -> list[int]:
    """C++ `seed_seq::generate`: `count` numbers of 32 bits."""
    out = [0x8B8B8B8B] * count
    s = len(words)
    t = 11 if count >= 623 else 7 if count >= 68 else 5 if count >= 39 else 3 if count >= 7 else (count - 1) // 2
    p = (count - t) // 2
    q = p + t
    rounds = max(s + 1, count)
    for k in range(rounds):
        r1 = 1664525 * _mixed(out[k % count] ^ out[(k + p) % count] ^ out[(k - 1) % count])
        r2 = r1 + (s if k == 0 else k % count + words[k - 1] if k <= s else k % count)
        out[(k + p) % count] = out[(k + p) % count] + r1 & _MASK32
        out[(k + q) % count] = out[(k + q) % count] + r2 & _MASK32
        out[k % count] = r2 & _MASK32
    for k in range(rounds, rounds + count):
        r3 = 1566083941 * _mixed(out[k % count] + out[(k + p) % count] + out[(k - 1) % count] & _MASK32)
        r4 = r3 - k % count
        out[(k + p) % count] = (out[(k + p) % count] ^ r3) & _MASK32
        out[(k + q) % count] = (out[(k + q) % count] ^ r4) & _MASK32
        out[k % count] = r4 & _MASK32
    return out


def _mixed(x: int) -> int:
    return x ^ x >> 27
