"""Where the contracts are and how they are called: `/contract/…` (`spec/portal` §4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from allium.portal.epoch import members
from allium.portal.pots import Pot
from allium.staking import abi
from allium.staking.addresses import Addresses


class ContractRegistry:
    """The contracts of one network."""

    def __init__(self, addresses: Addresses) -> None:
        self.addresses = addresses
        self._core = {
            "SESH": addresses.token,
            "RewardRatePool": addresses.pool,
            "ServiceNodeRewards": addresses.rewards,
            "ServiceNodeContributionFactory": addresses.factory,
        }
        if addresses.splitter is not None:
            self._core["FeeSplitter"] = addresses.splitter
        self._abis = {name: abi.load(name) for name in abi.CONTRACTS}

    def told(self, parts: Sequence[str], pots: Mapping[str, Pot]) -> bytes | None:
        """The members of an answer; `None` for what does not exist."""
        match parts:
            case ["names"]:
                return members(names=list(self._abis))
            case ["abis"]:
                return members(abis=self._abis)
            case ["abi", name] if name in self._abis:
                return members(contract={"name": name, "abi": self._abis[name]})
            case ["addresses"]:
                return members(addresses={**self._core, "ServiceNodeContribution": list(pots)})
            case ["addresses", "core"]:
                return members(addresses=self._core)
            case ["address", name] if name in self._core:
                return members(address=self._core[name])
        return None
