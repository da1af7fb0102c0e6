"""Messages through real processes, with a client of our own that shares no code with `allium.client`."""

from __future__ import annotations

import concurrent.futures
import json
import os
import signal
from collections import defaultdict
from http.client import HTTPException
from typing import Any

from tests.support.devnet import Devnet
from tests.support.wire import (
    User,
    frame,
    now_ms,
    onion,
    open_reply,
    post,
    post_onion,
    retrieve,
    rpc,
    rpc_body,
    store_params,
)

Node = dict[str, Any]


def swarm_nodes(devnet: Devnet, user: User) -> tuple[list[Node], list[Node]]:
    """Members and non-members of the user's swarm, as a node tells."""
    reply = rpc(devnet.nodes[0], "get_swarm", {"pubkey": user.account_id})
    assert reply.status == 200
    members = {snode["pubkey_ed25519"] for snode in reply.json()["snodes"]}
    inside = [node for node in devnet.nodes if node["pubkey_ed25519"] in members]
    outside = [node for node in devnet.nodes if node["pubkey_ed25519"] not in members]
    assert inside and outside
    return inside, outside


def test_network_has_three_swarms_of_five(shared_devnet: Devnet) -> None:
    swarms: dict[int, int] = defaultdict(int)
    for node in shared_devnet.nodes:
        swarms[node["swarm_id"]] += 1
    assert sorted(swarms.values()) == [5, 5, 5]


def test_seed_answers_both_forms_of_fields(shared_devnet: Devnet) -> None:
    url = shared_devnet.network["seed_url"]
    names = ["public_ip", "storage_port", "pubkey_x25519", "pubkey_ed25519"]
    # Clients join the two with a slash of their own or without.
    for joint, fields in (("json_rpc", names), ("/json_rpc", dict.fromkeys(names, True))):
        body = {"method": "get_n_service_nodes", "params": {"active_only": True, "fields": fields}}
        reply = post(url + joint, json.dumps(body).encode(), {"Content-Type": "text/plain;charset=UTF-8"})
        assert reply.status == 200
        assert reply.headers["Content-Type"] == "application/json"
        states = reply.json()["result"]["service_node_states"]
        assert {state["pubkey_ed25519"] for state in states} == {n["pubkey_ed25519"] for n in shared_devnet.nodes}
        assert all(set(names) <= set(state) for state in states)


def test_store_reaches_every_member_over_three_hops(shared_devnet: Devnet) -> None:
    user = User()
    inside, outside = swarm_nodes(shared_devnet, user)
    path = [*outside[:3], inside[0]]
    payload, layer = onion(path, rpc_body("store", store_params(user.account_id, b"over three hops")))
    answer = open_reply(layer, post_onion(path[0], payload))
    assert answer["status"] == 200
    result = json.loads(answer["body"])
    assert set(result["swarm"]) == {node["pubkey_ed25519"] for node in inside}
    assert not any("failed" in entry for entry in result["swarm"].values())
    for node in inside:
        assert [message["hash"] for message in retrieve(node, user)] == [result["hash"]]


def test_wrong_swarm_names_the_right_one(shared_devnet: Devnet) -> None:
    user = User()
    inside, outside = swarm_nodes(shared_devnet, user)
    reply = rpc(outside[0], "store", store_params(user.account_id, b"lost"))
    assert reply.status == 421
    assert {snode["pubkey_ed25519"] for snode in reply.json()["snodes"]} == {n["pubkey_ed25519"] for n in inside}


def test_retrieve_needs_the_owner(shared_devnet: Devnet) -> None:
    user, other = User(), User()
    inside, _ = swarm_nodes(shared_devnet, user)
    timestamp = now_ms()
    params = {**other.auth(f"retrieve{timestamp}"), "pubkey": user.account_id, "timestamp": timestamp}
    reply = rpc(inside[0], "retrieve", params)
    assert (reply.status, reply.body) == (401, b"retrieve signature verification failed")
    reply = rpc(inside[0], "retrieve", {"pubkey": user.account_id})
    assert (reply.status, reply.body) == (401, b"retrieve: request signature required")


def test_onion_refusals(shared_devnet: Devnet) -> None:
    nodes = shared_devnet.nodes
    stranger = {**nodes[1], "pubkey_ed25519": "00" * 31 + "07"}
    payload, _ = onion([nodes[0], stranger, nodes[2]], b"{}")
    reply = post_onion(nodes[0], payload)
    assert (reply.status, reply.body) == (502, f"Next node not found: {stranger['pubkey_ed25519']}".encode())
    payload, _ = onion(nodes[:2], rpc_body("info", {}))
    broken = bytearray(payload)
    broken[40] ^= 1
    reply = post_onion(nodes[0], bytes(broken))
    assert (reply.status, reply.body) == (400, b"Invalid ciphertext")
    assert post_onion(nodes[0], b"\x01").status == 400
    assert post_onion(nodes[0], frame(b"", {})).body.startswith(b"Error parsing onion request: ")
    payload, layer = onion(nodes[:1], b"", {"nothing": 1})
    assert open_reply(layer, post_onion(nodes[0], payload)) == {"status": 400, "body": "Invalid json"}


def test_dead_member_is_marked_and_the_store_stands(devnet: Devnet) -> None:
    user = User()
    inside, _ = swarm_nodes(devnet, user)
    dead = inside[-1]
    devnet.run("kill", str(devnet.nodes.index(dead)))
    reply = rpc(inside[0], "store", store_params(user.account_id, b"one is down"))
    assert reply.status == 200
    swarm = reply.json()["swarm"]
    assert swarm[dead["pubkey_ed25519"]]["failed"] is True
    assert swarm[dead["pubkey_ed25519"]]["timeout"] is True
    assert all("failed" not in entry for key, entry in swarm.items() if key != dead["pubkey_ed25519"])
    path = [inside[0], dead, inside[1]]
    payload, _ = onion(path, rpc_body("info", {}))
    reply = post_onion(path[0], payload)
    assert (reply.status, reply.body) == (504, b"Request time out")


def test_nothing_acknowledged_is_lost_by_kill_9(devnet: Devnet) -> None:
    user = User()
    inside, _ = swarm_nodes(devnet, user)
    victim, index = inside[0], devnet.nodes.index(inside[0])
    acknowledged: set[str] = set()

    def stream(writer: int) -> None:
        for number in range(10_000):
            try:
                reply = rpc(victim, "store", store_params(user.account_id, f"{writer}/{number}".encode()))
            except (OSError, HTTPException):
                return
            if reply.status == 200:
                acknowledged.add(reply.json()["hash"])
            if len(acknowledged) >= 100:
                os.kill(victim["pid"], signal.SIGKILL)
                return

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(stream, writer) for writer in range(8)]:
            done.result()
    assert len(acknowledged) >= 100
    devnet.run("start", str(index))
    assert devnet.nodes[index]["pid"] != victim["pid"]
    held = {message["hash"] for message in retrieve(devnet.nodes[index], user)}
    assert acknowledged <= held
