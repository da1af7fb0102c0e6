"""A devnet with a file server: a file goes through three nodes to it and back, and a node that dies is no matter."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from allium.server import onion
from tests.files.test_api import name_of
from tests.support.command import allium
from tests.support.devnet import Devnet, up
from tests.support.file_server import OnionAnswer, v4_answer, v4_request
from tests.support.reference_onion import frame, sealed_for

SIZE = 10_000_000


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    with up(tmp_path_factory.mktemp("net"), "--nodes", "6", "--files") as made:
        yield made


async def through(
    http: aiohttp.ClientSession, net: Devnet, path: Sequence[int], method: str, endpoint: str, body: bytes | None = None
) -> OnionAnswer:
    """A request over these nodes to the file server, as `spec/client-network` §5 has it."""
    files = net.network["files"]
    host, port = files["url"].removeprefix("http://").split(":")
    target = {"host": host, "port": int(port), "protocol": "http", "target": onion.PATH, "method": "POST"}
    request = v4_request(method, endpoint, body=body)
    ciphertext, control, layer = sealed_for(bytes.fromhex(files["pubkey_x25519"]), request)
    control = {**target, **control}
    for index in reversed(path):
        node = net.nodes[index]
        ciphertext, key, _ = sealed_for(bytes.fromhex(node["pubkey_x25519"]), frame(ciphertext, control))
        control = {"destination": node["pubkey_ed25519"], **key}
    entry = net.nodes[path[0]]
    del control["destination"]
    url = f"https://{entry['ip']}:{entry['https_port']}/onion_req/v2"
    async with http.post(url, data=io.BytesIO(frame(ciphertext, control)), ssl=False) as answer:
        received = await answer.read()
        if answer.status != 200:
            raise ConnectionError(f"{answer.status}: {received[:200]!r}")
    return v4_answer(layer.open(received))


async def test_10_mb_through_three_nodes_of_which_one_dies(http: aiohttp.ClientSession, net: Devnet) -> None:
    data = os.urandom(SIZE)
    sent = await through(http, net, [0, 1, 2], "POST", "/file", data)
    assert sent.code == 200 and sent.json()["id"] == name_of(data)
    # The path breaks before the file is fetched; another one leads to it.
    net.run("kill", "1")
    with pytest.raises((ConnectionError, TimeoutError, aiohttp.ClientError)):
        await through(http, net, [0, 1, 2], "GET", f"/file/{name_of(data)}")
    got = await through(http, net, [3, 4, 5], "GET", f"/file/{name_of(data)}")
    assert (got.code, got.body) == (200, data)
    # Nor does who has sent a part lose anything: again is the same file.
    again = await through(http, net, [5, 0, 3], "POST", "/file", data)
    assert again.json()["uploaded"] == sent.json()["uploaded"]
    net.run("start", "1")


async def test_it_is_in_the_network_file_and_knows_how_it_is(net: Devnet) -> None:
    files: dict[str, Any] = net.network["files"]
    assert Path(files["data_dir"]).name == "files"
    done = allium("status", "--data-dir", files["data_dir"])
    assert done.returncode == 0 and files["pubkey_ed25519"] in done.stdout, done.stdout + done.stderr
