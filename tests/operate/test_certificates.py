"""TLS as clients of all kinds speak it, and certificates that operators put in place of the node's own."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from allium.devnet import ports
from allium.settings import keys
from allium.settings.config import commented_toml
from tests.support.command import allium
from tests.support.lone_node import LoneNode

openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")


@pytest.mark.parametrize("offered", [[], ["http/1.1"], ["http/1.0"], ["h2"], ["h2", "http/1.1"], ["spdy/1", "x" * 255]])
def test_whatever_a_client_offers_it_is_answered(lone_node: Callable[..., LoneNode], offered: list[str]) -> None:
    node = lone_node()
    node.sees(node.entry)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if offered:
        context.set_alpn_protocols(offered)
    with (
        socket.create_connection(("127.0.0.1", node.entry["https_port"]), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        # Nothing that the client did not offer, and nothing but what is spoken.
        assert secure.selected_alpn_protocol() in {None, *offered} - {"h2"}
        secure.sendall(b"GET /get_stats/v1 HTTP/1.0\r\n\r\n")
        answer = b""
        while part := secure.recv(4096):
            answer += part
    assert answer.startswith(b"HTTP/1.") and b" 200 OK\r\n" in answer and b'"version"' in answer


def make(directory: Path, *commands: str) -> None:
    for command in commands:
        subprocess.run(["openssl", *command.split()], cwd=directory, check=True, capture_output=True)


_REQUEST = "req -x509 -nodes -subj /CN=localhost -days 1 -keyout key.pem -out cert.pem -newkey"


def of_version_1(directory: Path) -> None:
    make(
        directory,
        "req -new -nodes -subj /CN=localhost -newkey rsa:2048 -keyout key.pem -out request",
        "x509 -req -in request -signkey key.pem -out cert.pem -days 1",
    )
    (directory / "request").unlink()


def with_another_key(directory: Path) -> None:
    make(directory, f"{_REQUEST} rsa:2048", "genpkey -algorithm RSA -out key.pem")


def of_a_weak_key(directory: Path) -> None:
    make(directory, f"{_REQUEST} rsa:1024")


def empty(directory: Path) -> None:
    make(directory, f"{_REQUEST} rsa:2048")
    (directory / "cert.pem").write_bytes(b"")


def with_an_empty_key(directory: Path) -> None:
    make(directory, f"{_REQUEST} rsa:2048")
    (directory / "key.pem").write_bytes(b"")


def of_something_else(directory: Path) -> None:
    make(directory, f"{_REQUEST} rsa:2048")
    (directory / "cert.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


WRONG: dict[Callable[[Path], None], str] = {
    of_version_1: "cert.pem",
    with_another_key: "key.pem",
    of_a_weak_key: "key.pem",
    empty: "cert.pem",
    with_an_empty_key: "key.pem",
    of_something_else: "cert.pem",
}


@openssl
@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
def test_a_certificate_that_cannot_serve_is_named(
    lone_node: Callable[..., LoneNode], wrong: Callable[[Path], None], tmp_path: Path
) -> None:
    directory = tmp_path / "node"
    directory.mkdir()
    wrong(directory)
    with ports.reserve(2) as [https, omq], pytest.raises(ValueError, match=f"{directory / WRONG[wrong]}: ") as refusal:
        LoneNode(directory, https, omq)
    assert "delete cert.pem and key.pem" in str(refusal.value)


@openssl
def test_nobody_starts_again_with_such_a_certificate(tmp_path: Path) -> None:
    directory = tmp_path / "node"
    keys.create(directory)
    with ports.reserve(3) as [https, omq, metrics]:
        free = {"https_port": https, "omq_port": omq, "metrics_port": metrics}
    (directory / "network.json").write_text('{"nodes": []}')
    settings = commented_toml(data_dir=".", network_file="network.json", bind_ip="127.0.0.1", **free)
    (directory / "config.toml").write_text(settings)
    with_another_key(directory)
    done = allium("node", "run", "--config", str(directory / "config.toml"))
    assert done.returncode == 78 and str(directory / "key.pem") in done.stderr


@openssl
def test_a_certificate_of_another_kind_serves(lone_node: Callable[..., LoneNode], tmp_path: Path) -> None:
    directory = tmp_path / "node"
    directory.mkdir()
    make(directory, f"{_REQUEST} rsa:3072")
    with ports.reserve(2) as [https, omq]:
        node = LoneNode(directory, https, omq)
    node.engine.shutdown()
