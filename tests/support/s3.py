"""An S3 server of a test's own (moto), and how a program is told where it is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from urllib.request import Request, urlopen

import pytest

BUCKET = "files"


@contextlib.contextmanager
def running() -> Iterator[dict[str, str]]:
    """The environment in which `s3://files` is a bucket of this server's."""
    server_module = pytest.importorskip("moto.server")
    pytest.importorskip("obstore")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        with urlopen(Request(f"{url}/{BUCKET}", method="PUT"), timeout=10) as answer:
            assert answer.status == 200
        yield {
            "AWS_ENDPOINT": url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }
    finally:
        server.stop()
