"""Where the contracts are and how they are called: `/contract/…` (`spec/portal` §4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from allium.portal.epoch import members
from allium.portal.pots import Pot
from allium.portal.prepared import Told
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
        abis = {name: abi.load(name) for name in abi.CONTRACTS}
        self._told: dict[tuple[str, ...], Told] = {
            ("names",): Told.of(members(names=list(abis))),
            ("abis",): Told.prepared(members(abis=abis)),
            ("addresses", "core"): Told.of(members(addresses=self._core)),
            **{
                ("abi", name): Told.prepared(members(contract={"name": name, "abi": entries}))
                for name, entries in abis.items()
            },
            **{("address", name): Told.of(members(address=place)) for name, place in self._core.items()},
        }

    def told(self, parts: Sequence[str], pots: Mapping[str, Pot]) -> Told | None:
        """The members of an answer; `None` for what does not exist."""
        if list(parts) == ["addresses"]:
            return Told.of(members(addresses={**self._core, "ServiceNodeContribution": list(pots)}))
        return self._told.get(tuple(parts))
