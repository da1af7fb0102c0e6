"""The service as a process: it takes its directory, opens the accounts, listens, and ends tidily."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import os
import signal
import socket
import urllib.request
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from allium.base.pidfile import pid_file
from allium.client.transfers.transfer import FileServer
from allium.errors import Complaint
from allium.messenger.access import Access
from allium.messenger.app import application
from allium.messenger.pairing import Door, Pairing
from allium.messenger.places import Places, read_json, write_json
from allium.messenger.service import Service
from allium.messenger.web_push import PushServer
from allium.messenger.wires import EventsWire, HttpWire

LOOPBACK = "127.0.0.1"
#: Where it listens unless that is taken: one place, so that a browser finds its page again. And for telephones.
PORT, NETWORK_PORT = 22480, 22481
MAX_CONNECTIONS = 256
#: Of a message that a page sends over the WebSocket, where it has nothing to say, bytes.
_MAX_FRAME = 4096
_BACKLOG = 128
#: What is under way may take so long at the end, seconds.
_PATIENCE = 5


@dataclass(frozen=True)
class Wanted:
    """What was asked for."""

    directory: Path
    seeds: Sequence[str] = ()
    #: None: `PORT`, or any other if that is taken.
    port: int | None = None
    #: `ADDRESS` or `ADDRESS:PORT` at which telephones come in; empty for none.
    listen: str = ""
    file_server: FileServer | None = None
    #: What wakes browsers whose page is closed.
    push_server: FileServer | None = None
    version: str = ""
    #: What is asked for moving pictures in place of GIPHY, with the same API.
    gif_provider: str = ""


@dataclass(frozen=True)
class Ready:
    """What is told once it serves."""

    #: Opens the messenger once.
    link: str
    #: What a telephone opens, and the certificate's fingerprint; empty without `listen`.
    telephone: str = ""
    fingerprint: str = ""


class ListenError(Complaint):
    """It cannot listen there."""


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Nothing."""
        yield


async def serve(wanted: Wanted, ready: Callable[[Ready], object]) -> None:
    """Serves until SIGINT or SIGTERM. `InUseError` where another one does already, `ListenError`."""
    places = Places(wanted.directory)
    with pid_file(wanted.directory), contextlib.ExitStack() as stack:
        listener = stack.enter_context(_listen(LOOPBACK, wanted.port, PORT))
        port = listener.getsockname()[1]
        origins = {f"http://{host}:{port}" for host in (LOOPBACK, "localhost")}
        sockets, pairing = [listener], Pairing()
        options: list[dict[str, Any]] = [{}]
        if wanted.listen:
            network, pairing, found = _network(wanted.listen, places, origins)
            sockets.append(stack.enter_context(network))
            options.append(found)
        service, access = _service(wanted, places), Access(places)
        app = application(service, access, origins, pairing)
        servers = [_Server(configuration(app, **each)) for each in options]
        async with _stopped_by_signals(servers):
            starting = asyncio.create_task(service.start())
            try:
                write_json(places.running, {"url": f"http://{LOOPBACK}:{port}", "pid": os.getpid()})
                link = f"http://{LOOPBACK}:{port}/open?token={access.link()}"
                telephone = pairing.link(pairing.code()) if pairing.door is not None else ""
                ready(Ready(link, telephone, pairing.door.fingerprint if pairing.door is not None else ""))
                await asyncio.gather(*(each.serve([own]) for each, own in zip(servers, sockets, strict=True)))
            finally:
                starting.cancel()
                await asyncio.gather(starting, return_exceptions=True)
                await service.close()
                places.running.unlink(missing_ok=True)


def _service(wanted: Wanted, places: Places) -> Service:
    push = PushServer(wanted.push_server) if wanted.push_server is not None else None
    return Service(
        places,
        seeds=wanted.seeds,
        version=wanted.version,
        file_server=wanted.file_server,
        push_server=push,
        gif_provider=wanted.gif_provider,
    )


def running_elsewhere(directory: Path) -> str | None:
    """A link to the service that has this directory already; None if it does not answer."""
    found = read_json(directory / "running.json")
    try:
        token = (directory / "api-token").read_text().strip()
        request = urllib.request.Request(  # noqa: S310 - our own file says where
            f"{found['url']}/api/links",
            b"{}",
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as answer:
            return str(json.loads(answer.read(1 << 16))["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _network(listen: str, places: Places, origins: set[str]) -> tuple[socket.socket, Pairing, dict[str, Any]]:
    """What listens to telephones; `origins` are given its addresses."""
    # Only this needs a certificate, and the packages for one.
    from allium.messenger import certificate

    host, _, port = listen.partition(":")
    if not (port or "1").isdecimal():
        raise ListenError(f"--listen takes ADDRESS or ADDRESS:PORT, not {listen[:80]!r}")
    try:
        address = str(ipaddress.ip_address(socket.gethostbyname(host)))
    except OSError:
        raise ListenError(
            f"--listen: {host[:80]!r} is no address here; name one of this machine's, or 0.0.0.0"
        ) from None
    network = _listen(address, int(port) if port else None, NETWORK_PORT)
    chosen = network.getsockname()[1]
    names = list(dict.fromkeys([*([] if host == address else [host]), *certificate.own_addresses(address)]))
    path = places.directory / "certificate.pem"
    fingerprint = certificate.prepare(path, names)
    origins |= {f"https://{each}:{chosen}" for each in names}
    door = Door(f"https://{names[0]}:{chosen}", fingerprint)
    return network, Pairing(door), {"ssl_certfile": path, "ssl_keyfile": path}


def _listen(address: str, port: int | None, usual: int) -> socket.socket:
    for each in (usual, 0) if port is None else (port,):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, each))
            # Whoever follows the link at once waits until it is answered.
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            if each == 0 or port is not None:
                raise ListenError(f"cannot listen at {address}:{each} ({error.strerror}); choose another") from None
            continue
        return listener
    raise AssertionError


def configuration(app: Any, **options: Any) -> uvicorn.Config:
    """How it is served."""
    return uvicorn.Config(
        app,
        log_config=None,
        # What strangers send that is no request is nobody's business.
        log_level="error",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        lifespan="off",
        http=HttpWire,
        ws=EventsWire,
        ws_max_size=_MAX_FRAME,
        ws_per_message_deflate=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_PATIENCE,
        h11_max_incomplete_event_size=64 << 10,
        **options,
    )


@contextlib.asynccontextmanager
async def _stopped_by_signals(servers: Sequence[uvicorn.Server]) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def stop(*_: object) -> None:
        for each in servers:
            # Asked twice, it does not wait for anybody.
            each.force_exit = each.should_exit
            each.should_exit = True

    try:
        for number in numbers:
            loop.add_signal_handler(number, stop)
    except NotImplementedError:
        # Of Windows' loop.
        for number in numbers:
            signal.signal(number, stop)
    try:
        yield
    finally:
        with contextlib.suppress(NotImplementedError):
            for number in numbers:
                loop.remove_signal_handler(number)
