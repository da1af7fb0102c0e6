"""A push server with many subscriptions on one core: how fast they come, how soon nodes have them, how fast they wake.

The server's parts run in this process on one core. Beside it, on another where there is one, a second process is all of
its surroundings: every node of the network (one socket that answers as they do) and the push service of the browsers.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import bencode2
import zmq
import zmq.asyncio
from cryptography.hazmat.primitives.asymmetric import ec
from nacl import bindings
from zmq.utils import z85

from allium.base import limits, log
from allium.push import webpush
from allium.push.database import PushDatabase
from allium.push.delivery import Delivery
from allium.push.metrics import PushMetrics
from allium.push.monitor import Monitor
from allium.push.service import PushService
from allium.push.settings import SCHEMA, PushConfig
from allium.push.subscription import Device, Permission, Subscription, prove

#: As the live network has them.
SWARMS, SWARM_NODES = 285, 7
_BATCH = 200
_MESSAGE = os.urandom(600)
_ANSWER = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"


def pin(core: int) -> None:
    """Keeps this process on one core, if there are as many."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[core % len(cores)]})


# --- the surroundings


class BrowserService(asyncio.Protocol):
    """Takes whatever is posted."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection."""
        self._transport: Any = transport
        self._pending = b""

    def data_received(self, data: bytes) -> None:
        """Parts of requests."""
        self._pending += data
        while (end := self._pending.find(b"\r\n\r\n")) >= 0:
            head = self._pending[:end].lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            if len(self._pending) < end + 4 + length:
                return
            self._pending = self._pending[end + 4 + length :]
            self._transport.write(_ANSWER)


async def surroundings() -> None:
    """Says its ports and its key, then tells of as many messages as each line of standard input says."""
    pin(1)
    limits.raise_open_files()
    loop = asyncio.get_running_loop()
    web = await loop.create_server(BrowserService, "127.0.0.1", 0, backlog=1024)
    context = zmq.asyncio.Context()
    context.set(zmq.MAX_SOCKETS, 65_536)
    router = context.socket(zmq.ROUTER)
    secret = os.urandom(32)
    public = bindings.crypto_scalarmult_base(secret)
    router.curve_secretkey, router.curve_publickey = z85.encode(secret), z85.encode(public)
    router.curve_server = True
    router.sndhwm = 1_000_000
    port = router.bind_to_random_port("tcp://127.0.0.1")
    print(json.dumps([web.sockets[0].getsockname()[1], port, public.hex()]), flush=True)
    subscribers: dict[bytes, set[bytes]] = {}

    async def tell() -> None:
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            now = int(time.time() * 1000)
            for account in list(subscribers)[: int(line)]:
                data = os.urandom(16) + _MESSAGE
                digest = hashlib.blake2b(account + data, digest_size=32).digest()
                name = base64.b64encode(digest).rstrip(b"=")
                fields = {b"@": account, b"h": name, b"n": 0, b"t": now, b"z": now + 10**9, b"~": data}
                notice = bencode2.bencode(fields)
                for subscriber in subscribers[account]:
                    await router.send_multipart([subscriber, b"notify.message", notice])

    telling = asyncio.create_task(tell())
    while True:
        subscriber, command, *parts = await router.recv_multipart()
        if command == b"HI":
            await router.send_multipart([subscriber, b"HELLO"])
        else:
            asked = bencode2.bdecode(parts[1])
            for one in asked:
                account = b"\x05" + bindings.crypto_sign_ed25519_pk_to_curve25519(one[b"P"])
                subscribers.setdefault(account, set()).add(subscriber)
            await router.send_multipart([subscriber, b"REPLY", parts[0], b"l" + b"d7:successi1ee" * len(asked) + b"e"])
        if telling.done():
            telling.result()


# --- the server


def subscriptions(count: int, url: str) -> list[Subscription]:
    """As many, each of an account and a browser of its own."""
    now = int(time.time())
    browser = webpush.public_bytes(ec.generate_private_key(ec.SECP256R1()).public_key()) + bytes(16)
    made = []
    for number in range(count):
        public, secret = bindings.crypto_sign_seed_keypair(number.to_bytes(32, "little"))
        account = b"\x05" + bindings.crypto_sign_ed25519_pk_to_curve25519(public)
        signature = bindings.crypto_sign(f"MONITOR{account.hex()}{now}10".encode(), secret)[:64]
        permission = Permission(account, public, None, now, signature)
        device = Device("webpush", f"{url}/wp/{number}", browser)
        made.append(Subscription(permission, device, (0,), True, os.urandom(32)))
    return made


