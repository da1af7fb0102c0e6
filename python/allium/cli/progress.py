"""The events of a devnet's start, in words."""

from __future__ import annotations

from typing import assert_never

from allium.devnet import progress


def words(event: progress.Event) -> str:
    """One line."""
    match event:
        case progress.MakingKeys():
            return "making keys"
        case progress.ReadingContracts():
            return "reading the contracts"
        case progress.ContractDeployed(transaction):
            return f"deploying {transaction}"
        case progress.NodesStaked(done, total):
            return f"{done} of {total} nodes staked for"
        case progress.AwaitingFinality():
            return "waiting until the stakes are final"
        case progress.NodeUp(index):
            return f"node {index} is up"
        case progress.SeedUp():
            return "seed is up"
        case progress.FilesUp():
            return "file server is up"
        case progress.OpeningContracts():
            return "opening contracts that collect stakes"
        case progress.PortalUp():
            return "portal is up"
        case progress.AwaitingSwarms():
            return "waiting for the swarms"
        case _:
            assert_never(event)
