"""The file server beside nginx: downloads and uploads of 100 KB and 10 MB over 1, 16 and 64 connections.

nginx serves and writes (WebDAV) the same files on the same disk; it neither hashes nor syncs. The client is one process
that throws away what it receives in the kernel, so that most of the time is the server's. Processor time is the
server's alone, and says more than the rate on a machine that does other things. Downloads are measured by turns, and
the best of the rounds counts. The file server's other ways in, onion requests and QUIC, follow.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import json
import os
import secrets
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from allium import _native
from allium.devnet import ports
from allium.server import onion
from allium.settings import keys
from bench import files_quic
from tests.support.file_server import v4_layer, v4_request

SIZES = (100_000, 10_000_000)
CONNECTIONS = (1, 16, 64)
_BUFFER = 1 << 20
#: Files in the row that asks for each once.
_FILES = 600
#: Contents that uploads begin with are all different.
_UNIQUE = 32


@dataclass
class Server:
    """A process to measure, with those that it started."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    download: Callable[[int], bytes] = lambda _: b""
    upload: Callable[[int], bytes] = lambda _: b""

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        return sum(map(_cpu, [self.process.pid, *_children(self.process.pid)]))


@dataclass
class Exchange:
    """One connection: what is sent, and how much of the answer is yet to come."""

    sock: socket.socket
    sending: list[memoryview] = field(default_factory=list)
    #: Of the body; `None` while the head is not complete.
    left: int | None = None
    head: bytes = b""


def _cpu(pid: int) -> float:
    # Nanoseconds; the times in `stat` are ticks of 10 ms.
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def exchange(port: int, connections: int, requests: int, request: Callable[[], list[memoryview]]) -> float:
    """Seconds that so many requests take over these connections, each of which has one under way."""
    selector = selectors.DefaultSelector()
    buffer = bytearray(_BUFFER)
    begun = done = 0
    for _ in range(min(connections, requests)):
        made = socket.create_connection(("127.0.0.1", port))
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(made, selectors.EVENT_WRITE, Exchange(made, request()))
        begun += 1
    start = time.perf_counter()
    while done < requests:
        for key, events in selector.select():
            one: Exchange = key.data
            if events & selectors.EVENT_WRITE:
                if _send(one):
                    selector.modify(one.sock, selectors.EVENT_READ, one)
            elif _receive(one, buffer):
                done += 1
                if begun < requests:
                    one.sending, one.left, one.head = request(), None, b""
                    begun += 1
                    selector.modify(one.sock, selectors.EVENT_WRITE, one)
    took = time.perf_counter() - start
    for key in list(selector.get_map().values()):
        key.data.sock.close()
    return took


def _send(one: Exchange) -> bool:
    """Whether all is sent."""
    while one.sending:
        try:
            sent = one.sock.sendmsg(one.sending)
        except BlockingIOError:
            return False
        while one.sending and sent >= len(one.sending[0]):
            sent -= len(one.sending.pop(0))
        if sent:
            one.sending[0] = one.sending[0][sent:]
    return True


def _receive(one: Exchange, buffer: bytearray) -> bool:
    """Whether the answer is complete; its body is thrown away."""
    with contextlib.suppress(BlockingIOError):
        while one.left is None:
            got = one.sock.recv(4096)
            if not got:
                raise SystemExit(f"the server hung up: {one.head!r}")
            one.head += got
            head, end, body = one.head.partition(b"\r\n\r\n")
            if end:
                status = int(head.split()[1])
                if not 200 <= status < 300:
                    raise SystemExit(f"refused: {head.decode()}\n{body.decode(errors='replace')}")
                lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                one.left = (int(lengths[0].split(b":")[1]) if lengths else 0) - len(body)
        while one.left:
            # A stream's bytes are dropped without being copied.
            got_now = one.sock.recv_into(buffer, min(one.left, _BUFFER), socket.MSG_TRUNC)
            if not got_now:
                raise SystemExit("the server hung up")
            one.left -= got_now
    return one.left == 0


Transfers = Callable[[], float]


def measure(
    what: str, size: int, connections: int, requests: int, *measured: tuple[Server, Transfers], rounds: int = 1
) -> None:
    """Prints a row for each server, whose transfers are made by turns."""
    best = [(float("inf"), float("inf"))] * len(measured)
    for _ in range(rounds):
        for place, (server, transfers) in enumerate(measured):
            before = server.cpu()
            took = transfers()
            best[place] = min(best[place][0], took), min(best[place][1], server.cpu() - before)
    for (server, _), (took, cpu) in zip(measured, best, strict=True):
        ratio = f"  {took / best[-1][0]:>5.2f} x" if len(measured) > 1 else ""
        print(
            f"{what:<9} {size // 1000:>6} KB {connections:>3}  {server.name:<7} {requests / took:>9,.1f} /s "
            f"{requests * size / took / 1e6:>8,.0f} MB/s {cpu / requests * 1e3:>9.3f} ms CPU{ratio}",
            flush=True,
        )