def network(port: int, x25519: str) -> Any:
    """All nodes, behind one port."""
    nodes = []
    for swarm in range(SWARMS):
        for member in range(SWARM_NODES):
            key = hashlib.sha256(b"%d %d" % (swarm, member)).hexdigest()
            entry = {"pubkey_legacy": key, "pubkey_ed25519": key, "pubkey_x25519": x25519, "ip": "127.0.0.1"}
            nodes.append({**entry, "https_port": 1, "omq_port": port, "swarm_id": swarm * (2**64 // SWARMS)})
    return {"height": 1, "block_hash": "", "hardfork": (19, 4), "nodes": nodes}


def resident() -> float:
    """Megabytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


class Measure:
    """Time, processor time and memory of a part."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._began, self._cpu = time.monotonic(), time.process_time()

    def done(self, count: int, unit: str) -> None:
        """Prints them."""
        seconds, cpu = time.monotonic() - self._began, time.process_time() - self._cpu
        print(
            f"{self._what:<34} {count:>8,} {unit:<14} {seconds:7.2f} s {count / seconds:9,.0f}/s "
            f"{cpu / count * 1e6:7.0f} us of processor each, {resident():6.0f} MB",
            flush=True,
        )


async def until(holds: Any) -> None:
    """Looks now and then."""
    while not holds():  # noqa: ASYNC110 - the parts have no event for it
        await asyncio.sleep(0.02)


async def run(directory: Path, count: int, messages: int, members: int, at_once: int) -> None:
    """The whole measurement."""
    command = [sys.executable, __file__, "--surroundings"]
    process = subprocess.Popen(command, stdin=-1, stdout=-1)  # noqa: ASYNC220 - nothing else runs yet
    assert process.stdin is not None and process.stdout is not None  # noqa: S101
    web_port, omq_port, x25519 = json.loads(process.stdout.readline())
    url = f"http://127.0.0.1:{web_port}"
    made = subscriptions(count, url)
    pin(0)
    log.configure("warning")
    print(f"{'begun':<34} {resident():96.0f} MB, of which are the bench's own for what clients send")
    settings = {"data_dir": directory, "network_file": directory / "none", "max_queued": 10**6, "deliveries": at_once}
    config = PushConfig(**SCHEMA.checked({**settings, "swarm_members": members}, "bench"))
    database, metrics = PushDatabase(directory / "push.sqlite"), PushMetrics(directory)
    service = PushService(config, database, metrics, {"webpush": True})
    await service.open()
    measure = Measure("subscribed (signature, SQLite)")
    for start in range(0, count, _BATCH):
        step = made[start : start + _BATCH]
        if not all(prove(step)):
            raise ValueError("a signature does not verify")
        await service.subscribe(step)
    measure.done(count, "subscriptions")
    del made
    monitor = Monitor(
        lambda account: [kept.subscription for kept in database.of_account(account)], service.told, members
    )

    async def networks() -> AsyncIterator[Any]:
        yield network(omq_port, x25519)
        await asyncio.Event().wait()

    webpush.create_key(directory)
    sender = webpush.WebPushSender(webpush.load_key(directory), "mailto:a@b.example", True, at_once)
    delivery = Delivery("webpush", sender, at_once, database, service, metrics)
    service.wake["webpush"] = delivery.wake
    works = [service.run(), delivery.run(), monitor.run(networks(), database.accounts())]
    measure = Measure(f"at {min(members, SWARM_NODES)} nodes of {SWARMS} swarms")
    tasks = [asyncio.create_task(work) for work in works]
    await until(lambda: monitor.counts.made >= count * members)
    measure.done(count * members, "subscriptions")
    for number in (messages // 10, messages):
        before = metrics.value("attempts_total", service="webpush", outcome="delivered")
        measure = Measure("told, queued, encrypted, delivered")
        process.stdin.write(b"%d\n" % number)
        process.stdin.flush()
        await until(
            lambda wanted=before + number: (
                metrics.value("attempts_total", service="webpush", outcome="delivered") >= wanted
            )
        )
        measure.done(number, "notifications")
    print(f"dropped: {sum(metrics.value('dropped_total', reason=one) for one in ('busy', 'full', 'device')):.0f}")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await service.close()
    process.kill()
    process.wait()


def main() -> None:
    """`bench/push.py`; prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subscriptions", type=int, default=100_000)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--at-once", type=int, default=64)
    parser.add_argument("--surroundings", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.surroundings:
        asyncio.run(surroundings())
        return
    limits.raise_open_files()
    limits.return_memory()
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(run(Path(directory), options.subscriptions, options.messages, options.members, options.at_once))


if __name__ == "__main__":
    main()
