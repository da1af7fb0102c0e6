"""`allium devices`: the devices of an account that share keys which soon change."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allium.base.console import err, out
from allium.base.text import printable
from allium.cli import session
from allium.cli.account import FILE, File
from allium.cli.places import Seed
from allium.cli.session import Json
from allium.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from allium.client.session import Session
    from allium.client.session.devices import DeviceGroup, DeviceRequest

app = typer.Typer(help="The account's devices, for messages whose keys are soon forgotten (protocol v2).")

_Id = Annotated[str, typer.Argument(metavar="DEVICE", help="The first digits of its id, as the list has it.")]
_Description = Annotated[str, typer.Option("--name", help="What to call this device, at most 64 bytes.")]
#: What people compare at first.
_SHOWN = 7
_LINK_SECONDS = 600.0
_YES = ("y", "yes")


@app.callback(invoke_without_command=True)
def devices(ctx: typer.Context, seed: Seed = [], file: File = FILE, as_json: Json = False) -> None:  # noqa: B006
    """Show the devices of the account's group, and those that ask to be linked."""
    if ctx.invoked_subcommand is not None:
        session.only_after(ctx, "seed", "file", "as_json")
        return
    if not seed:
        raise typer.BadParameter("name a seed node, or set ALLIUM_SEED", param_hint="'--seed'")
    show(seed, file, as_json)


@app.command("list")
def show(seed: Seed, file: File = FILE, as_json: Json = False) -> None:
    """Show the devices of the account's group, and those that ask to be linked."""
    _show(*session.used(file, seed, _seen), as_json)


@app.command()
def create(seed: Seed, file: File = FILE, name: _Description = "", as_json: Json = False) -> None:
    """Make a group of this device alone, on the account's first device, and publish keys.

    From then on only devices of the group can read what is sent to the account.
    """

    async def work(opened: Session) -> tuple[DeviceGroup, Sequence[DeviceRequest]]:
        await opened.devices.create(name)
        return await _seen(opened)

    _show(*session.used(file, seed, work, changes=True), as_json)


@app.command()
def link(seed: Seed, file: File = FILE, name: _Description = "", as_json: Json = False) -> None:
    """Have this device linked: it asks, and both show the same emoji; then accept it on a device of the group.

    Whether they are the same is read from standard input, `yes` or something else. Exit code 0: it is linked.
    """

    async def ask(opened: Session) -> DeviceRequest:
        return await opened.devices.link(name)

    request = session.used(file, seed, ask)
    if as_json:
        session.told(_request(request))
    else:
        out.report(f"device  {request.id}")
        out.report(f"emoji   {_emoji(request)}", markup=False)
        err.print("Does a device of the group show the same (`allium devices`)? yes or no:", markup=False)
    _answered()

    async def join(opened: Session) -> tuple[DeviceGroup, Sequence[DeviceRequest]]:
        await opened.devices.confirm(request)
        await _joined(opened)
        return await _seen(opened)

    _show(*session.used(file, seed, join, changes=True), as_json)


@app.command()
def accept(device: _Id, seed: Seed, file: File = FILE, as_json: Json = False) -> None:
    """Let a device in that asks to be linked, if it shows the same emoji.

    Whether they are the same is read from standard input, `yes` or something else.
    """

    async def find(opened: Session) -> DeviceRequest:
        found: DeviceRequest = _one(await opened.devices.requests(), device, "asks to be linked")
        return found

    request = session.used(file, seed, find)
    if as_json:
        session.told(_request(request))
    else:
        out.report(printable(f"device  {request.id}  {request.description}"), markup=False)
        out.report(f"emoji   {_emoji(request)}", markup=False)
        if request.replaces:
            err.print("It takes the place of a device that is in the group.")
        err.print("Does it show the same? yes or no:")
    _answered()

    async def work(opened: Session) -> tuple[DeviceGroup, Sequence[DeviceRequest]]:
        await opened.devices.accept(request.id)
        return await _seen(opened)

    _show(*session.used(file, seed, work, changes=True), as_json)


@app.command()
def remove(device: _Id, seed: Seed, file: File = FILE, as_json: Json = False) -> None:
    """Remove a device: it reads nothing that is sent from then on. This one leaves the group."""

    async def work(opened: Session) -> tuple[DeviceGroup, Sequence[DeviceRequest]]:
        found = _one(await opened.devices.list(), device, "is in the group")
        if found.is_this:
            await opened.devices.leave()
        else:
            await opened.devices.remove(found.id)
        return await _seen(opened)

    _show(*session.used(file, seed, work, changes=True), as_json)


async def _joined(opened: Session) -> None:
    """Returns when this device is in the group."""
    import asyncio

    from allium.client.session.device_state import Standing

    async def is_in() -> bool:
        return (await opened.devices.group()).standing is Standing.MEMBER

    events = opened.events()
    try:
        async with asyncio.timeout(_LINK_SECONDS):
            while not await is_in():
                await anext(events)
    except (TimeoutError, StopAsyncIteration):
        raise CommandError("no device of the group has accepted it; ask again") from None


def _answered() -> None:
    if sys.stdin is None or sys.stdin.readline(16).strip().lower() not in _YES:
        raise CommandError("then somebody else may be asking; nothing was done")


async def _seen(opened: Session) -> tuple[DeviceGroup, Sequence[DeviceRequest]]:
    return await opened.devices.group(), await opened.devices.requests()


def _one(listed: Sequence[Any], beginning: str, what: str) -> Any:
    found = [each for each in listed if beginning and each.id.startswith(beginning.lower())]
    if len(found) != 1:
        raise CommandError(f"{len(found) or 'no'} device whose id begins with {beginning[:64]!r} {what}")
    return found[0]


def _show(group: DeviceGroup, requests: Sequence[DeviceRequest], as_json: bool) -> None:
    if as_json:
        session.told(
            {
                "state": group.standing.value,
                "devices": [
                    {
                        "id": each.id,
                        "description": each.description,
                        "kind": each.kind,
                        "version": ".".join(map(str, each.version)),
                        "timestamp": each.timestamp,
                        "this": each.is_this,
                    }
                    for each in group.devices
                ],
                "requests": [_request(each) for each in requests],
                "other_groups": [each.hex() for each in group.groups],
            }
        )
        return
    out.report(f"this device: {group.standing.value}")
    for device in group.devices:
        mark = "  (this one)" if device.is_this else ""
        out.report(printable(f"{device.id}  {device.description}{mark}"), markup=False)
    for request in requests:
        out.report(printable(f"{request.id}  {request.description}  asks to be linked"), markup=False)
        out.report(f"  {_emoji(request)}", markup=False)
    if group.devices and group.groups:
        err.print("the account has another device group too: some device cannot read what this one does")


def _request(request: DeviceRequest) -> dict[str, Any]:
    return {
        "id": request.id,
        "description": request.description,
        "emoji": [{"text": each.text, "name": each.name} for each in request.emoji],
        "replaces": request.replaces,
    }


def _emoji(request: DeviceRequest) -> str:
    return "  ".join(f"{each.text} {each.name}" for each in request.emoji[:_SHOWN])
