"""What a node must not lose in CometBFT's directory: the record of what it signed, and the blocks its state is of.

Who forgets what it has signed may sign something else at the same height, which is what double voting is. So a record
that is missing is made only where nothing can have been signed yet.
"""

from __future__ import annotations

from pathlib import Path

from allium.base import files
from allium.consensus.cometbft import signstate
from allium.consensus.cometbft.signstate import Point, SignedVote
from allium.errors import ConsensusError

_BLOCKS = (Path("data/blockstore.db"), Path("data/state.db"))
#: The last round and step of a height there can be: with it nothing more is signed at that height.
_LAST_ROUND, _LAST_STEP = 2**31 - 1, 3


def check(home: Path, height: int, begun: bool, store: Path) -> None:
    """Raises `ConsensusError` for a directory that has lost a part of what it had.

    `height` is the node's own, kept in `store`; `begun` says whether it is beyond the chain's beginning.
    """
    record, kept = home / signstate.FILE, [path for path in _BLOCKS if (home / path).exists()]
    if (begun or kept) and not is_whole(home):
        what = "is damaged" if record.exists() else "is missing"
        upto = f" up to height {height}" if begun else ""
        number, which = ("", "") if begun else (" --height N", ", N being the network's height now")
        raise ConsensusError(
            f"{record} {what}, and this node has taken part{upto}: it could sign another block at a height where "
            f"it has signed one. Do not bring back an old copy: once no other process signs with this node's key, run "
            f"`allium chain skip{number}` with its --config{which}, and it signs again after the height under way"
        )
    if begun and len(kept) < len(_BLOCKS):
        raise ConsensusError(
            f"CometBFT's blocks in {home / 'data'} are gone, and this node's own state is at height {height}: move "
            f"{store} away as well, but leave {record.name}, and start again, to get the chain anew from the others"
        )


def is_whole(home: Path) -> bool:
    """Whether it is known what was signed."""
    try:
        signstate.read(home)
    except ConsensusError:
        return False
    return True


def skip(home: Path, height: int) -> None:
    """Makes the record that of a node that may have signed anything up to `height`, and signs nothing more there."""
    files.make_directory((home / signstate.FILE).parent)
    signstate.write(home, SignedVote(Point(height, _LAST_ROUND, _LAST_STEP)))
