"""A site of strangers on https, with pages that a test gives it."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from allium.client.addresses import Address

LOOPBACK = ipaddress.ip_address("127.0.0.1")
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class WebSite:
    """Answers for every name in `names`, each page by its path; remembers what was asked."""

    def __init__(self, port: int, trust: ssl.SSLContext) -> None:
        self.port = port
        self.trust = trust
        self.pages: dict[str, Answer] = {}
        self.asked: list[str] = []

    def page(self, path: str, body: bytes | str, content_type: str = "text/html", **headers: str) -> None:
        """A page that is always the same."""

        async def answer(_: web.Request) -> web.Response:
            data = body.encode() if isinstance(body, str) else body
            return web.Response(body=data, headers={"Content-Type": content_type, **headers})

        self.pages[path] = answer

    def redirect(self, path: str, target: str) -> None:
        async def answer(_: web.Request) -> web.Response:
            return web.Response(status=302, headers={"Location": target})

        self.pages[path] = answer

    async def resolve(self, host: str, port: int) -> list[tuple[Address, int]]:
        """Every name is here, whatever the port."""
        return [(LOOPBACK, self.port)]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.host}{request.path_qs}")
        if (found := self.pages.get(request.path)) is None:
            raise web.HTTPNotFound
        return await found(request)


@contextlib.asynccontextmanager
async def web_site(directory: Path, *names: str) -> AsyncIterator[WebSite]:
    """Serves until the block ends."""
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    _certify(certificate, key, names)
    trust = ssl.create_default_context(cafile=str(certificate))
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(certificate, key)
    site = WebSite(0, trust)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", site.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, str(LOOPBACK), 0, ssl_context=serving).start()
    site.port = runner.addresses[0][1]
    try:
        yield site
    finally:
        await runner.cleanup()


def _certify(certificate: Path, key_file: Path, names: tuple[str, ...]) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
