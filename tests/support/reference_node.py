"""A node of the reference, storage server 2.8, in threads of the test: a second opinion of what a node is.

It shares no code with the node that is tested: OMQ is libzmq's, cryptography libsodium's and OpenSSL's, bencode a
package's. Everything of it happens on one event loop, in the order in which it came. QUIC it has none, so the network
is to be at hardfork 19.3, where nodes do not ask for it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime
import functools
import json
import random
import socket
import ssl
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import bencode2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from nacl import bindings

from allium.settings import keys
from tests.support.lone_node import UNASSIGNED, entry
from tests.support.reference_omq import ReferenceOmq
from tests.support.reference_onion import LayerError, ReferenceLayer, unframe
from tests.support.reference_rpc import base32z, forwarded, from_bencode, from_json, member_result, swarm_of, to_json
from tests.support.reference_store import Fields, Message, ReferenceStore, Refusal, now_ms

Entry = dict[str, Any]
T = TypeVar("T")
OLD, NAMING = (2, 8, 0), (2, 11, 3)
MEMBER_SECONDS, HOP_SECONDS, PUSH_SECONDS, PING_SECONDS = 5.0, 30.0, 15.0, 5.0
MOST_HOPS = 15
METHODS = [
    *("store", "retrieve", "delete", "delete_all", "delete_before", "expire", "expire_all", "revoke_subaccount"),
    *("unrevoke_subaccount", "get_swarm", "get_snodes_for_pubkey", "info", "batch", "sequence"),
]
BETWEEN_NODES = ["sn.ping", "sn.storage_cc", "sn.data", "sn.data_ready", "sn.onion_request", "sn.storage_test"]


@functools.cache
def certificate() -> bytes:
    """Key and certificate, as the reference makes them (`spec/transports` §1.1)."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    unsigned = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(10_000))
    signed = unsigned.sign(key, hashes.SHA256())
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    return key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + signed.public_bytes(pem)


