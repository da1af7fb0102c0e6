"""What a command is to ask is something else: a sentence that names the option, and nothing of a URL's key."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from allium.base import complaint
from allium.cli import main as cli
from allium.cli.app import app
from allium.client import Account, pool
from allium.devnet import anvil
from allium.errors import Complaint
from allium.files import postgres
from allium.portal import sql, verify
from allium.staking import connection
from allium.staking.addresses import Addresses
from allium.wallet import portal
from tests.support.misbehaving import KEY, Behaviour, body, endless, hanging, raw, serving

SOMEWHERE = "0x" + "11" * 20
_PAGE = b"<!DOCTYPE html><html><title>Welcome</title></html>"
#: What a server of TLS says to a question in plain text: an alert.
_ALERT = bytes.fromhex("15030100020246")
#: What a person does not know: names of classes of Python's, and of the libraries.
_CLASSES = re.compile(r"[A-Z]\w*(Error|Exception|Timeout|Mismatch|Disconnected)\b|\bClient[A-Z]|Errno|\bssl:|\bSSL\b")
_REMEDY = re.compile(r"\b(look|name|use|try|give|run)\b")


def _json(value: Any) -> Behaviour:
    return body(json.dumps(value).encode())


#: How a server answers; whether it does so before it was asked.
WAYS: dict[str, tuple[Behaviour, bool]] = {
    "plain text": (raw(b"SSH-2.0-OpenSSH_9.9\r\n"), False),
    "plain text at once": (raw(b"220 mail.example ESMTP\r\n"), True),
    "a page": (body(_PAGE), False),
    "TLS": (raw(_ALERT), False),
    "500": (body(b"oops", 500), False),
    "404": (body(_PAGE, 404), False),
    "no body": (body(b""), False),
    "no answer": (raw(b""), False),
    "half a head": (raw(b"HTTP/1.1 200 O"), False),
    "half an answer": (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"), False),
    "garbage": (body(b'{"result": {"service_node_states": [\xff'), False),
    "a list": (_json([]), False),
    "a truth": (_json({"jsonrpc": "2.0", "id": 0, "result": True}), False),
    "no nodes": (_json({"jsonrpc": "2.0", "id": 0, "result": {"service_node_states": [None, 7, {}]}}), False),
    "a tree": (_json({"result": {"a": [{}]}, "error": {"message": [f"http://x/{KEY}"]}}), False),
    "endless": (endless(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 65536), False),
    "a loop": (body(b"", 302, "Location: /"), False),
    "nothing": (hanging, True),
}


class _Place:
    """Files that commands need."""

    def __init__(self, directory: Path) -> None:
        self.contracts, self.account = directory / "ADDRESSES.json", directory / "account"
        self.registration, self.directory = directory / "registration.json", directory
        Addresses(anvil.CHAIN_ID, 1, *[anvil.account(index).address for index in range(4)]).save(self.contracts)
        self.account.write_text(Account.new().phrase)
        made = {"ed25519": "11" * 32, "bls": "11" * 64, "signature": "11" * 64, "possession": "11" * 128}
        self.registration.write_text(json.dumps({"operator": SOMEWHERE, **made}))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Place:
    monkeypatch.setenv("ALLIUM_WALLET_KEY", anvil.account(0).key.hex())
    # A person waits longer; and seeds are tried again.
    monkeypatch.setattr(pool, "SEED_ATTEMPTS", 1)
    monkeypatch.setattr(pool, "SEED_TIMEOUT", 1.0)
    monkeypatch.setattr(connection, "_PERSON_SECONDS", 1.0)
    monkeypatch.setattr(portal, "_SECONDS", 1.0)
    monkeypatch.setattr(verify, "_SECONDS", 1.0)
    return _Place(tmp_path)


#: A command of each kind, by the option that names what it asks.
COMMANDS: dict[str, Callable[[_Place, str], list[str]]] = {
    "--seed of rpc": lambda at, url: ["rpc", "info", "--seed", url, "--timeout", "1"],
    "--seed of send": lambda at, url: ["send", "05" + "11" * 32, "hi", "--seed", url, "--account", str(at.account)],
    "--seed of profile": lambda at, url: ["profile", "--seed", url, "--account", str(at.account)],
    "--rpc of stake": lambda at, url: ["stake", "show", SOMEWHERE, "--rpc", url, "--contracts", str(at.contracts)],
    "--rpc of deploy": lambda at, url: ["contracts", "deploy", "--rpc", url, "--out", str(at.directory / "out")],
    "--rpc of dashboard": lambda at, url: ["dashboard", "--data-dir", str(at.directory), "--rpc", url],
    "--portal of register": lambda at, url: (
        ["node", "register", "--registration", str(at.registration), "--portal", url]
    ),
    "URL of verify": lambda at, url: ["portal", "verify", url],
}


@pytest.fixture
def told(place: _Place, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[str, str], str]]:
    """Runs a command over a URL; what it says."""

    def run(command: str, url: str) -> str:
        capsys.readouterr()
        code = cli.main(COMMANDS[command](place, url))
        said = capsys.readouterr()
        assert code in (1, 2), (code, said)
        err, option = said.err, command.partition(" ")[0]
        assert option in err and err.count("\n") == 1 and err.strip().isprintable() and len(err) < 700, err
        assert not _CLASSES.search(err) and KEY not in err and "pass" not in err, err
        assert _REMEDY.search(err), err
        return err

    yield run


@pytest.mark.parametrize("command", COMMANDS)
def test_a_server_that_is_something_else(command: str, told: Callable[[str, str], str]) -> None:
    for behaviour, at_once in WAYS.values():
        with serving(behaviour, at_once) as server:
            told(command, server.url)


#: Options and arguments of all commands that name something elsewhere, and where that is tried out.
ELSEWHERE = {
    "--seed": "here",
    "--rpc": "here",
    "--portal": "here",
    "URL": "here",
    "--file-server": "over nodes, tests/client/test_session_commands.py",
    "--push-server": "by browsers, tests/messenger",
    "--gif-provider": "by the page, tests/messenger/test_gifs.py",
    "--oxend": "by a portal that runs, tests/portal/test_state_source.py",
    "--oxend-rpc": "by a node that runs, tests/swarm/test_oxend.py",
    "--backend": "by a page: nobody is asked",
    "--wallet-rpc": "by a page: nobody is asked",
    "--explorer": "by a page: nobody is asked",
    "--public-url": "a name: nobody is asked",
    "--webpush-contact": "a name: nobody is asked",
    "URL#KEY": "a name: nobody is asked",
    "LINK": "for the page",
    "ADDRESS[:PORT]": "of this machine",
}


def _options(command: Any, name: str = "allium") -> Iterator[tuple[str, Any]]:
    if hasattr(command, "list_commands"):
        for each in command.list_commands(None):
            yield from _options(command.get_command(None, each), f"{name} {each}")
    for option in command.params:
        yield name, option


def test_every_option_that_names_something_elsewhere_is_known() -> None:
    found = {}
    for command, option in _options(typer.main.get_command(app)):
        names = [*option.opts, str(option.metavar), str(option.name).upper()]
        if re.search(r"://|\b(Provider|LINK)\b|\bURL\b(?!'s)", f"{names} {getattr(option, 'help', '')}"):
            found[command, option.name] = names
    assert len(found) > 40
    unknown = {name: names for name, names in found.items() if not any(each.strip("[]") in ELSEWHERE for each in names)}
    assert not unknown


@pytest.mark.parametrize("command", COMMANDS)
def test_a_place_where_nothing_is(command: str, told: Callable[[str, str], str]) -> None:
    assert "nothing listens" in told(command, f"http://user:pass-{KEY}@127.0.0.1:1/v3/{KEY}")
    assert "name is not known" in told(command, f"https://user:pass-{KEY}@nowhere.invalid/v3/{KEY}")
    with serving(body(b"plain HTTP", 400), at_once=True) as server:
        assert "TLS" in told(command, server.url.replace("http:", "https:"))


@pytest.mark.parametrize("kind", ["index", "database_url"])
def test_a_database_that_is_something_else(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "_PATIENCE", 1.0)
    monkeypatch.setattr(postgres, "_PATIENCE", 1.0)

    def refusal(url: str) -> str:
        with pytest.raises(Complaint) as told:
            if kind == "index":
                asyncio.run(postgres.PostgresIndex.open(url))
            else:
                sql.PostgresDatabase(url)
        text = complaint.sentence(told.value).text
        assert f"the database of {kind} " in text and not _CLASSES.search(text) and KEY not in text, text
        assert _REMEDY.search(text), text
        return text

    for name in ("plain text at once", "a page", "TLS", "no answer", "nothing"):
        behaviour, _ = WAYS[name]
        with serving(behaviour, at_once=True) as server:
            refusal(f"postgresql://user:pass-{KEY}@{server.place}/x")
    assert "nothing listens" in refusal(f"postgresql://user:pass-{KEY}@127.0.0.1:1/x")
    assert "name is not known" in refusal(f"postgresql://user:pass-{KEY}@nowhere.invalid/x")
