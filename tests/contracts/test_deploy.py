"""New networks from the command line, and what that stands on: keys, compiled code, the local chain."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_utils.address import to_checksum_address
from web3 import HTTPProvider, Web3
from web3.types import Wei

from allium.appchain.parameters import SESH
from allium.cli import main as cli
from allium.devnet import anvil
from allium.devnet.layout import DevnetError
from allium.staking import abi, artifacts
from allium.staking.addresses import Addresses, AddressesError
from allium.staking.connection import connected
from allium.staking.provider import ProviderError
from allium.wallet import payer
from allium.wallet.sender import RevertedError, Sender
from tests.support.chain import Chain

KEY = anvil.account(0).key.hex()


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(payer.VARIABLE, raising=False)


# --- the command


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[anvil.Anvil]:
    with anvil.running(tmp_path_factory.mktemp("empty") / "anvil.log") as local:
        yield local


def test_a_network_is_deployed_from_a_key_file(
    empty: anvil.Anvil, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "key"
    key.touch(mode=0o600)
    key.write_text(f"0x{KEY}\n")
    out = tmp_path / "ADDRESSES.json"
    options = ["--staking-requirement", "120", "--max-contributors", "4", "--minimum-exit-age", "5", "--no-start"]
    options += ["--liquidator-ratio", "1", "--pool-ratio", "2", "--recipient-ratio", "9", "--pool", "1000"]
    treasury = anvil.account(3).address
    options += ["--treasury", treasury]
    arguments = ["contracts", "deploy", "--rpc", empty.url, "--out", str(out), "--key-file", str(key)]
    assert cli.main([*arguments, *options]) == 0
    assert KEY not in "".join(capsys.readouterr())
    addresses = Addresses.load(out)
    assert addresses.chain_id == anvil.CHAIN_ID
    w3 = Web3(HTTPProvider(empty.url, {"timeout": 120}))

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
    assert cli.main(arguments) == 1
    assert "stays as it is" in capsys.readouterr().err


def test_a_network_is_deployed_from_the_environment(empty: anvil.Anvil, tmp_path: Path) -> None:
    out = tmp_path / "ADDRESSES.json"
    done = subprocess.run(
        [sys.executable, "-m", "allium", "contracts", "deploy", "--rpc", empty.url, "--out", str(out)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, payer.VARIABLE: KEY},
    )
    assert done.returncode == 0, done.stderr
    assert KEY not in done.stdout + done.stderr
    assert "ServiceNodeRewards" in done.stdout and str(out) in done.stdout
    assert Addresses.load(out).splitter is not None


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
    empty: anvil.Anvil,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    key: str,
    complaint: str,
) -> None:
    monkeypatch.setenv(payer.VARIABLE, key)
    out = tmp_path / "ADDRESSES.json"
    assert cli.main(["contracts", "deploy", "--rpc", empty.url, "--out", str(out), *options]) == 1
    complaints = capsys.readouterr().err
    assert complaint in complaints
    assert not key or key not in complaints
    assert not out.exists()


def test_the_sizes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["contracts", "build"]) == 0
    size = len(artifacts.load("ServiceNodeRewards").runtime)
    assert f"{size:,}" in capsys.readouterr().out


# --- transactions


@pytest.fixture
async def sender(chain: Chain) -> AsyncIterator[Sender]:
    """Sends as bob."""
    async with connected(chain.url) as provider:
        yield Sender(provider, anvil.account(2))


async def test_what_would_revert_is_not_sent(chain: Chain, sender: Sender) -> None:
    assert sender.account.address == chain.bob
    nonce = chain.w3.eth.get_transaction_count(chain.bob)
    claim = sender.transaction("ServiceNodeRewards", chain.addresses.rewards, "claimRewards(uint256)", 5)
    for act in (sender.simulate, sender.send):
        with pytest.raises(RevertedError, match=r"claim: MaxClaimExceeded\(\)") as refusal:
            await act("claim", claim)
        assert refusal.value.name == "MaxClaimExceeded"
    assert chain.w3.eth.get_transaction_count(chain.bob) == nonce
    gift = sender.transaction("SESH", chain.addresses.token, "transfer", chain.carol, 5)
    before = chain.balance(chain.carol)
    gas = await sender.simulate("gift", gift)
    assert chain.balance(chain.carol) == before
    receipt = await sender.send("gift", gift)
    assert 0 < receipt["gasUsed"] <= gas
    assert chain.balance(chain.carol) == before + 5


async def test_what_reverts_after_all_is_told(chain: Chain, sender: Sender) -> None:
    everything = chain.balance(chain.bob)
    gift = sender.transaction("SESH", chain.addresses.token, "transfer", chain.carol, everything)
    with chain.mining_by_hand():
        first = {"from": chain.bob, "to": gift["to"], "data": gift["data"], "gas": "0x20000"}
        chain.rpc("eth_sendTransaction", first)
        second = asyncio.create_task(sender.send("gift", gift))
        while int(chain.rpc("txpool_status")["pending"], 16) < 2:
            assert not second.done()
            await asyncio.sleep(0.01)
        chain.rpc("evm_mine")
        with pytest.raises(RevertedError, match="gift: reverted in transaction 0x"):
            await second
    assert chain.balance(chain.carol) >= everything


async def test_a_provider_that_fails_is_told() -> None:
    async with connected("http://127.0.0.1:1") as provider:
        lost = Sender(provider, anvil.account(2))
        with pytest.raises(ProviderError, match="gift: the provider failed"):
            await lost.send("gift", {"to": anvil.account(1).address, "value": Wei(1)})


# --- addresses


def test_addresses_are_read_as_written(chain: Chain, tmp_path: Path) -> None:
    path = tmp_path / "ADDRESSES.json"
    chain.addresses.save(path)
    assert Addresses.load(path) == chain.addresses
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "token": told["token"].lower(), "splitter": None}))
    assert Addresses.load(path) == dataclasses.replace(chain.addresses, splitter=None)
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
        with pytest.raises(AddressesError, match=complaint):
            Addresses.load(path)
    with pytest.raises(AddressesError, match="cannot be read"):
        Addresses.load(tmp_path / "none")


# --- keys


def test_a_key_is_read_with_care(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "key"
    file.touch(mode=0o600)
    for text in (KEY, f"0x{KEY}", f"  0x{KEY.upper()}\n"):
        file.write_text(text)
        assert payer.load(file).key.hex() == KEY
    for text in ("", "0x", KEY[:-2], KEY + "00", "z" * 64, "00" * 32, "ff" * 32, "é" * 64):
        file.write_text(text)
        with pytest.raises(payer.WalletError, match="holds no key") as refusal:
            payer.load(file)
        assert refusal.value.__suppress_context__
    file.write_text(KEY)
    file.chmod(0o640)
    with pytest.raises(payer.WalletError, match="can be read by others"):
        payer.load(file)
    with pytest.raises(payer.WalletError, match="cannot be read"):
        payer.load(tmp_path / "none")
    with pytest.raises(payer.WalletError, match="cannot be read"):
        payer.load(tmp_path)
    with pytest.raises(payer.WalletError, match="no key to pay with"):
        payer.load(None)
    monkeypatch.setenv(payer.VARIABLE, KEY)
    assert payer.load(None).address == anvil.account(0).address


# --- compiled code


def test_code_is_compiled_once_and_again_after_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sources = tmp_path / "contracts"
    shutil.copytree(artifacts.SOURCES, sources)
    monkeypatch.setattr(artifacts, "SOURCES", sources)
    calls: list[str] = []
    compile_file = artifacts._compile_file

    def counted(path: Path) -> dict[str, Any]:
        calls.append(path.name)
        return compile_file(path)

    monkeypatch.setattr(artifacts, "_compile_file", counted)

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
    monkeypatch.setattr(artifacts, "_COMPILER", "no-such-compiler")
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
    monkeypatch.setattr(platform, "machine", lambda: "m68k")
    with pytest.raises(DevnetError, match="m68k"):
        anvil.find()


def test_anvil_on_the_path_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "anvil"
    mine.write_text("#!/bin/sh\n")
    mine.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert anvil.find() == mine


def test_what_web3_brings_leaves_the_limit_of_recursion() -> None:
    limit = "sys.getrecursionlimit()"
    code = f"import sys; before = {limit}; import allium.wallet.deploy; assert {limit} == before"
    subprocess.run([sys.executable, "-c", code], check=True)
