"""The `allium` command, put together. Each command imports what it needs when it runs, so that `--help` is quick."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import traceback
from typing import Annotated

import typer

import allium
from allium.base import complaint
from allium.base.console import ClosedError, accept_any_text, err, out, settle
from allium.base.urls import redacted
from allium.cli import (
    account,
    chain,
    contracts,
    demo,
    devnet,
    files,
    messages,
    node,
    operate,
    registration,
    rewards,
    rpc,
    simulate,
    stake,
    store,
    takeover,
)

app = typer.Typer(
    name="allium",
    help="A Session Network node, a client, and whole networks on one machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_node = typer.Typer(help="Run a node.", no_args_is_help=True)
# What has no name adds its commands to those beside it. They are listed in this order.
for _commands in (registration.app, node.app):
    _node.add_typer(_commands)
for _commands in (operate.app, messages.app, rpc.app, demo.app):
    app.add_typer(_commands)
app.add_typer(_node, name="node")
app.add_typer(devnet.app, name="devnet")
app.add_typer(account.app, name="account")
app.add_typer(contracts.app, name="contracts")
app.add_typer(store.app, name="store")
app.add_typer(files.app, name="files")
app.add_typer(takeover.app)
app.add_typer(chain.app, name="chain")
app.add_typer(rewards.app, name="rewards")
app.add_typer(simulate.app, name="simulate")
app.add_typer(stake.app, name="stake")

#: Whether `--debug` was given.
_debug = False


def main(arguments: list[str]) -> int:
    """Runs one command and returns its exit code. Whatever is raised in it ends here, as a sentence."""
    accept_any_text()
    # It would tell of what nobody awaits any more, where in the program that was.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    if threading.current_thread() is threading.main_thread():
        # What a command has begun is undone on its way out, as after Ctrl-C.
        signal.signal(signal.SIGTERM, _terminated)
    try:
        if arguments[:2] == ["node", "run"]:
            arguments = _without_obsolete(arguments)
        app(args=arguments, standalone_mode=True)
        sys.stdout.flush()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except ClosedError as error:
        return error.exit_code
    except BaseException as error:  # a panic of the engine is no `Exception`
        if _debug:
            err.print(redacted("".join(traceback.format_exception(error))), markup=False)
        settle()
        text, code = complaint.sentence(error)
        err.print(f"error: {text}", markup=False)
        return code
    return 0


def _without_obsolete(arguments: list[str]) -> list[str]:
    """What a unit file of the reference's may still have is no reason not to start."""
    from allium.takeover import storage_server_options

    kept, obsolete = storage_server_options.without_obsolete(arguments)
    if obsolete:
        err.print(storage_server_options.passed_over("the command line", obsolete), markup=False)
    return kept


def _terminated(number: int, _: object) -> None:
    sys.exit(128 + number)


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"allium {allium.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Where a command fails, show also where in the program.")
    ] = False,
) -> None:
    global _debug
    _debug = debug