def over_http(
    server: Server, connections: int, requests: int, request: Callable[[], list[memoryview]]
) -> tuple[Server, Transfers]:
    """What `measure` takes, for transfers by HTTP."""
    return server, lambda: exchange(server.port, connections, requests, request)


def contents(size: int) -> Callable[[], tuple[bytes, memoryview]]:
    """Contents that are all different, at no cost: a prefix, and the rest."""
    rest = memoryview(os.urandom(size - _UNIQUE))
    return lambda: (secrets.token_bytes(_UNIQUE), rest)


def allium(directory: Path, port: int) -> Server:
    """Our server."""
    data = directory / "allium"
    init = [sys.executable, "-m", "allium", "files", "init", "--data-dir", str(data), "--http-port", str(port)]
    subprocess.run(init, check=True, stdout=subprocess.DEVNULL)
    settings = {"BIND_IP": "127.0.0.1", "SOURCE_EXEMPT": "127.0.0.0/8", "METRICS_PORT": "", "MAX_BYTES": "200GB"}
    # A machine that does other things must not make it give up.
    settings |= {"IDLE_SECONDS": "600", "GRACE_SECONDS": "600"}
    environment = {**os.environ, **{f"ALLIUM_FILES_{name}": value for name, value in settings.items()}}
    process = subprocess.Popen(
        [sys.executable, "-m", "allium", "files", "serve", "--data-dir", str(data)],
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    _await(port)
    return Server("allium", port, process)


def nginx(directory: Path, port: int, program: str) -> Server:
    """nginx, with a worker for each core."""
    root = directory / "nginx"
    (root / "files").mkdir(parents=True)
    config = root / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    config.write_text(
        f"""{user} worker_processes auto; daemon off; pid {root}/pid; error_log {root}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; client_max_body_size 100m;
    client_body_temp_path {root}/body; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u;
    scgi_temp_path {root}/s;
    server {{ listen 127.0.0.1:{port}; location / {{ root {root}/files; dav_methods PUT; }} }}
}}
"""
    )
    process = subprocess.Popen([program, "-p", str(root), "-c", str(config)], stderr=subprocess.DEVNULL)
    _await(port)
    return Server("nginx", port, process)


def _await(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _put(server: Server, data: bytes) -> str:
    """Stores one file; its path."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    if server.name == "nginx":
        path = f"/{secrets.token_hex(8)}"
        connection.request("PUT", path, data)
        connection.getresponse().read()
        return path
    connection.request("POST", "/file", data)
    return f"/file/{json.loads(connection.getresponse().read())['id']}"


def _get(path: str) -> Callable[[], list[memoryview]]:
    wire = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    return lambda: [memoryview(wire)]


def _post(server: Server, size: int) -> Callable[[], list[memoryview]]:
    fresh = contents(size)

    def request() -> list[memoryview]:
        prefix, rest = fresh()
        line = f"PUT /{prefix.hex()}" if server.name == "nginx" else "POST /file"
        head = f"{line} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()
        return [memoryview(head + prefix), rest]

    return request


def _layers(x25519: bytes, plaintexts: list[bytes]) -> Callable[[], list[memoryview]]:
    """Requests in layers, made before."""
    payloads: Iterator[bytes] = iter([v4_layer(x25519, plaintext)[0] for plaintext in plaintexts])

    def request() -> list[memoryview]:
        payload = next(payloads)
        head = f"POST {onion.PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(payload)}\r\n\r\n".encode()
        return [memoryview(head), memoryview(payload)]

    return request


def limits(directory: Path, size: int = 10_000_000, times: int = 12) -> None:
    """What an upload cannot be faster than: the disk, and the hash."""
    data = os.urandom(size)
    start = time.perf_counter()
    for number in range(times):
        with (directory / f"synced-{number}").open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    disk = time.perf_counter() - start
    start = time.perf_counter()
    for _ in range(times):
        hashlib.blake2b(data, digest_size=33).digest()
    hashed = time.perf_counter() - start
    for left in directory.glob("synced-*"):
        left.unlink()
    print(f"limits    {size // 1000:>6} KB      disk {times / disk:,.1f} /s   hash {times / hashed:,.1f} /s, alone")


def layer_cost(seed: bytes) -> None:
    """What the onion layer costs by itself."""
    _, x25519, secret = _native.node_keys(seed)
    for size in SIZES:
        payload, _ = v4_layer(x25519, v4_request("POST", "/file", body=os.urandom(size)))
        opened = onion.open_layer(secret, payload)
        for what, work in (
            ("open", lambda payload=payload: onion.parse(onion.open_layer(secret, payload).plaintext)),
            ("seal", lambda opened=opened: opened.seal(opened.plaintext)),
        ):
            best = min(_timed(work) for _ in range(10))
            print(f"layer     {size // 1000:>6} KB      {what} {best * 1e3:.2f} ms, {size / best / 1e6:,.0f} MB/s")


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nginx", default=shutil.which("nginx"), help="the program")
    parser.add_argument("--bytes", type=int, default=600_000_000, help="to move for each row of large files")
    parser.add_argument("--rounds", type=int, default=5, help="of each row of downloads by HTTP")
    parser.add_argument("--only", choices=("download", "upload", "onion", "quic"), action="append", help="these rows")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="bench-files-", dir=os.environ.get("TMPDIR")) as name,
        ports.reserve(2) as (first, second),
    ):
        directory = Path(name)
        limits(directory)
        servers = [allium(directory, first)]
        if options.nginx:
            servers.append(nginx(directory, second, options.nginx))
        try:
            rows = {
                "download": lambda: _downloads(servers, options.bytes, options.rounds),
                "upload": lambda: _uploads(servers, options.bytes),
                "onion": lambda: _onion(servers[0], directory, options.bytes),
                "quic": lambda: _quic(servers[0], directory, options.bytes),
            }
            for name in options.only or rows:
                rows[name]()
        finally:
            for server in servers:
                server.process.terminate()
                server.process.wait()


def _counted(size: int, most: int) -> int:
    return most // size if size > 1_000_000 else min(3000, most // size)


def _downloads(servers: Sequence[Server], most: int, rounds: int) -> None:
    for size in SIZES:
        data = os.urandom(size)
        asked = [_get(_put(server, data)) for server in servers]
        for connections in CONNECTIONS:
            requests = max(connections, _counted(size, most))
            measured = [
                over_http(server, connections, requests, get) for server, get in zip(servers, asked, strict=True)
            ]
            measure("download", size, connections, requests, *measured, rounds=rounds)
    _each_once(servers, SIZES[0])


def _each_once(servers: Sequence[Server], size: int) -> None:
    """Files that nobody has asked for before, as most are: what remembers them is of no use."""
    measured = []
    for server in servers:
        fresh = contents(size)
        wires = iter([_get(_put(server, b"".join(fresh()))) for _ in range(_FILES)])
        measured.append(over_http(server, 16, _FILES, lambda wires=wires: next(wires)()))
    measure("each once", size, 16, _FILES, *measured)


def _uploads(servers: Sequence[Server], most: int) -> None:
    for size in SIZES:
        for connections in CONNECTIONS:
            requests = max(connections, _counted(size, most))
            measured = [over_http(server, connections, requests, _post(server, size)) for server in servers]
            measure("upload", size, connections, requests, *measured)


def _quic(server: Server, directory: Path, most: int) -> None:
    key = _native.node_keys(keys.load_ed25519(directory / "allium")[:32])[0]
    for size in SIZES:
        get, put = files_quic.get(_put(server, os.urandom(size))), files_quic.put(contents(size), size)
        for connections in CONNECTIONS:
            requests = max(connections, min(500, most // 2 // size))
            for what, request in (("quic get", get), ("quic put", put)):

                def transfers(request: Callable[[], list[memoryview]] = request) -> float:
                    return files_quic.exchange(server.port, key, connections, requests, request)  # noqa: B023

                measure(what, size, connections, requests, (server, transfers))


def _onion(server: Server, directory: Path, most: int) -> None:
    seed = keys.load_ed25519(directory / "allium")[:32]
    layer_cost(seed)
    x25519 = _native.node_keys(seed)[1]
    for size in SIZES:
        path = _put(server, os.urandom(size))
        for connections in CONNECTIONS:
            requests = max(connections, min(500, most // 2 // size))
            get = [v4_request("GET", path)] * requests
            row = over_http(server, connections, requests, _layers(x25519, get))
            measure("onion get", size, connections, requests, row)
            # All payloads are in memory before the first is sent.
            requests = min(requests, 60)
            put = [v4_request("POST", "/file", body=os.urandom(size)) for _ in range(requests)]
            row = over_http(server, connections, requests, _layers(x25519, put))
            measure("onion put", size, connections, requests, row)


if __name__ == "__main__":
    main()
