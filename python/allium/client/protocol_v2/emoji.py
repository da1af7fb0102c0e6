"""Emoji by which people compare what two devices have (`spec/protocol-v2` §6).

The table is that of the Matrix specification: client-server API, "SAS method: emoji".
"""

from __future__ import annotations

from typing import NamedTuple

_BITS = 6
_MOST = 128 // _BITS


class Emoji(NamedTuple):
    """One of the 64, and its English name in that table."""

    text: str
    name: str


_PLAIN = (
    "1F436 Dog, 1F431 Cat, 1F981 Lion, 1F40E Horse, 1F984 Unicorn, 1F437 Pig, 1F418 Elephant, 1F430 Rabbit, "
    "1F43C Panda, 1F413 Rooster, 1F427 Penguin, 1F422 Turtle, 1F41F Fish, 1F419 Octopus, 1F98B Butterfly, "
    "1F337 Flower, 1F333 Tree, 1F335 Cactus, 1F344 Mushroom, 1F30F Globe, 1F319 Moon, 2601+FE0F Cloud, "
    "1F525 Fire, 1F34C Banana, 1F34E Apple, 1F353 Strawberry, 1F33D Corn, 1F355 Pizza, 1F382 Cake, "
    "2764+FE0F Heart, 1F600 Smiley, 1F916 Robot, 1F3A9 Hat, 1F453 Glasses, 1F527 Spanner, 1F385 Santa, "
    "1F44D Thumbs Up, 2602+FE0F Umbrella, 231B Hourglass, 23F0 Clock, 1F381 Gift, 1F4A1 Light Bulb, "
    "1F4D5 Book, 270F+FE0F Pencil, 1F4CE Paperclip, 2702+FE0F Scissors, 1F512 Lock, 1F511 Key, 1F528 Hammer, "
    "260E+FE0F Telephone, 1F3C1 Flag, 1F682 Train, 1F6B2 Bicycle, 2708+FE0F Aeroplane, 1F680 Rocket, "
    "1F3C6 Trophy, 26BD Ball, 1F3B8 Guitar, 1F3BA Trumpet, 1F514 Bell, 2693 Anchor, 1F3A7 Headphones, "
    "1F4C1 Folder, 1F4CC Pin"
)


def _emoji(line: str) -> Emoji:
    points, _, name = line.partition(" ")
    return Emoji("".join(chr(int(point, 16)) for point in points.split("+")), name)


#: By index.
TABLE = tuple(map(_emoji, _PLAIN.split(", ")))


def indices(seed: bytes, count: int) -> list[int]:
    """The first `count` (at most 21) places in the table that a seed of 16 bytes stands for."""
    if len(seed) * 8 // _BITS != _MOST or not 0 <= count <= _MOST:
        raise ValueError(f"16 bytes are at most {_MOST} emoji")
    number = int.from_bytes(seed, "little")
    return [number >> _BITS * place & (len(TABLE) - 1) for place in range(count)]


def emoji(seed: bytes, count: int) -> list[Emoji]:
    """The same as emoji."""
    return [TABLE[index] for index in indices(seed, count)]
