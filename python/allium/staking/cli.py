"""`allium node register|exit|liquidate` and `allium stake …`: what operators and contributors do with the contracts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from allium.console import err, out, staking
from allium.errors import CommandError

if TYPE_CHECKING:
    from eth_typing import ChecksumAddress

    from allium.rewards.claims import Asker
    from allium.staking.contribution import Pot
    from allium.staking.registration import Registration
    from allium.staking.steps import Steps, View

T = TypeVar("T")

stake_app = typer.Typer(help="Nodes with several contributors.", no_args_is_help=True)

Rpc = Annotated[str, typer.Option(help="URL of an EVM node's JSON-RPC.")]
Contracts = Annotated[Path, typer.Option(help="File with the addresses of the network's contracts.")]
KeyFile = Annotated[Path | None, typer.Option(help="File with the account's key, hex; else ALLIUM_WALLET_KEY has it.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Try everything out and send nothing.")]
Network = Annotated[Path, typer.Option(help="JSON file with the nodes of the network.")]
AskNode = Annotated[str, typer.Option("--node", metavar="KEY", help="Node to ask, by the start of its Ed25519 key.")]
Beneficiary = Annotated[str | None, typer.Option(metavar="ADDRESS", help="Who is paid the rewards, if not the staker.")]
ADDRESSES = Path("ADDRESSES.json")
NETWORK = Path("network.json")

_RegistrationFile = Annotated[Path, typer.Option("--registration", help="What `allium node register --json` printed.")]
_Pot = Annotated[str, typer.Argument(metavar="CONTRACT", help="Address of the node's contract.")]
_Node = Annotated[str, typer.Argument(metavar="NODE", help="Ed25519 key of the node, or the contract's number of it.")]


def viewing(rpc: str, contracts: Path, work: Callable[[View], Awaitable[T]]) -> T:
    """Runs `work` on the contracts as they are."""
    with staking():
        from allium.staking.deploy import Addresses
        from allium.staking.provider import connected
        from allium.staking.steps import View

        addresses = Addresses.load(contracts)

        async def run() -> T:
            async with connected(rpc) as provider:
                view = View(provider, addresses)
                await view.check()
                return await work(view)

        return asyncio.run(run())


def stepping(
    rpc: str, contracts: Path, key_file: Path | None, dry_run: bool, work: Callable[[Steps], Awaitable[T]]
) -> T:
    """Runs `work` as the account of a key."""
    with staking():
        from allium.staking import wallet
        from allium.staking.sender import Sender
        from allium.staking.steps import Steps

        account = wallet.load(key_file)
        return viewing(rpc, contracts, lambda view: work(Steps(Sender(view.provider, account), view, _say, dry_run)))


def asker(network: Path, start: str) -> Asker:
    """Who is asked for the network's signatures."""
    with staking():
        from allium.client.direct import Node
        from allium.client.listing import usable
        from allium.rewards.claims import Asker

        try:
            told = json.loads(network.read_bytes())
            nodes = usable(told["nodes"], Node.parse)
        except OSError as error:
            raise CommandError(f"{network} cannot be read: {error.strerror}; name one with --network") from None
        except (ValueError, KeyError, TypeError) as error:
            raise CommandError(f"{network} is no list of nodes: {error}") from None
        return Asker.of([node for node in nodes if node.omq_port], start)


def address(text: str) -> ChecksumAddress:
    """An account of the EVM chain."""
    from eth_utils.address import is_address, to_checksum_address

    if not is_address(text):
        raise CommandError(f"{text} is no address: 0x and 40 hex digits")
    return to_checksum_address(text)


def amount(text: str) -> int:
    """SESH in atomic units."""
    from allium.staking.steps import atomic

    with staking():
        return atomic(text)


def _say(text: str) -> None:
    out.report(text, markup=False)


def mount(node_app: typer.Typer) -> None:
    """Adds the commands that go with `allium node`."""
    node_app.command("register")(node_register)
    node_app.command("exit")(node_exit)
    node_app.command("liquidate")(node_liquidate)


# --- node


