"""What the commands on the staking contracts share: their options, and how they look, and act as an account."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from allium.base.console import out
from allium.errors import CommandError

if TYPE_CHECKING:
    from eth_typing import ChecksumAddress

    from allium.wallet.claim import SignatureClient
    from allium.wallet.steps import ContractReader, Steps

T = TypeVar("T")

Rpc = Annotated[
    list[str],
    typer.Option("--rpc", help="URL of an EVM node's JSON-RPC; may be repeated, and one that answers is used."),
]
Contracts = Annotated[Path, typer.Option(help="File with the addresses of the network's contracts.")]
KeyFile = Annotated[Path | None, typer.Option(help="File with the account's key, hex; else ALLIUM_WALLET_KEY has it.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Try everything out and send nothing.")]
Network = Annotated[Path, typer.Option(help="JSON file with the nodes of the network.")]
AskNode = Annotated[str, typer.Option("--node", metavar="KEY", help="Node to ask, by the start of its Ed25519 key.")]
Beneficiary = Annotated[str | None, typer.Option(metavar="ADDRESS", help="Who is paid the rewards, if not the staker.")]
ADDRESSES = Path("ADDRESSES.json")
NETWORK = Path("network.json")


@contextlib.contextmanager
def staking() -> Iterator[None]:
    """What goes wrong with contracts in words; without the optional packages they cannot be used at all."""
    from allium.staking import StakingError

    try:
        yield
    except StakingError as error:
        if error.option:
            raise
        raise CommandError(str(error)) from None
    except ModuleNotFoundError as error:
        raise CommandError(f"{error.name} is not installed; run: pip install 'allium[chain]'") from None


def viewing(rpc: Sequence[str], contracts: Path, work: Callable[[ContractReader], Awaitable[T]]) -> T:
    """Runs `work` on the contracts as they are."""
    import asyncio

    with staking():
        from allium.staking.addresses import Addresses
        from allium.staking.connection import connected
        from allium.wallet.steps import ContractReader

        if not contracts.exists():
            raise CommandError(f"{contracts} is not there; name the file of the network's contracts with --contracts")
        addresses = Addresses.load(contracts)

        async def run() -> T:
            async with connected(*rpc) as provider:
                view = ContractReader(provider, addresses)
                await view.check()
                return await work(view)

        return asyncio.run(run())


def stepping(
    rpc: Sequence[str], contracts: Path, key_file: Path | None, dry_run: bool, work: Callable[[Steps], Awaitable[T]]
) -> T:
    """Runs `work` as the account of a key."""
    with staking():
        from allium.wallet import payer
        from allium.wallet.sender import Sender
        from allium.wallet.steps import Steps

        account = payer.load(key_file)
        return viewing(rpc, contracts, lambda view: work(Steps(Sender(view.provider, account), view, say, dry_run)))


def asker(network: Path, start: str) -> SignatureClient:
    """Who is asked for the network's signatures."""
    with staking():
        from allium.client.direct import Node
        from allium.client.listing import usable
        from allium.wallet.claim import SignatureClient

        try:
            told = json.loads(network.read_bytes())
            nodes = usable(told["nodes"], Node.parse)
        except OSError as error:
            raise CommandError(f"{network} cannot be read: {error.strerror}; name one with --network") from None
        except (ValueError, KeyError, TypeError) as error:
            raise CommandError(f"{network} is no list of nodes ({error}); name one with --network") from None
        return SignatureClient.of([node for node in nodes if node.omq_port], start)


def address(text: str) -> ChecksumAddress:
    """An account of the EVM chain."""
    from eth_utils.address import is_address, to_checksum_address

    if not is_address(text):
        raise CommandError(f"{text} is no address: 0x and 40 hex digits")
    return to_checksum_address(text)


def amount(text: str) -> int:
    """SESH in atomic units."""
    from allium.wallet.steps import atomic

    with staking():
        return atomic(text)


def say(text: str) -> None:
    """Tells the person what was done."""
    out.report(text, markup=False)
