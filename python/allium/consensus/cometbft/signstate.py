"""What this node has signed last for CometBFT: the one record that keeps it from signing twice.

The file is the one that CometBFT keeps by itself when it holds the key, so that nothing is forgotten by whoever changes
over.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from pathlib import Path

from allium.base import files
from allium.errors import ConsensusError

#: In CometBFT's directory.
FILE = Path("data/priv_validator_state.json")


@dataclass(frozen=True, order=True)
class Point:
    """Where in the agreement something is signed; what is signed never goes back."""

    height: int = 0
    round: int = 0
    #: 1 a proposal, 2 a prevote, 3 a precommit; 0 before anything.
    step: int = 0


@dataclass(frozen=True)
class SignedVote:
    """The last signature."""

    point: Point = Point()
    #: What was signed, and the signature; nothing at first.
    message: bytes = b""
    signature: bytes = b""


def read(home: Path) -> SignedVote:
    """The record in CometBFT's directory; raises `ConsensusError` when there is none that can be relied on."""
    path = home / FILE
    try:
        told = json.loads(path.read_bytes())
        point = Point(int(told["height"]), int(told["round"]), int(told["step"]))
        signature = base64.b64decode(told.get("signature") or "", validate=True)
        return SignedVote(point, bytes.fromhex(told.get("signbytes") or ""), signature)
    except OSError as error:
        reason = error.strerror or "it cannot be read"
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        reason = "it is damaged"
    raise ConsensusError(
        f"{path}: {reason}. It says what this node has signed, without it the node could sign twice and be taken out; "
        f"restore it as it was when the node stopped"
    )


def write(home: Path, signed: SignedVote) -> None:
    """Makes `signed` the record. Durable on return."""
    path = home / FILE
    told = {
        "height": str(signed.point.height),
        "round": signed.point.round,
        "step": signed.point.step,
    }
    if signed.signature:
        told |= {"signature": base64.b64encode(signed.signature).decode(), "signbytes": signed.message.hex().upper()}
    files.replace(path, (json.dumps(told, indent=2) + "\n").encode(), 0o600)
