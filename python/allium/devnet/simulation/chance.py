"""Chance that can be asked in any order: a number for each question, the same in every run of one seed.

With it nothing has to be drawn for what nobody looks at, such as whether one of 100,000 nodes heard another's proof.
"""

from __future__ import annotations

from math import cos, exp, log, pi, sqrt

_MASK = (1 << 64) - 1
_SCALE = 2.0**-53


class Chance:
    """Numbers by question; questions are whole numbers."""

    def __init__(self, seed: int) -> None:
        self._seed = seed & _MASK

    def uniform(self, *question: int) -> float:
        """From 0 up to 1, which it never is."""
        x = self._seed
        for part in question:
            # The finaliser of splitmix64.
            x = (x + part + 1) * 0x9E3779B97F4A7C15 & _MASK
            x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & _MASK
            x = (x ^ x >> 27) * 0x94D049BB133111EB & _MASK
            x ^= x >> 31
        return (x >> 11) * _SCALE

    def exponential(self, mean: float, *question: int) -> float:
        """A time until something that happens at random."""
        return -mean * log(1.0 - self.uniform(*question))

    def spread(self, median: float, sigma: float, *question: int) -> float:
        """Log-normal."""
        radius = sqrt(-2.0 * log(1.0 - self.uniform(*question, 0)))
        return median * exp(sigma * radius * cos(2.0 * pi * self.uniform(*question, 1)))