def node_register(
    operator: Annotated[str | None, typer.Argument(metavar="[OPERATOR]", help="Address of who will stake.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="The node's directory, which has its keys.")] = None,
    registration: Annotated[
        Path | None, typer.Option(help="What --json printed on the node, in place of its directory.")
    ] = None,
    contracts: Contracts = ADDRESSES,
    as_json: Annotated[bool, typer.Option("--json", help="Print the registration for --registration.")] = False,
    stake: Annotated[bool, typer.Option("--stake", help="Register it now, all of it from one account.")] = False,
    rpc: Annotated[str, typer.Option(help="URL of an EVM node's JSON-RPC, for --stake.")] = "",
    beneficiary: Beneficiary = None,
    key_file: KeyFile = None,
    dry_run: DryRun = False,
) -> None:
    """Sign a node's registration with its keys, which stay where they are; with --stake, stake for it alone.

    Several contributors: `allium stake open`.
    """
    with staking():
        made = _registration(operator, data_dir, registration, contracts)
        if not stake:
            _show_registration(made, as_json)
            return
        if not rpc:
            raise CommandError("--stake needs --rpc")
        from allium.staking.joining import join

        to = None if beneficiary is None else address(beneficiary)
        number = stepping(rpc, contracts, key_file, dry_run, lambda steps: join(steps, made, to))
    if number is not None:
        out.report(f"The contract took the node as number {number}. It is in the network when that is final.")


def node_exit(
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
    from allium.staking.steps import sesh

    async def work(steps: Steps) -> None:
        from allium.staking.leaving import exit_node, exit_unsigned, member

        found = await member(steps.view, node)
        left = await (exit_unsigned(steps, found) if unsigned else exit_node(asker(network, ask), steps, found))
        if left is not None:
            _say(f"Node {left.contract_id} has left; {sesh(left.returned)} SESH of stakes go back to who staked them.")

    stepping(rpc, contracts, key_file, dry_run, work)


def node_liquidate(
    node: _Node,
    rpc: Rpc,
    contracts: Contracts = ADDRESSES,
    network: Network = NETWORK,
    ask: AskNode = "",
    key_file: KeyFile = None,
    dry_run: DryRun = False,
) -> None:
    """Take a node out that the network removed long ago; the account is paid the liquidator's share."""
    from allium.staking.steps import sesh

    async def work(steps: Steps) -> None:
        from allium.staking.leaving import liquidate, member

        left = await liquidate(asker(network, ask), steps, await member(steps.view, node))
        if left is not None:
            _say(f"Node {left.contract_id} is out; {sesh(left.returned)} SESH of stakes go back to who staked them.")

    stepping(rpc, contracts, key_file, dry_run, work)


# --- stake


@stake_app.command("open")
def stake_open(
    rpc: Rpc,
    own: Annotated[str, typer.Option("--amount", metavar="SESH", help="What the operator stakes.")],
    registration: _RegistrationFile,
    contracts: Contracts = ADDRESSES,
    fee: Annotated[float, typer.Option(min=0, max=100, help="The operator's fee in percent, two decimals.")] = 0.0,
    reserve: Annotated[
        list[str] | None, typer.Option(metavar="ADDRESS=SESH", help="A place kept for somebody; may be repeated.")
    ] = None,
    manual: Annotated[bool, typer.Option("--manual", help="Register it by `allium stake finalize` only.")] = False,
    beneficiary: Beneficiary = None,
    key_file: KeyFile = None,
    dry_run: DryRun = False,
) -> None:
    """Open a node to several contributors, as its operator, with the operator's part."""

    async def work(steps: Steps) -> None:
        from allium.staking.contribution import contribute, deploy, look

        made = _read_registration(registration)
        part = amount(own)
        places = [_reservation(text) for text in reserve or []]
        reserved = [(steps.account, part), *places] if places else []
        pot = await deploy(steps, made, round(fee * 100), reserved, manual)
        if pot is None:
            _say(f"ServiceNodeContribution.contributeFunds: {own} SESH would follow")
            return
        _say(f"The node's contract is {pot}")
        to = None if beneficiary is None else address(beneficiary)
        opened = await look(steps.view, steps.view.addresses, pot)
        _show_pot(await contribute(steps, opened, part, to))

    stepping(rpc, contracts, key_file, dry_run, work)


@stake_app.command("show")
def stake_show(pot: _Pot, rpc: Rpc, contracts: Contracts = ADDRESSES) -> None:
    """Show who staked in a node's contract, what is missing, and how much a new contributor needs at least."""

    async def work(view: View) -> None:
        from allium.staking.contribution import look

        _show_pot(await look(view, view.addresses, address(pot)))

    viewing(rpc, contracts, work)


@stake_app.command("contribute")
def stake_contribute(
    pot: _Pot,
    part: Annotated[str, typer.Argument(metavar="SESH", help="How much.")],
    rpc: Rpc,
    contracts: Contracts = ADDRESSES,
    beneficiary: Beneficiary = None,
    key_file: KeyFile = None,
    dry_run: DryRun = False,
) -> None:
    """Stake a part of a node. Without --beneficiary a top-up makes you your own beneficiary again."""

    async def work(steps: Steps) -> None:
        from allium.staking.contribution import contribute, look

        found = await look(steps.view, steps.view.addresses, address(pot))
        to = None if beneficiary is None else address(beneficiary)
        _show_pot(await contribute(steps, found, amount(part), to))

    stepping(rpc, contracts, key_file, dry_run, work)


@stake_app.command("withdraw")
def stake_withdraw(
    pot: _Pot, rpc: Rpc, contracts: Contracts = ADDRESSES, key_file: KeyFile = None, dry_run: DryRun = False
) -> None:
    """Take back what you staked in a node that is not registered yet; the operator closes it for all."""

    async def work(steps: Steps) -> None:
        from allium.staking.contribution import look, withdraw
        from allium.staking.steps import sesh

        got = await withdraw(steps, await look(steps.view, steps.view.addresses, address(pot)))
        if not steps.dry_run:
            _say(f"{sesh(got)} SESH are back")

    stepping(rpc, contracts, key_file, dry_run, work)


@stake_app.command("finalize")
def stake_finalize(
    pot: _Pot, rpc: Rpc, contracts: Contracts = ADDRESSES, key_file: KeyFile = None, dry_run: DryRun = False
) -> None:
    """Register the node of a contract that is complete and was opened with --manual."""

    async def work(steps: Steps) -> None:
        from allium.staking.contribution import finalize, look

        await finalize(steps, await look(steps.view, steps.view.addresses, address(pot)))

    stepping(rpc, contracts, key_file, dry_run, work)


# --- helpers


def _registration(operator: str | None, data_dir: Path | None, file: Path | None, contracts: Path) -> Registration:
    from allium import keys
    from allium.staking import registration
    from allium.staking.deploy import Addresses

    if file is not None:
        return _read_registration(file)
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


def _read_registration(file: Path) -> Registration:
    from allium.staking.registration import Registration

    try:
        told = json.loads(file.read_bytes())
        made = Registration(
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


def _show_registration(made: Registration, as_json: bool) -> None:
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


def _reservation(text: str) -> tuple[ChecksumAddress, int]:
    who, separator, how_much = text.partition("=")
    if not separator:
        raise CommandError(f"{text} is no reservation: ADDRESS=SESH")
    return address(who), amount(how_much)


def _show_pot(pot: Pot) -> None:
    from allium.staking.steps import sesh

    out.print(f"status        {pot.status.text}")
    out.print(f"operator      {pot.operator}, fee {pot.fee / 100:g} %")
    missing = pot.requirement - pot.total - pot.reserved
    reserved = f", {sesh(pot.reserved)} reserved" if pot.reserved else ""
    out.print(f"staked        {sesh(pot.total)} of {sesh(pot.requirement)} SESH{reserved}, {sesh(missing)} missing")
    if missing:
        out.print(f"at least      {sesh(pot.minimum)} SESH for a new contributor")
    for who, part in pot.contributors:
        out.print(f"  {who}  {sesh(part)}")
