"""The EVM side: the staking contracts, what clients know of them, and new networks."""

import contextlib
import sys

from allium.errors import Complaint


class StakingError(Complaint, RuntimeError):
    """What was to be done on the chain was not; the text says what to do about it."""


def _keep_recursion_bounded() -> None:
    """Loads a library of web3's that lifts the limit of recursion, here and now, to put the limit back.

    Without it, deeply nested JSON from outside ends the process and not the parser.
    """
    limit = sys.getrecursionlimit()
    with contextlib.suppress(ImportError):  # the extra `chain` is not installed
        import py_ecc  # noqa: F401
    sys.setrecursionlimit(limit)


_keep_recursion_bounded()
