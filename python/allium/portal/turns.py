"""Turns with requests, which need the interpreter while answers are made in threads."""

from __future__ import annotations

import gc
import sys
import time

#: What is made in threads stops for so long every millisecond or so: requests wait for the interpreter no longer.
_SECONDS = 0.001


def pause() -> None:
    """Lets requests have the interpreter. For threads beside the loop."""
    time.sleep(_SECONDS)


def settle() -> None:
    """Lets requests wait for nothing long: the interpreter changes hands soon, and garbage is looked for in little.

    To be called when all that stays is there: it is looked at no more.
    """
    sys.setswitchinterval(_SECONDS)
    gc.collect()
    gc.freeze()
