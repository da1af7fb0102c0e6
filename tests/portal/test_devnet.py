"""A staked network with its portal, by one command."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import aiohttp

from allium.devnet import process
from tests.support.devnet import Devnet
from tests.support.staked import PATIENCE


async def _until(url: str, true: Any) -> Any:
    async with aiohttp.ClientSession() as session, asyncio.timeout(PATIENCE):
        while True:
            async with session.get(url) as answer:
                told = await answer.json()
            if answer.status == 200 and true(told):
                return told
            await asyncio.sleep(0.2)


def test_a_portal_comes_up_with_something_to_stake_in(tmp_path: Path) -> None:
    net = Devnet(tmp_path / "net")
    said = net.run("up", "--chain", "--portal", "--nodes", "1")
    try:
        portal, chain = net.network["portal"], net.network["chain"]
        assert f"portal at {portal['url']}" in said
        contracts, people = portal["opened"]["contracts"], portal["opened"]["people"]
        assert re.findall(r"collects for a node: (0x\w+), fee ([\d.]+) %", said) == [
            (each["address"], f"{each['fee'] / 100:g}") for each in contracts
        ]
        assert re.findall(r"has 50,000 SESH: (0x\w+), key (\w{64})", said) == [
            (each["address"], each["key"]) for each in people
        ]
        url = portal["url"]
        told = asyncio.run(_until(f"{url}/nodes", lambda told: len(told["nodes"]) == 1))
        assert all(node["active"] for node in told["nodes"]) and told["network"]["nettype"] == "devnet"
        told = asyncio.run(_until(f"{url}/contract/contribution", lambda told: len(told["contracts"]) == 3))
        by_place = {each["address"]: each for each in told["contracts"]}
        assert [by_place[each["address"]]["status"] for each in contracts] == [0, 1, 1]
        assert by_place[contracts[2]["address"]]["contributors"][1]["address"] == people[0]["address"]
        # One of them stakes a quarter, and the portal has it.
        person, place = people[1], contracts[1]["address"]
        options = ["--rpc", chain["rpc_url"], "--contracts", str(net.directory / "ADDRESSES.json")]
        command = [sys.executable, "-m", "allium", "stake", "contribute", place, "6250", *options]
        environment = {**os.environ, "ALLIUM_WALLET_KEY": person["key"]}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        mine = f"{url}/contract/contribution/{person['address']}"
        [contract] = asyncio.run(_until(mine, lambda told: told["contracts"]))["contracts"]
        assert contract["address"] == place
        # Its faucet pays somebody who has nothing.
        asked = json.dumps({"address": f"0x{'5' * 40}"}).encode()
        with urllib.request.urlopen(f"{url}/faucet", asked) as answer:
            assert json.loads(answer.read())["granted"]["tokens"] == 7000 * 10**9
        told = json.loads(net.allium("status", "--data-dir", portal["data_dir"], "--json"))
        assert told["portal"]["nodes"] == 1
    finally:
        net.run("down")
    assert not process.is_running(portal["pid"], "portal")