class ReferenceNode:
    """A node, which keeps keys, ports and messages when it is stopped and started again."""

    def __init__(
        self,
        directory: Path,
        https_port: int,
        omq_port: int,
        swarm_id: int,
        chance: random.Random,
        version: tuple[int, int, int] = OLD,
    ) -> None:
        """From 2.11.3 on it names namespaces in transfers. Everything that may be so or so goes by `chance`."""
        self.keys = keys.generate()
        self.version, self.swarm_id = version, swarm_id
        self._https_port, self._omq_port, self._chance = https_port, omq_port, chance
        self._certificate = directory / f"cert-{omq_port}.pem"
        self._certificate.write_bytes(certificate())
        self._secret = bindings.crypto_sign_ed25519_sk_to_curve25519(self.keys.ed25519_secret)
        self.store = ReferenceStore(self.keys.ed25519_secret)
        self._network: list[Entry] = []
        self._hardfork = (19, 3)
        #: Mean seconds between two tests of others; none without.
        self.ping_every: float | None = None
        #: Whom it tested, how, and whether that passed.
        self.pings: list[tuple[str, str, bool]] = []
        #: Error frames that came, and exceptions that this side has no excuse for.
        self.errors: list[list[bytes]] = []
        self.faults: list[BaseException] = []
        self._thread: threading.Thread | None = None

    @property
    def entry(self) -> Entry:
        return {**entry(self.keys, self._https_port, self._omq_port, self.swarm_id), "version": list(self.version)}

    @property
    def key(self) -> str:
        return self.keys.ed25519_public.hex()

    # --- what tests do

    def start(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(ready)), name=f"reference-{self.key[:8]}")
        self._thread.start()
        assert ready.wait(30)

    def stop(self) -> None:
        """As a crash ends it: sockets close at once, and nothing is said."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join()
            self._thread = None

    def pause(self, seconds: float) -> None:
        """Reads nothing and does nothing for a while, with all its connections open."""
        self._loop.call_soon_threadsafe(time.sleep, seconds)

    def sees(self, *network: Entry, hardfork: tuple[int, int] = (19, 3)) -> None:
        """The network from now on; members that are new to the swarm are pushed all there is."""
        before = {node["pubkey_ed25519"] for node in self._network if node["swarm_id"] == self.swarm_id}
        self._network, self._hardfork = [dict(node) for node in network], hardfork
        for node in self._network:
            if node["pubkey_ed25519"] == self.key:
                self.swarm_id = node["swarm_id"]
        if self._thread is not None and self.key in before:
            new = [node for node in self._replicas() if node["pubkey_ed25519"] not in before]
            self._call(self._push_to(new))

    def ask(self, node: Entry, command: str, *parts: bytes, limit: float = 15.0) -> list[bytes] | None:
        """What another node answers to this one; `None` for nothing, or an error."""
        return self._call(self._omq.request(node, command, *parts, limit=limit))

    def trace(self, seconds: float) -> list[str]:
        """What came and went over OMQ in the last `seconds`."""
        since = time.time() - seconds
        return [f"{self.key[:8]} {event}" for event in list(self._omq.trace) if event[0] >= since]

    def holds(self, account: str) -> dict[str, Message]:
        """An account's messages, by hash."""

        async def look() -> dict[str, Message]:
            return {message.hash: message for message in self.store.of(bytes.fromhex(account), b"all")}

        if self._thread is None:
            return asyncio.run(look())
        return self._call(look())

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    # --- the loop

    async def _run(self, ready: threading.Event) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        commands = [*BETWEEN_NODES, *(f"storage.{method}" for method in METHODS)]
        self._omq = ReferenceOmq(
            self._omq_port, self._secret, self._chance, commands, self._is_active, self._answer_omq
        )
        self._omq.errors, self._omq.faults = self.errors, self.faults
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate)
        self._connections: set[socket.socket] = set()
        with socket.create_server(("127.0.0.1", self._https_port), backlog=128) as listener:
            listener.setblocking(False)
            async with self._omq:
                self._loop.add_reader(listener, self._accept_https, listener, context)
                self._omq.spawn(self._test_others())
                ready.set()
                await self._over.wait()
                self._loop.remove_reader(listener)
            # What was aborted is closed the next time round, and some were not served yet.
            await asyncio.sleep(0)
            for connection in self._connections:
                connection.close()

    def _replicas(self) -> list[Entry]:
        """The other members of its swarm."""
        replicas = [node for node in self._network if node["swarm_id"] == self.swarm_id != UNASSIGNED]
        return [node for node in replicas if node["pubkey_ed25519"] != self.key]

    def _is_active(self, x25519: bytes) -> bool:
        active = (node for node in self._network if node["swarm_id"] != UNASSIGNED)
        return any(node["pubkey_x25519"] == x25519.hex() for node in active)

    async def _push_to(self, nodes: list[Entry]) -> None:
        for node in nodes:
            self._omq.spawn(self._push(node))

    async def _push(self, node: Entry) -> None:
        """All there is, once; newer ones first want to hear that it is taken."""
        while self.version >= NAMING:
            if await self._omq.request(node, "sn.data_ready") == [b"OK"]:
                break
            await asyncio.sleep(1)
        await self._omq.request(node, "sn.data", self._blob(), limit=PUSH_SECONDS)

    # --- between nodes

    async def _answer_omq(self, key: bytes, command: str, parts: list[bytes]) -> list[bytes] | None:
        match command, parts:
            case "sn.ping", _:
                return [b"pong"]
            case "sn.data", _:
                return self._take_blob(b"".join(parts))
            case "sn.data_ready", _:
                replicas = {node["pubkey_x25519"] for node in self._replicas()}
                return [b"OK" if key.hex() in replicas else b"Swarm mismatch"]
            case "sn.storage_test", [_, name]:
                named = name.hex() if len(name) == 64 else base64.b64encode(name).decode().rstrip("=")
                message = self.store.messages.get(named)
                return [b"other"] if message is None else [b"OK", message.data]
            case "sn.storage_test", _:
                return [b"wrong request"]
            case "sn.onion_request", [dict_]:
                status, body = await self._hop(bencode2.bdecode(dict_))
                return [str(status).encode(), body]
            case "sn.storage_cc", [method, params]:
                return self._carry_out(method.decode(), params)
            case "sn.storage_cc", [] | [_]:
                return None
        if len(parts) > 1:
            return [b"400", b"Invalid request: expected 1 message parts, received %d" % len(parts)]
        return await self._answer_client(command.removeprefix("storage."), parts[0] if parts else b"{}")

    def _carry_out(self, method: str, params: bytes) -> list[bytes]:
        """A command that another node passes on."""
        try:
            fields = from_bencode(bencode2.bdecode(params))
            if self.store.is_recursive(method):
                self._require_ours(fields)
            return [bencode2.bencode(self.store.execute(method, fields, forwarded=True))]
        except Refusal as refusal:
            told = refusal.body if isinstance(refusal.body, bytes) else bencode2.bencode(refusal.body)
            return [str(refusal.code).encode(), told]

    def _blob(self) -> bytes:
        """All messages; before 2.11.3, of nobody knows which namespace (`spec/swarms` §4)."""
        naming = self.version >= NAMING
        return b"\x01" + bencode2.bencode(
            [
                [one.account, one.hash, one.timestamp, one.expiry, one.data, *([one.namespace] if naming else [])]
                for one in self.store.messages.values()
            ]
        )

    def _take_blob(self, blob: bytes) -> list[bytes]:
        if blob[:1] == b"\x01":
            for account, name, timestamp, expiry, data, *more in bencode2.bdecode(blob[1:]):
                namespace = more[0] if more and self.version >= NAMING else 0
                self.store.insert(Message(account, namespace, name.decode(), timestamp, expiry, data))
        return []

    # --- clients

    async def _answer_client(self, method: str, body: bytes) -> list[bytes]:
        """Over OMQ: in the encoding of the question (`spec/transports` §2.4)."""
        binary = body[:1] == b"d"
        try:
            params = from_bencode(bencode2.bdecode(body)) if binary else from_json(json.loads(body or b"{}"))
            result = await self._execute(method, params)
            return [bencode2.bencode(result) if binary else json.dumps(to_json(result)).encode()]
        except Refusal as refusal:
            told = refusal.body
            if not isinstance(told, bytes):
                told = bencode2.bencode(told) if binary else json.dumps(to_json(told)).encode()
            return [str(refusal.code).encode(), told]

    async def _answer_json(self, body: bytes) -> tuple[int, Any]:
        """Over HTTPS and in onions: status, and JSON or a text."""
        try:
            request = json.loads(body)
            method, params = request["method"], request["params"]
        except (ValueError, KeyError, TypeError):
            return 400, "invalid json"
        if method not in METHODS:
            return 400, f"no method {method}"
        try:
            return 200, to_json(await self._execute(method, from_json(params)))
        except Refusal as refusal:
            return refusal.code, refusal.body.decode() if isinstance(refusal.body, bytes) else to_json(refusal.body)

    async def _execute(self, method: str, fields: Fields) -> Any:
        """The result of a client's request; `Refusal`."""
        told = {"t": now_ms(), "hf": list(self._hardfork)}
        try:
            if self.store.is_recursive(method):
                return {**await self._tell_swarm(method, fields), **told}
            match method:
                case "info":
                    return {"version": list(self.version), "timestamp": now_ms(), **told}
                case "get_swarm" | "get_snodes_for_pubkey":
                    return {**self._swarm(fields["pubkey"]), **told}
                case "retrieve":
                    self._require_ours(fields)
                    page, more = self.store.retrieve(fields)
                    messages = [
                        {"hash": one.hash, "timestamp": one.timestamp, "expiration": one.expiry, "data": one.data}
                        for one in page
                    ]
                    return {"messages": messages, "more": more, **told}
                case _:
                    return await self._several(method, fields["requests"])
        except KeyError as missing:
            raise Refusal(400, f"invalid request: Required field {missing} missing") from missing

    async def _several(self, method: str, requests: list[dict[str, Any]]) -> Any:
        bodies = [json.dumps(request).encode() for request in requests]
        if method == "batch":
            answers = await asyncio.gather(*map(self._answer_json, bodies))
        else:
            answers = []
            for body in bodies:
                answers.append(await self._answer_json(body))
                if answers[-1][0] != 200:
                    break
        return {"results": [{"code": code, "body": body} for code, body in answers]}

    async def _tell_swarm(self, method: str, fields: Fields) -> Any:
        """Carries a command out here and at every other member, and waits for all of them (`spec/node-rpc` §3)."""
        self._require_ours(fields)
        own = self.store.execute(method, fields, forwarded=False)
        replicas, params = self._replicas(), forwarded(method, fields)
        tell = [
            self._omq.request(replica, "sn.storage_cc", method.encode(), params, limit=MEMBER_SECONDS)
            for replica in replicas
        ]
        answers = await asyncio.gather(*tell)
        results = {
            replica["pubkey_ed25519"]: member_result(answer) for replica, answer in zip(replicas, answers, strict=True)
        }
        top = {"hash": own["hash"]} if method == "store" else {}
        return {"swarm": {**results, self.key: own}, **top}

    def _require_ours(self, fields: Fields) -> None:
        swarm = self._swarm(fields["pubkey"])
        if swarm["swarm"] != f"{self.swarm_id:x}":
            raise Refusal(421, {**swarm, "t": now_ms(), "hf": list(self._hardfork)})

    def _swarm(self, account: bytes) -> dict[str, Any]:
        active = [node for node in self._network if node["swarm_id"] != UNASSIGNED]
        swarm = swarm_of(account, list({node["swarm_id"] for node in active}))
        snodes = [
            {
                "address": base32z(bytes.fromhex(node["pubkey_legacy"])) + ".snode",
                "ip": node["ip"],
                "port": str(node["https_port"]),
                "port_https": node["https_port"],
                "port_omq": node["omq_port"],
                "port_quic": node["omq_port"],
                **{name: node[name] for name in ("pubkey_legacy", "pubkey_ed25519", "pubkey_x25519")},
            }
            for node in active
            if node["swarm_id"] == swarm
        ]
        return {"snodes": snodes, "swarm": f"{swarm:x}"}

    # --- onions

    async def _hop(self, dict_: dict[bytes, Any]) -> tuple[int, bytes]:
        """A layer that another node passes on (`spec/onion` §4.3)."""
        try:
            hops = max(1, dict_[b"hop_no"])
            layer = (dict_[b"data"], dict_[b"ephemeral_key"], dict_[b"enc_type"].decode())
        except KeyError as missing:
            return 400, f"Invalid internal onion request: {missing}".encode()
        if hops > MOST_HOPS:
            return 400, b"onion request max path length exceeded"
        return await self._peel(*layer, hops)

    async def _enter(self, payload: bytes) -> tuple[int, bytes]:
        """A client's onion."""
        try:
            ciphertext, control = unframe(payload)
            key, cipher = bytes.fromhex(control["ephemeral_key"]), control.get("enc_type", "aes-gcm")
        except (LayerError, KeyError, ValueError) as error:
            return 400, f"Error parsing onion request: {error}".encode()
        return await self._peel(ciphertext, key, cipher, max(0, control.get("hop_no", 0)))

    async def _peel(self, ciphertext: bytes, ephemeral: bytes, cipher: str, hops: int) -> tuple[int, bytes]:
        try:
            layer = ReferenceLayer.between(self._secret, ephemeral, cipher)
            plaintext = layer.open(ciphertext)
        except LayerError:
            return 400, b"Invalid ciphertext"

        def reply(status: int, body: Any, control: dict[str, Any]) -> tuple[int, bytes]:
            text = body if isinstance(body, str) or control.get("json") else json.dumps(body)
            sealed = layer.seal(json.dumps({"status": status, "body": text}).encode())
            return 200, base64.b64encode(sealed) if control.get("base64", True) else sealed

        try:
            inner, control = unframe(plaintext)
            if "headers" in control:
                return reply(*await self._answer_json(inner), control)
            destination, key = control["destination"].lower(), bytes.fromhex(control["ephemeral_key"])
        except (LayerError, KeyError, ValueError):
            return reply(400, "Invalid json", {})
        node = next((node for node in self._network if node["pubkey_ed25519"] == destination), None)
        if node is None:
            return 502, f"Next node not found: {destination}".encode()
        passed = {
            "data": inner,
            "enc_type": control.get("enc_type", "aes-gcm"),
            "ephemeral_key": key,
            "hop_no": hops + 1,
        }
        answer = await self._omq.request(node, "sn.onion_request", bencode2.bencode(passed), limit=HOP_SECONDS)
        match answer:
            case None:
                return 504, b"Request time out"
            case [status, body, *_]:
                return int(status), body
        return 500, b"Invalid response from snode"

    # --- HTTPS

    def _accept_https(self, listener: socket.socket, context: ssl.SSLContext) -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            connection.setblocking(False)
            self._connections.add(connection)
            self._omq.spawn(self._serve_https(connection, context))

    async def _serve_https(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        with connection, contextlib.suppress(asyncio.IncompleteReadError, OSError):
            transport, _ = await self._loop.connect_accepted_socket(lambda: protocol, connection, ssl=context)
            try:
                writer = asyncio.StreamWriter(transport, protocol, reader, self._loop)
                while await self._serve_request(reader, writer):
                    pass
            finally:
                transport.abort()
        self._connections.discard(connection)

    async def _serve_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection is kept."""
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        status, kind, answer, extra = 200, "text/plain", b"", ""
        match method, path:
            case "POST", "/ping_test/v1":
                extra = f"X-Oxen-Snode-Pubkey: {base64.b64encode(self.keys.legacy_public).decode()}\r\n"
            case "POST", "/storage_rpc/v1":
                status, told = await self._answer_json(body)
                kind = "text/plain" if isinstance(told, str) else "application/json"
                answer = told.encode() if isinstance(told, str) else json.dumps(told).encode()
            case "POST", "/onion_req/v2":
                status, answer = await self._enter(body)
            case _:
                status, answer = 404, f"{method.lower()} {path} Not Found".encode()
        head = f"HTTP/1.1 {status} \r\nServer: Oxen Storage Server/2.8.0\r\nContent-Type: {kind}\r\n{extra}"
        writer.write(f"{head}Content-Length: {len(answer)}\r\n\r\n".encode() + answer)
        await writer.drain()
        return headers.get("connection", "").lower() != "close"

    # --- whether others are reached

    async def _test_others(self) -> None:
        """One of all others at random, now and then (`spec/swarms` §5.1)."""
        queue: list[Entry] = []
        while True:
            mean = self.ping_every
            await asyncio.sleep(0.1 if mean is None else max(0.0, self._chance.gauss(mean, mean * 0.3)))
            if mean is None:
                continue
            if not queue:
                queue = [node for node in self._network if node["pubkey_ed25519"] != self.key]
                self._chance.shuffle(queue)
            if queue:
                self._omq.spawn(self._test(queue.pop()))

    async def _test(self, node: Entry) -> None:
        omq, https = await asyncio.gather(
            self._omq.request(node, "sn.ping", limit=PING_SECONDS, outbound=True), self._ping_https(node)
        )
        self.pings += [(node["pubkey_ed25519"], "omq", omq is not None), (node["pubkey_ed25519"], "https", https)]

    async def _ping_https(self, node: Entry) -> bool:
        """Whether it names its legacy key."""
        # Without the authorities that the system trusts: to read them takes longer than all the rest.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            async with asyncio.timeout(PING_SECONDS):
                reader, writer = await asyncio.open_connection(node["ip"], node["https_port"], ssl=context)
                try:
                    host = base32z(bytes.fromhex(node["pubkey_ed25519"]))
                    writer.write(
                        f"POST /ping_test/v1 HTTP/1.1\r\nHost: {host}.snode\r\nContent-Length: 0\r\n\r\n".encode()
                    )
                    head = (await reader.readuntil(b"\r\n\r\n")).decode()
                finally:
                    writer.transport.abort()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return False
        names = base64.b64encode(bytes.fromhex(node["pubkey_legacy"])).decode()
        return " 200 " in head.split("\r\n")[0] + " " and names in head
