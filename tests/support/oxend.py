"""A daemon of the live network that tests steer: real OMQ, and as much of its answers as a storage node asks for."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import zmq
from nacl import bindings
from zmq.utils import z85

from allium.settings.keys import NodeKeys
from tests.support.lone_node import UNASSIGNED

#: What a node was told or asked: the command, and its params (`None` without).
Call = tuple[str, Any]


def state(entry: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An entry of a network as the daemon's list has it."""
    return {
        "service_node_pubkey": entry["pubkey_legacy"],
        "swarm_id": entry["swarm_id"],
        "storage_port": entry["https_port"],
        "public_ip": entry["ip"],
        "funded": True,
        "pubkey_x25519": entry["pubkey_x25519"],
        "pubkey_ed25519": entry["pubkey_ed25519"],
        "storage_lmq_port": entry["omq_port"],
        "storage_server_version": [2, 8, 0],
        **changes,
    }


class FakeOxend:
    """The daemon of the node with `keys`. It runs while it is entered, and may be entered again.

    `modern` ones know `sub.snode_addr`. With an X25519 secret it is a seed, which wants CURVE.
    """

    def __init__(
        self, address: str, keys: NodeKeys | None = None, modern: bool = False, x25519: bytes | None = None
    ) -> None:
        self.address = address
        self.keys = keys
        self.modern = modern
        self.x25519 = x25519
        self.height, self.hardfork = 1_000, (19, 4)
        self.block_hash = os.urandom(32)
        self.states: list[dict[str, Any]] = []
        #: Answers to commands in place of the usual ones.
        self.answers: dict[str, list[bytes]] = {}
        #: Whether it says nothing to anybody.
        self.silent = False
        self.calls: list[Call] = []
        self._changed = threading.Condition()
        self._subscribers: dict[str, set[bytes]] = {}
        self._to_send: list[list[bytes]] = []
        self._stop = False
        self._thread: threading.Thread | None = None

    # --- what tests do

    def block(self, *states: dict[str, Any], height: int | None = None) -> None:
        """A new block, after which the list is this one."""
        with self._changed:
            self.states = list(states)
            self.height = self.height + 1 if height is None else height
            self.block_hash = os.urandom(32)
            self._notify("sub.block", b"notify.block", str(self.height).encode(), self.block_hash)

    def tell_address(self, dict_: bytes) -> None:
        """An uptime proof has come."""
        with self._changed:
            self._notify("sub.snode_addr", b"notify.snode_addr", dict_)

    def wait_for(self, command: str, params: Callable[[Any], bool] = lambda _: True, since: int = 0) -> Call:
        """The first such call from number `since` on, however long it takes (a minute at most)."""

        def found() -> Call | None:
            return next((call for call in self.calls[since:] if call[0] == command and params(call[1])), None)

        with self._changed:
            assert self._changed.wait_for(found, 60), f"no {command} among {[call[0] for call in self.calls[since:]]}"
            call = found()
        assert call is not None
        return call

    def wait_for_subscriber(self, command: str = "sub.block") -> None:
        """Somebody is to be notified."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._subscribers.get(command), 60), f"no {command}"

    def __enter__(self) -> Self:
        self._stop = False
        self._subscribers.clear()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,))
        self._thread.start()
        assert ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        if self._thread is not None:
            self._thread.join()

    # --- what it does

    def _run(self, ready: threading.Event) -> None:
        with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
            router.setsockopt(zmq.LINGER, 0)
            if self.x25519 is not None:
                router.curve_server = 1
                router.curve_secretkey = z85.encode(self.x25519)
                router.curve_publickey = z85.encode(bindings.crypto_scalarmult_base(self.x25519))
            router.bind(self.address)
            ready.set()
            while not self._stop:
                with self._changed:
                    messages, self._to_send = self._to_send, []
                for message in messages:
                    router.send_multipart(message)
                if router.poll(10):
                    with self._changed:
                        answer = self._answer(*router.recv_multipart())
                        self._changed.notify_all()
                    if not self.silent:
                        router.send_multipart(answer)

    def _notify(self, subscription: str, *frames: bytes) -> None:
        self._to_send += [[subscriber, *frames] for subscriber in self._subscribers.get(subscription, ())]

    def _answer(self, sender: bytes, command: bytes, tag: bytes = b"", *parts: bytes) -> list[bytes]:
        if command == b"HI":
            return [sender, b"HELLO"]
        name = command.decode()
        known = ("admin.", "rpc.", "sub.block") + (("sub.snode_addr",) if self.modern else ())
        if not name.startswith(known):
            return [sender, b"UNKNOWNCOMMAND", command]
        params = json.loads(parts[0]) if parts else None
        self.calls.append((name, params))
        return [sender, b"REPLY", tag, *(self.answers.get(name) or self._result(name, params or {}, sender))]

    def _result(self, name: str, params: dict[str, Any], sender: bytes) -> list[bytes]:
        if name.startswith("sub."):
            subscribers = self._subscribers.setdefault(name, set())
            answer = b"ALREADY" if sender in subscribers else b"OK"
            subscribers.add(sender)
            return [answer]
        if name == "admin.get_service_node_privkey" and self.keys is not None:
            return ok(
                service_node_privkey=self.keys.legacy_secret.hex(),
                service_node_ed25519_privkey=self.keys.ed25519_secret.hex(),
                service_node_x25519_privkey=bindings.crypto_sign_ed25519_sk_to_curve25519(
                    self.keys.ed25519_secret
                ).hex(),
            )
        if name == "rpc.get_service_nodes":
            block = {"height": self.height, "block_hash": self.block_hash.hex()}
            if params.get("poll_block_hash") == self.block_hash.hex():
                return ok(**block, unchanged=True)
            hardfork, revision = self.hardfork
            fields = params["fields"]
            states = [{name: one[name] for name in one if name in fields} for one in self.states]
            return ok(**block, hardfork=hardfork, snode_revision=revision, service_node_states=states)
        if name == "rpc.ons_resolve":
            return (
                ok(encrypted_value="ab" * 16, nonce="cd" * 12) if params.get("type") == 0 else [b"400", b"no such type"]
            )
        return ok(status="OK")


def ok(**result: Any) -> list[bytes]:
    return [b"200", json.dumps(result).encode()]


def stranger(**changes: Any) -> dict[str, Any]:
    """A node at an address where nobody is."""
    legacy, ed25519, x25519 = (os.urandom(32).hex() for _ in range(3))
    entry = {
        "pubkey_legacy": legacy,
        "pubkey_ed25519": ed25519,
        "pubkey_x25519": x25519,
        "ip": "127.0.0.1",
        "https_port": 1,
        "omq_port": 1,
        "swarm_id": UNASSIGNED,
    }
    return state(entry, **changes)


def ipc(directory: Path) -> str:
    return f"ipc://{directory / 'oxend.sock'}"
