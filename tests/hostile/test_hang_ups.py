"""Clients that hang up in the middle."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from tests.support import wire
from tests.support.devnet import Devnet

STORES = 200
ACCOUNTS = 8


def hashes(node: dict[str, Any], user: wire.User) -> set[str]:
    return {message["hash"] for message in wire.retrieve(node, user)}


@pytest.mark.parametrize("method", ["store", "delete"])
def test_a_swarm_has_the_same_whoever_hangs_up(pair: Devnet, method: str) -> None:
    one, other = pair.nodes
    users = [wire.User() for _ in range(ACCOUNTS)]
    bodies = []
    for number in range(STORES):
        user, data = users[number % ACCOUNTS], b"%d" % number
        if method == "store":
            bodies.append(wire.rpc_body("store", wire.store_params(user.account_id, data)))
        elif number < STORES // 2:
            assert wire.rpc(one, "store", wire.store_params(user.account_id, data)).status == 200
            name = wire.message_hash(user.account_id, 0, data)
            bodies.append(wire.rpc_body("delete", {**user.auth(f"delete{name}"), "messages": [name]}))
    for number, body in enumerate(bodies):
        plain = socket.create_connection((one["ip"], one["https_port"]))
        stream = wire.UNVERIFIED.wrap_socket(plain)
        head = f"POST /storage_rpc/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        stream.sendall(head.encode() + body)
        # At every moment of what the node does with it.
        time.sleep(number % 10 / 1000)
        stream.close()
    deadline = time.monotonic() + 20
    for user in users:
        while (here := hashes(one, user)) != (there := hashes(other, user)):
            assert time.monotonic() < deadline, f"{len(here)} messages here, {len(there)} there"
            time.sleep(0.1)
