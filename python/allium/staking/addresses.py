"""Where a network's contracts are: the file of their addresses."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from eth_typing import ChecksumAddress
from eth_utils.address import is_address, to_checksum_address

from allium.base import files
from allium.staking import StakingError


class AddressesError(StakingError):
    """The file of the addresses cannot be used; the text says what is wrong with it."""


@dataclass(frozen=True)
class Addresses:
    """Where a network's contracts are."""

    chain_id: int
    #: The first block that can hold an event of theirs.
    block: int
    token: ChecksumAddress
    pool: ChecksumAddress
    rewards: ChecksumAddress
    factory: ChecksumAddress
    #: The reference has none.
    splitter: ChecksumAddress | None = None

    def save(self, path: Path) -> None:
        """Writes the file that `load` reads."""
        files.replace(path, (json.dumps(asdict(self), indent=2) + "\n").encode(), 0o644)

    @classmethod
    def load(cls, path: Path) -> Addresses:
        """Reads a file of `save`'s; `AddressesError` says what is wrong with it."""
        try:
            told = json.loads(path.read_bytes())
            chain_id, block = told["chain_id"], told["block"]
            addresses = {name: told[name] for name in ("token", "pool", "rewards", "factory")}
            splitter = told.get("splitter")
        except OSError as error:
            raise AddressesError(f"{path} cannot be read: {error.strerror}; name the file with --contracts") from None
        except (ValueError, TypeError, AttributeError):
            raise AddressesError(f"{path} is no JSON object") from None
        except KeyError as error:
            raise AddressesError(f"{path} lacks {error}") from None
        for name, number in (("chain_id", chain_id), ("block", block)):
            if type(number) is not int or number < 0:
                raise AddressesError(f"{path}: {name} is no number")

        def checked(name: str, address: object) -> ChecksumAddress:
            if not isinstance(address, str) or not is_address(address):
                raise AddressesError(f"{path}: {name} is no address")
            return to_checksum_address(address)

        token, pool, rewards, factory = (checked(name, address) for name, address in addresses.items())
        return cls(
            chain_id, block, token, pool, rewards, factory, None if splitter is None else checked("splitter", splitter)
        )
