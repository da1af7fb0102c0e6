"""What goes wrong reaches a person as a sentence that says what to do, with the right exit code."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from allium.base import complaint
from allium.settings.config import NodeConfig
from tests.support.command import NOBODY, allium, filled, root_only

if TYPE_CHECKING:
    from tests.support.node_process import Running


@pytest.mark.parametrize("path", ["~nosuchuser/account", "~nosuchuser"])
def test_a_home_directory_of_nobody(path: str) -> None:
    done = allium("account", "show", "--account", path)
    assert done.returncode == 78 and "no such user" in done.stderr and path in done.stderr


@root_only
def test_no_home_at_all() -> None:
    done = allium("account", "show", env={"HOME": None, "ALLIUM_ACCOUNT": None}, uid=54321)
    assert done.returncode == 78 and "HOME is not set" in done.stderr, done


@pytest.mark.parametrize("setting", ["data_dir", "network_file"])
def test_a_setting_with_a_home_directory_of_nobody(setting: str, tmp_path: Path) -> None:
    values = {"data_dir": ".", "network_file": "n.json", setting: "~nosuchuser/x"}
    file = tmp_path / "config.toml"
    # With a byte order mark, as some editors write it.
    file.write_text("\n".join(f'{name} = "{value}"' for name, value in values.items()), encoding="utf-8-sig")
    done = allium("node", "run", "--config", str(file))
    assert done.returncode == 78 and setting in done.stderr and "no such user" in done.stderr


def test_lists_in_variables_have_commas_or_are_json_or_empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALLIUM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("ALLIUM_NETWORK_FILE", "n.json")
    monkeypatch.setenv("ALLIUM_RATE_LIMIT_EXEMPT", "10.0.0.0/8, 192.0.2.0/24,")
    monkeypatch.setenv("ALLIUM_STATS_ACCESS_KEYS", f'["{"ab" * 32}"]')
    monkeypatch.setenv("ALLIUM_COMETBFT_SYNC", "")
    config = NodeConfig.load(None)
    assert [str(network) for network in config.rate_limit_exempt] == ["10.0.0.0/8", "192.0.2.0/24"]
    assert (config.stats_access_keys, config.cometbft_sync) == (["ab" * 32], [])


@pytest.mark.parametrize("value", ["[1", "nonsense", "10.0.0.0/8;10.1.0.0/16"])
def test_a_list_that_is_none_is_named(value: str, tmp_path: Path) -> None:
    variables = {"ALLIUM_DATA_DIR": str(tmp_path), "ALLIUM_NETWORK_FILE": "n.json", "ALLIUM_RATE_LIMIT_EXEMPT": value}
    done = allium("node", "run", env=variables)
    assert done.returncode == 78 and "ALLIUM_RATE_LIMIT_EXEMPT" in done.stderr


@pytest.mark.parametrize("command", [["store", "stats"], ["store", "verify"], ["store", "stats", "--json"]])
def test_output_that_nobody_takes(command: list[str], tmp_path: Path) -> None:
    where = str(filled(tmp_path / "store"))
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        gone = allium(*command, "--data-dir", where, stdout=closed)
    assert gone.returncode == 128 + signal.SIGPIPE and not gone.stderr
    with Path("/dev/full").open("wb") as full:
        unwritten = allium(*command, "--data-dir", where, stdout=full)
    assert unwritten.returncode == 1 and "standard output cannot be written" in unwritten.stderr


def test_what_was_done_is_done_though_nobody_can_be_told(tmp_path: Path) -> None:
    file = tmp_path / "account"
    with Path("/dev/full").open("wb") as full:
        made = allium("account", "new", "--account", str(file), stdout=full)
    assert made.returncode == 0 and "done" in made.stderr and len(file.read_text().split()) == 13
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        compacted = allium("store", "compact", "--data-dir", str(filled(tmp_path / "store")), stdout=closed)
    assert compacted.returncode == 0 and not compacted.stderr


def test_a_directory_that_was_deleted(tmp_path: Path) -> None:
    place = tmp_path / "gone"
    place.mkdir()

    def leave() -> None:
        os.chdir(place)
        place.rmdir()

    for command in (["account", "show", "--account", "x"], ["node", "run", "--config", "config.toml"]):
        place.mkdir(exist_ok=True)
        done = allium(*command, preexec_fn=leave)
        assert done.returncode in (1, 78) and done.stderr


@root_only
def test_a_file_of_somebody_else(tmp_path: Path) -> None:
    """The test's own directory is nobody else's either."""
    done = allium("account", "show", "--account", str(tmp_path / "account"), uid=NOBODY)
    assert done.returncode == 78 and "belongs to root" in done.stderr and "run it as root" in done.stderr, done
    assert "chown" not in done.stderr, "nobody should have the directories of others"


def test_the_limit_that_was_hit_is_named(tmp_path: Path) -> None:
    where = str(filled(tmp_path / "store"))

    def little() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))

    done = allium("store", "compact", "--data-dir", where, preexec_fn=little)
    assert done.returncode == 1 and "ulimit -v" in done.stderr and "os error" not in done.stderr
    for number, word in ((12, "ulimit -v"), (24, "ulimit -n"), (11, "ulimit -u")):
        told = complaint.sentence(OSError(f"the node: something went wrong (os error {number})"))
        assert word in told.text and "os error" not in told.text and told.text.startswith("the node: ")


def test_what_nobody_foresaw_is_a_sentence_and_shows_more_on_demand(tmp_path: Path) -> None:
    account = tmp_path / "account"
    allium("account", "new", "--account", str(account))
    command = ["rpc", "store", '{"namespace": 0, "ttl": 1e400}', "--seed", "http://127.0.0.1:9", "--timeout", "1"]
    assert allium(*command).returncode == 1
    told = complaint.sentence(ExceptionGroup("of a task group", [KeyError("baseFeePerGas")]))
    assert "KeyError: 'baseFeePerGas'" in told.text and "--debug" in told.text and told.exit_code == 1


def test_a_reload_that_fails_is_no_obstacle_to_the_next(running: Running) -> None:
    before = running.settings["network_file"]
    for _ in range(2):
        running.configure(network_file="~nosuchuser/network.json")
        running.process.send_signal(signal.SIGUSR2)
        running.await_line("not restarted")
        assert "no such user" in running.lines[-1]
        running.process.send_signal(signal.SIGHUP)
        running.await_line("configuration is unusable")
    running.configure(network_file=before)
    running.process.send_signal(signal.SIGUSR2)
    running.await_line("restarting")
    running.await_line("network in force")
    assert running.process.poll() is None and not any("Traceback" in line for line in running.lines)


async def test_a_block_without_a_base_fee(unused_tcp_port: int) -> None:
    from eth_account import Account as Wallet

    from allium.staking.provider import Provider, ProviderError
    from allium.wallet.sender import Sender

    answers = {
        "eth_estimateGas": "0x5208",
        "eth_maxPriorityFeePerGas": "0x1",
        "eth_chainId": "0x1",
        "eth_getBlockByNumber": {"number": "0x1", "hash": "0x" + "11" * 32, "timestamp": "0x1"},
    }

    async def answer(request: web.Request) -> web.Response:
        call = await request.json()
        return web.json_response({"jsonrpc": "2.0", "id": call["id"], "result": answers[call["method"]]})

    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
    provider = Provider(f"http://127.0.0.1:{unused_tcp_port}")
    try:
        with pytest.raises(ProviderError, match="no base fee"):
            await Sender(provider, Wallet.create()).send("a transfer", {"to": "0x" + "22" * 20, "value": 1})  # type: ignore[typeddict-item]
    finally:
        await provider.close()
        await runner.cleanup()
