"""`allium node register|exit|liquidate`: how an operator's node joins the contracts, and how it leaves them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allium.base.console import err, out
from allium.cli.onchain import (
    ADDRESSES,
    NETWORK,
    AskNode,
    Beneficiary,
    Contracts,
    DryRun,
    KeyFile,
    Network,
    Rpc,
    address,
    asker,
    say,
    staking,
    stepping,
)
from allium.errors import CommandError

if TYPE_CHECKING:
    from allium.wallet.registration import SignedRegistration
    from allium.wallet.steps import Steps

app = typer.Typer()

_Node = Annotated[str, typer.Argument(metavar="NODE", help="Ed25519 key of the node, or the contract's number of it.")]


@app.command("register")
def register(
    operator: Annotated[str | None, typer.Argument(metavar="[OPERATOR]", help="Address of who will stake.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="The node's directory, which has its keys.")] = None,
    registration: Annotated[
        Path | None, typer.Option(help="What --json printed on the node, in place of its directory.")
    ] = None,
    contracts: Contracts = ADDRESSES,
    as_json: Annotated[bool, typer.Option("--json", help="Print the registration for --registration.")] = False,
    portal: Annotated[
        str | None, typer.Option(metavar="URL", help="Hand it to this portal, where the operator goes on in a browser.")
    ] = None,
    stake: Annotated[bool, typer.Option("--stake", help="Register it now, all of it from one account.")] = False,
    rpc: Annotated[
        list[str] | None, typer.Option(help="URL of an EVM node's JSON-RPC, for --stake; may be repeated.")
    ] = None,
    beneficiary: Beneficiary = None,
    key_file: KeyFile = None,
    dry_run: DryRun = False,
) -> None:
    """Sign a node's registration with its keys, which stay where they are; with --stake, stake for it alone.

    Several contributors: `allium stake open`.
    """
    with staking():
        made = _registration(operator, data_dir, registration, contracts)
        if portal is not None:
            import asyncio

            from allium.staking import StakingError
            from allium.wallet.portal import post

            try:
                out.report(f"Go on at {asyncio.run(post(portal, made))}", markup=False)
            except StakingError as error:
                raise CommandError(f"--portal: {error}") from None
        if portal is not None and not stake:
            return
        if not stake:
            _show_registration(made, as_json)
            return
        if not rpc:
            raise CommandError("--stake needs --rpc")
        from allium.wallet.joining import join

        to = None if beneficiary is None else address(beneficiary)
        number = stepping(rpc, contracts, key_file, dry_run, lambda steps: join(steps, made, to))
    if number is not None:
        out.report(f"The contract took the node as number {number}. It is in the network when that is final.")


@app.command("exit")
def leave(
    node: _Node,
    rpc: Rpc,
    contracts: Contracts = ADDRESSES,
    network: Network = NETWORK,
    ask: AskNode = "",
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="Without the network, which cannot sign: 30 days after the request.")
    ] = False,
    key_file: KeyFile = None,
    dry_run: DryRun = False,
) -> None:
    """Take a node out: the first time it asks the network, after the unlock it takes the stakes out of the contract.

    Any contributor may ask; anybody may take out a node that the network has let go.
    """
    from allium.wallet.steps import sesh

    async def work(steps: Steps) -> None:
        from allium.wallet.leaving import exit_node, exit_unsigned, member

        found = await member(steps.view, node)
        left = await (exit_unsigned(steps, found) if unsigned else exit_node(asker(network, ask), steps, found))
        if left is not None:
            say(f"Node {left.contract_id} has left; {sesh(left.returned)} SESH of stakes go back to who staked them.")

    stepping(rpc, contracts, key_file, dry_run, work)


@app.command("liquidate")
def liquidate(
    node: _Node,
    rpc: Rpc,
    contracts: Contracts = ADDRESSES,
    network: Network = NETWORK,
    ask: AskNode = "",
    key_file: KeyFile = None,
    dry_run: DryRun = False,
) -> None:
    """Take a node out that the network removed long ago; the account is paid the liquidator's share."""
    from allium.wallet.steps import sesh

    async def work(steps: Steps) -> None:
        from allium.wallet.leaving import liquidate, member

        left = await liquidate(asker(network, ask), steps, await member(steps.view, node))
        if left is not None:
            say(f"Node {left.contract_id} is out; {sesh(left.returned)} SESH of stakes go back to who staked them.")

    stepping(rpc, contracts, key_file, dry_run, work)


def _registration(
    operator: str | None, data_dir: Path | None, file: Path | None, contracts: Path
) -> SignedRegistration:
    from allium.settings import keys
    from allium.staking.addresses import Addresses
    from allium.wallet import registration

    if file is not None:
        return read_registration(file)
    if operator is None or data_dir is None:
        raise CommandError("name OPERATOR and --data-dir on the node, or --registration elsewhere")
    addresses = Addresses.load(contracts)
    try:
        node_keys = keys.load(data_dir)
        if keys.has_bls(data_dir):
            secret = keys.load_bls(data_dir)
        else:
            secret = keys.create_bls(data_dir)
            err.print(
                f"Made {data_dir / keys.BLS_FILE}. Back it up, and restart the node: it signs with it.", markup=False
            )
    except keys.KeyFileError as error:
        raise CommandError(str(error)) from None
    return registration.build(node_keys, secret, addresses, address(operator))


def read_registration(file: Path) -> SignedRegistration:
    """What `allium node register --json` printed; raises `CommandError`."""
    from allium.wallet.registration import SignedRegistration

    try:
        told = json.loads(file.read_bytes())
        made = SignedRegistration(
            operator=address(told["operator"]),
            **{name: bytes.fromhex(told[name]) for name in ("ed25519", "bls", "signature", "possession")},
        )
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise CommandError(f"{file} is no registration; `allium node register --json` prints one") from None
    if [len(made.ed25519), len(made.bls), len(made.signature), len(made.possession)] != [32, 64, 64, 128]:
        raise CommandError(f"{file} is damaged; make it anew with `allium node register --json`")
    return made


def _show_registration(made: SignedRegistration, as_json: bool) -> None:
    told = {name: value.hex() if isinstance(value, bytes) else value for name, value in asdict(made).items()}
    if as_json:
        out.print(json.dumps(told), markup=False)
        return
    names = {
        "ed25519": "ed25519_pubkey",
        "bls": "bls_pubkey",
        "signature": "ed25519_signature",
        "possession": "bls_signature",
        "operator": "operator_address",
    }
    for name, shown in names.items():
        out.print(f"{shown}: {told[name]}", markup=False)
