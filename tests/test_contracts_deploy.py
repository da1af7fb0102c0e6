"""New networks from the command line, and what that stands on: keys, compiled code, the local chain."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_utils.address import to_checksum_address
from web3 import HTTPProvider, Web3

from allium.devnet import anvil
from allium.devnet.layout import DevnetError
from allium.staking import abi, artifacts, deploy, wallet
from chain import SESH, Chain

KEY = anvil.account(0).key.hex()


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(wallet.VARIABLE, raising=False)


def allium(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "allium", *arguments]
    environment = {**os.environ, **variables}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)


# --- the command


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[anvil.Anvil]:
    with anvil.running(tmp_path_factory.mktemp("empty") / "anvil.log") as local:
        yield local


def test_a_network_is_deployed_from_a_key_file(empty: anvil.Anvil, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.touch(mode=0o600)
    key.write_text(f"0x{KEY}\n")
    out = tmp_path / "ADDRESSES.json"
    options = ["--staking-requirement", "120", "--max-contributors", "4", "--minimum-exit-age", "5", "--no-start"]
    options += ["--liquidator-ratio", "1", "--pool-ratio", "2", "--recipient-ratio", "9", "--pool", "1000"]
    treasury = anvil.account(3).address
    options += ["--treasury", treasury]
    arguments = ["contracts", "deploy", "--rpc", empty.url, "--out", str(out), "--key-file", str(key)]
    done = allium(*arguments, *options)
    assert done.returncode == 0, done.stderr
    assert KEY not in done.stdout + done.stderr
    addresses = deploy.Addresses.load(out)
    assert addresses.chain_id == anvil.CHAIN_ID
    w3 = Web3(HTTPProvider(empty.url))

    def at(name: str, address: str | None) -> Any:
        assert address is not None
        return w3.eth.contract(to_checksum_address(address), abi=abi.load(name)).functions

    rewards = at("ServiceNodeRewards", addresses.rewards)
    assert rewards.stakingRequirement().call() == 120 * SESH
    assert rewards.maxContributors().call() == 4
    assert rewards.liquidatorRewardRatio().call() == 1
    assert rewards.poolShareOfLiquidationRatio().call() == 2
    assert rewards.recipientRatio().call() == 9
    assert not rewards.isStarted().call()
    assert rewards.owner().call() == anvil.account(0).address
    assert at("SESH", addresses.token).balanceOf(addresses.pool).call() == 1000 * SESH
    assert at("RewardRatePool", addresses.pool).beneficiary().call() == addresses.rewards
    factory = at("ServiceNodeContributionFactory", addresses.factory)
    assert factory.stakingRewardsContract().call() == addresses.rewards
    assert at("FeeSplitter", addresses.splitter).treasury().call() == treasury
    logs = w3.eth.get_logs({"address": addresses.rewards, "fromBlock": 0})
    assert min(log["blockNumber"] for log in logs) >= addresses.block
    # Never over an existing file.
    again = allium(*arguments)
    assert again.returncode == 1 and "stays as it is" in again.stderr


def test_a_network_is_deployed_from_the_environment(empty: anvil.Anvil, tmp_path: Path) -> None:
    out = tmp_path / "ADDRESSES.json"
    done = allium("contracts", "deploy", "--rpc", empty.url, "--out", str(out), ALLIUM_WALLET_KEY=KEY)
    assert done.returncode == 0, done.stderr
    assert KEY not in done.stdout + done.stderr
    assert "ServiceNodeRewards" in done.stdout and str(out) in done.stdout
    assert deploy.Addresses.load(out).splitter is not None


@pytest.mark.parametrize(
    ("options", "key", "complaint"),
    [
        ([], "", "no key to pay with"),
        ([], "12", "ALLIUM_WALLET_KEY holds no key"),
        (["--recipient-ratio", "1"], KEY, "LiquidatorPenaltyTooHigh()"),
        (["--pool", "240000001"], KEY, "ERC20InsufficientBalance(sender = "),
        ([], "11" * 32, "the provider failed"),  # an account without money
        (["--treasury", "nobody"], KEY, "nobody is no address"),
        (["--rpc", "http://127.0.0.1:1"], KEY, "the provider failed"),
    ],
)
def test_what_goes_wrong_is_said(
    empty: anvil.Anvil, tmp_path: Path, options: list[str], key: str, complaint: str
) -> None:
    out = tmp_path / "ADDRESSES.json"
    done = allium("contracts", "deploy", "--rpc", empty.url, "--out", str(out), *options, ALLIUM_WALLET_KEY=key)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()


def test_the_sizes_are_listed() -> None:
    done = allium("contracts", "build")
    assert done.returncode == 0
    size = len(artifacts.load("ServiceNodeRewards").runtime)
    assert f"{size:,}" in done.stdout


# --- addresses


def test_addresses_are_read_as_written(chain: Chain, tmp_path: Path) -> None:
    path = tmp_path / "ADDRESSES.json"
    chain.addresses.save(path)
    assert deploy.Addresses.load(path) == chain.addresses
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "token": told["token"].lower(), "splitter": None}))
    assert deploy.Addresses.load(path) == dataclasses.replace(chain.addresses, splitter=None)
    for wrong, complaint in (
        ("{", "is no JSON object"),
        ("[]", "is no JSON object"),
        (json.dumps({**told, "token": "0x12"}), "token is no address"),
        (json.dumps({**told, "pool": 5}), "pool is no address"),
        (json.dumps({**told, "block": "5"}), "block is no number"),
        (json.dumps({**told, "chain_id": -1}), "chain_id is no number"),
        (json.dumps({name: value for name, value in told.items() if name != "rewards"}), "lacks 'rewards'"),
    ):
        path.write_text(wrong)
        with pytest.raises(deploy.DeployError, match=complaint):
            deploy.Addresses.load(path)
    with pytest.raises(deploy.DeployError, match="cannot be read"):
        deploy.Addresses.load(tmp_path / "none")


# --- keys


def test_a_key_is_read_with_care(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "key"
    file.touch(mode=0o600)
    for text in (KEY, f"0x{KEY}", f"  0x{KEY.upper()}\n"):
        file.write_text(text)
        assert wallet.load(file).key.hex() == KEY
    for text in ("", "0x", KEY[:-2], KEY + "00", "z" * 64, "00" * 32, "ff" * 32, "é" * 64):
        file.write_text(text)
        with pytest.raises(wallet.WalletError, match="holds no key") as refusal:
            wallet.load(file)
        assert refusal.value.__suppress_context__
    file.write_text(KEY)
    file.chmod(0o640)
    with pytest.raises(wallet.WalletError, match="can be read by others"):
        wallet.load(file)
    with pytest.raises(wallet.WalletError, match="cannot be read"):
        wallet.load(tmp_path / "none")
    with pytest.raises(wallet.WalletError, match="cannot be read"):
        wallet.load(tmp_path)
    with pytest.raises(wallet.WalletError, match="no key to pay with"):
        wallet.load(None)
    monkeypatch.setenv(wallet.VARIABLE, KEY)
    assert wallet.load(None).address == anvil.account(0).address


# --- compiled code


def test_code_is_compiled_once_and_again_after_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sources = tmp_path / "contracts"
    shutil.copytree(artifacts.SOURCES, sources)
    monkeypatch.setattr(artifacts, "SOURCES", sources)
    calls: list[str] = []
    compile_file = artifacts._compile_file
    monkeypatch.setattr(artifacts, "_compile_file", lambda path: calls.append(path.name) or compile_file(path))

    def load() -> artifacts.Artifact:
        artifacts.load.cache_clear()
        artifacts._fingerprint.cache_clear()
        return artifacts.load("RewardRatePool")

    try:
        first = load()
        assert load() == first
        assert len(calls) == 1
        [kept] = (tmp_path / "cache" / "allium" / "contracts").iterdir()
        kept.write_text("{}")  # damaged: made again
        assert load() == first
        assert len(calls) == 2
        pool = sources / "RewardRatePool.vy"
        pool.write_text(pool.read_text().replace("uint64)) = 151", "uint64)) = 152"))
        assert load().runtime != first.runtime
        assert len(calls) == 3
    finally:
        artifacts.load.cache_clear()
        artifacts._fingerprint.cache_clear()


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "_LIBRARIES", ("no-such-compiler",))
    artifacts._fingerprint.cache_clear()
    try:
        with pytest.raises(artifacts.CompilerMissingError, match="no-such-compiler is not installed"):
            artifacts._fingerprint()
    finally:
        artifacts._fingerprint.cache_clear()


# --- anvil


def test_anvil_ends_when_told(tmp_path: Path) -> None:
    local = anvil.start(tmp_path / "anvil.log")
    with socket.create_connection(("127.0.0.1", local.port)):
        pass
    local.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", local.port))


def test_an_anvil_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(DevnetError, match=r"(?s)anvil ended with code 2.*no-such-option"):
        anvil.start(tmp_path / "anvil.log", ["--no-such-option"])


def test_no_anvil_and_no_way_to_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(DevnetError, match="no npm"):
        anvil.find()
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'the registry is down' >&2\nexit 1\n")
    npm.chmod(0o755)
    with pytest.raises(DevnetError, match="the registry is down"):
        anvil.find()
    npm.write_text("#!/bin/sh\nexit 0\n")
    with pytest.raises(DevnetError, match="brought no anvil"):
        anvil.find()
    monkeypatch.setattr(anvil.platform, "machine", lambda: "m68k")
    with pytest.raises(DevnetError, match="m68k"):
        anvil.find()


def test_anvil_on_the_path_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "anvil"
    mine.write_text("#!/bin/sh\n")
    mine.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert anvil.find() == mine
