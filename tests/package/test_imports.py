"""What a command imports: its own module, and nothing that only others need.

Nobody waits for `--version`, and scripts run `status` every minute. What the time of a start goes to is asserted here,
not the time, which is the machine's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from allium.cli import app, node
from allium.cli.lazy import LazyGroup
from allium.client import Account

#: Packages that take long to load, and of which only some commands need one.
HEAVY = frozenset(
    {"Cryptodome", "aiohttp", "asyncio", "cryptography", "eth_account", "google", "logging", "matplotlib", "nacl"}
    | {"pydantic", "pydantic_settings", "pygments", "rich", "structlog", "typer", "uvicorn", "uvloop", "vyper", "web3"}
    | {"zmq"}
)
#: Those of which a command may load what it names, and no other.
PARSER = frozenset({"logging", "typer"})
SHOWN = frozenset({"pygments", "rich"})
CLIENT = frozenset({"asyncio", "google", "nacl"})
#: Packages of `allium` that only nodes need, and whoever looks after them.
NODES = frozenset(
    {"appchain", "claims", "consensus", "liveness", "membership", "node", "operate", "settings", "staking", "wallet"}
)
NOWHERE = "http://127.0.0.1:9"
RECIPIENT = "05" + "00" * 32


#: Runs a command as `python -m allium` does, and says what it has imported.
PROGRAM = """
import sys
from allium.__main__ import main
code = main()
sys.stderr.write(" ".join(["", "imported:", *sys.modules]))
sys.exit(code)
"""


def imported(*arguments: str, code: int = 0) -> list[str]:
    """The modules that a command imports, the standard library's included, in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "TTY_COMPATIBLE")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr.rpartition(" imported: ")[2].split()


def heavy(modules: list[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules} & HEAVY


def command_modules(modules: list[str]) -> set[str]:
    """The modules of `allium.cli` among them, but for those that every command needs."""
    found = {module.removeprefix("allium.cli.") for module in modules if module.startswith("allium.cli.")}
    return found - {"main", "app", "lazy", "values"}


def test_the_version_needs_no_parser() -> None:
    modules = imported("--version")
    assert not heavy(modules)
    assert command_modules(modules) == {"version"}
    assert len(modules) < 160


def test_the_help_needs_nothing_that_commands_need() -> None:
    modules = imported("--help")
    assert heavy(modules) <= PARSER | SHOWN
    assert len(modules) < 410


@pytest.mark.parametrize(
    ("command", "code", "own", "needed", "most"),
    [
        ("devnet status --dir {empty}", 1, "devnet", PARSER, 225),
        ("devnet down --dir {empty}", 1, "devnet", PARSER, 225),
        ("node init --data-dir {new}", 0, "node", PARSER | {"nacl"}, 250),
        ("node run a b c", 1, "node", PARSER | {"asyncio", "nacl", "uvloop"}, 345),
        ("store stats --data-dir {empty}", 1, "store", PARSER, 195),
        ("account show --account {account}", 0, "account", PARSER | {"nacl"}, 235),
        ("send zz text --seed {seed} --account {empty}/none", 1, "account messages places", PARSER | CLIENT, 350),
        ("rpc info --seed {seed} --transport none", 1, "account places rpc", PARSER | CLIENT, 295),
        ("status --data-dir {empty} --json", 3, "operate", PARSER, 240),
        ("contracts deploy --rpc {seed} --out {account}", 1, "contracts onchain", PARSER, 195),
        ("simulate --nodes 1", 2, "simulate", PARSER | SHOWN | {"pydantic"}, 500),
    ],
)
def test_a_command_imports_what_it_needs(
    command: str, code: int, own: str, needed: frozenset[str], most: int, tmp_path: Path
) -> None:
    account = tmp_path / "account"
    account.write_text(Account.new().phrase)
    empty = tmp_path / "empty"
    empty.mkdir()
    places = {"empty": empty, "account": account, "new": tmp_path / "new", "seed": NOWHERE}
    modules = imported(*(word.format_map(places) for word in command.split()), code=code)
    assert command_modules(modules) == set(own.split())
    assert heavy(modules) <= needed
    assert len(modules) < most


def test_a_message_needs_one_way_to_other_machines(tmp_path: Path) -> None:
    account = tmp_path / "account"
    account.write_text(Account.new().phrase)
    modules = imported("send", RECIPIENT, "text", "--seed", NOWHERE, "--account", str(account), code=1)
    assert heavy(modules) <= PARSER | CLIENT | {"aiohttp"}
    assert not {module.split(".")[1] for module in modules if module.startswith("allium.")} & NODES
    assert len(modules) < 480


def test_every_command_is_where_the_table_says() -> None:
    for group in map(typer.main.get_group, (app.app, node.app)):
        assert isinstance(group, LazyGroup) and group.modules
        for name, module in group.modules.items():
            command = group.get_command(None, name)
            assert command is not None and command.name == name and command.help, module
        assert group.get_command(None, "none") is None
