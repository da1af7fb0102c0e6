"""`std::sort` of libstdc++, which is not stable: among equals, its order is what nodes agree on (`spec/swarms` §2.4).

Written from the description of the algorithm (introsort with a median-of-three pivot, then one insertion sort).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_THRESHOLD = 16


def std_sort(items: list[T], key: Callable[[T], int]) -> list[T]:
    """`items`, ascending by `key`, in a new list."""
    keys = [key(item) for item in items]
    order = list(range(len(items)))
    _Sorter(keys, order).sort()
    return [items[index] for index in order]


class _Sorter:
    """Sorts `order`, a permutation, by what `keys` hold for its elements."""

    def __init__(self, keys: list[int], order: list[int]) -> None:
        self._keys, self._order = keys, order

    def sort(self) -> None:
        count = len(self._order)
        if count < 2:
            return
        self._introsort(0, count, 2 * (count.bit_length() - 1))
        if count > _THRESHOLD:
            self._insertion(0, _THRESHOLD)
            for index in range(_THRESHOLD, count):
                self._insert(index)
        else:
            self._insertion(0, count)

    def _introsort(self, first: int, last: int, depth: int) -> None:
        while last - first > _THRESHOLD:
            if depth == 0:
                self._heapsort(first, last)
                return
            depth -= 1
            cut = self._partition(first, last)
            self._introsort(cut, last, depth)
            last = cut

    def _partition(self, first: int, last: int) -> int:
        keys, order = self._keys, self._order
        self._median_to_first(first, first + 1, first + (last - first) // 2, last - 1)
        pivot = keys[order[first]]
        low, high = first + 1, last
        while True:
            while keys[order[low]] < pivot:
                low += 1
            high -= 1
            while pivot < keys[order[high]]:
                high -= 1
            if low >= high:
                return low
            order[low], order[high] = order[high], order[low]
            low += 1

    def _median_to_first(self, first: int, a: int, b: int, c: int) -> None:
        order = self._order
        at_a, at_b, at_c = (self._keys[order[place]] for place in (a, b, c))
        if at_a < at_b:
            median = b if at_b < at_c else c if at_a < at_c else a
        else:
            median = a if at_a < at_c else c if at_b < at_c else b
        order[first], order[median] = order[median], order[first]

    def _insertion(self, first: int, last: int) -> None:
        order, keys = self._order, self._keys
        for index in range(first + 1, last):
            if keys[order[index]] < keys[order[first]]:
                order.insert(first, order.pop(index))
            else:
                self._insert(index)

    def _insert(self, index: int) -> None:
        """Moves the element at `index` down past all that are greater. One that is not greater must be there."""
        order, keys = self._order, self._keys
        moving = order[index]
        value = keys[moving]
        while value < keys[order[index - 1]]:
            order[index] = order[index - 1]
            index -= 1
        order[index] = moving

    def _heapsort(self, first: int, last: int) -> None:
        order, count = self._order, last - first
        for parent in range((count - 2) // 2, -1, -1):
            self._sift(first, parent, count, order[first + parent])
        for end in range(count - 1, 0, -1):
            moving = order[first + end]
            order[first + end] = order[first]
            self._sift(first, 0, end, moving)

    def _sift(self, first: int, hole: int, count: int, moving: int) -> None:
        """Lets the hole sink to a leaf, then `moving` rise from there."""
        order, keys, top = self._order, self._keys, hole
        child = hole
        while child < (count - 1) // 2:
            child = 2 * (child + 1)
            if keys[order[first + child]] < keys[order[first + child - 1]]:
                child -= 1
            order[first + hole] = order[first + child]
            hole = child
        if count % 2 == 0 and child == (count - 2) // 2:
            child = 2 * (child + 1)
            order[first + hole] = order[first + child - 1]
            hole = child - 1
        parent = (hole - 1) // 2
        while hole > top and keys[order[first + parent]] < keys[moving]:
            order[first + hole] = order[first + parent]
            hole = parent
            parent = (hole - 1) // 2
        order[first + hole] = moving
