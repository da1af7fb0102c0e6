"""Every request of `spec/files-and-calls` §1 over a real socket, by HTTP and in an onion layer: the exact answers."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import time
from typing import Any

import aiohttp
import pytest
from nacl import bindings

from tests.files.conftest import Make
from tests.support.file_server import FileServer, through_layer
from tests.support.reference_onion import CBC, GCM, XCHACHA

FORTNIGHT = 14 * 86_400
OCTETS = {"Content-Type": "application/octet-stream"}


def name_of(data: bytes) -> str:
    digest = hashlib.blake2b(data, digest_size=33, salt=b"SessionFileSvr\0\0").digest()
    return base64.urlsafe_b64encode(digest).decode()


async def upload(http: aiohttp.ClientSession, server: FileServer, data: bytes, **headers: str) -> dict[str, Any]:
    async with http.post(f"{server.url}/file", data=io.BytesIO(data), headers={**OCTETS, **headers}) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.headers["Content-Type"] == "application/json"
        told: dict[str, Any] = await answer.json()
        return told


async def fetch(http: aiohttp.ClientSession, url: str) -> tuple[int, bytes]:
    async with http.get(url) as answer:
        return answer.status, await answer.read()


async def refused(answer: aiohttp.ClientResponse, status: int) -> None:
    assert answer.status == status
    assert await answer.json() == {"status_code": status}


@pytest.mark.parametrize("size", [1, 1000, 65_536, 262_144, 262_145, 3_000_000, 10_000_000])
async def test_what_is_uploaded_comes_back(http: aiohttp.ClientSession, file_server: FileServer, size: int) -> None:
    data, before = os.urandom(size), time.time()
    told = await upload(http, file_server, data)
    assert set(told) == {"id", "uploaded", "expires"}
    assert told["id"] == name_of(data)
    assert before <= told["uploaded"] <= time.time()
    assert told["expires"] - told["uploaded"] == pytest.approx(FORTNIGHT, abs=1e-3)
    assert isinstance(told["uploaded"], float) and isinstance(told["expires"], float)
    assert await fetch(http, f"{file_server.url}/file/{told['id']}") == (200, data)
    status, info = await fetch(http, f"{file_server.url}/file/{told['id']}/info")
    assert status == 200
    assert json.loads(info) == {"size": size, "uploaded": told["uploaded"], "expires": told["expires"]}


async def test_the_specified_vector_has_its_name(http: aiohttp.ClientSession, file_server: FileServer) -> None:
    # Deterministic encryption has a vector of its own; here it is the hash alone.
    told = await upload(http, file_server, b"hello attachment")
    assert told["id"] == name_of(b"hello attachment") and len(told["id"]) == 44


async def test_no_browser_shows_or_runs_a_file(http: aiohttp.ClientSession, file_server: FileServer) -> None:
    told = await upload(http, file_server, b"<html><script>alert(1)</script></html>", **{"Content-Type": "text/html"})
    async with http.get(f"{file_server.url}/file/{told['id']}") as answer:
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Disposition"] == "attachment"
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"


async def test_a_time_to_live_is_kept_within_bounds(http: aiohttp.ClientSession, file_server: FileServer) -> None:
    for asked, lives in (("3600", 3600), ("1", 30), ("99999999", FORTNIGHT), ("soon", FORTNIGHT), ("-5", FORTNIGHT)):
        told = await upload(http, file_server, os.urandom(100), **{"X-FS-TTL": asked})
        assert told["expires"] - told["uploaded"] == pytest.approx(lives, abs=1e-3), asked


async def test_the_same_bytes_are_one_file(http: aiohttp.ClientSession, file_server: FileServer) -> None:
    data = os.urandom(5000)
    first = await upload(http, file_server, data, **{"X-FS-TTL": "600"})
    longer = await upload(http, file_server, data, **{"X-FS-TTL": "7200"})
    shorter = await upload(http, file_server, data, **{"X-FS-TTL": "60"})
    assert first["id"] == longer["id"] == shorter["id"]
    assert first["uploaded"] == longer["uploaded"] == shorter["uploaded"]
    assert first["expires"] < longer["expires"] == shorter["expires"]
    blobs = [path for path in (file_server.directory / "blobs").rglob("*") if path.is_file()]
    assert sum(path.read_bytes() == data for path in blobs) == 1


async def test_extend(http: aiohttp.ClientSession, file_server: FileServer) -> None:
    told = await upload(http, file_server, os.urandom(100), **{"X-FS-TTL": "600"})
    url = f"{file_server.url}/file/{told['id']}/extend"
    async with http.post(url, headers={"X-FS-TTL": "60"}) as answer:
        assert await answer.json() == {"size": 100, "uploaded": told["uploaded"], "expires": told["expires"]}
    async with http.post(url) as answer:
        assert answer.status == 200
        longer = await answer.json()
    assert longer["uploaded"] == told["uploaded"]
    assert longer["expires"] == pytest.approx(time.time() + FORTNIGHT, abs=30)
    async with http.post(f"{file_server.url}/file/{name_of(b'?')}/extend") as answer:
        await refused(answer, 404)


async def test_legacy_requests(http: aiohttp.ClientSession, file_server: FileServer) -> None:
    for size in (1, 100, 700_001):
        data = os.urandom(size)
        async with http.post(f"{file_server.url}/files", json={"file": base64.b64encode(data).decode()}) as answer:
            assert await answer.json() == {"status_code": 200, "result": name_of(data)}
        async with http.get(f"{file_server.url}/files/{name_of(data)}") as answer:
            told = await answer.json()
        assert told == {"status_code": 200, "result": base64.b64encode(data).decode()}
    for body in (b"{", b"[]", b'{"file": 5}', b'{"file": "%%%"}', b"{}", b'{"file":' * 9000):
        async with http.post(f"{file_server.url}/files", data=body) as answer:
            await refused(answer, 400)


async def test_what_is_not_there(http: aiohttp.ClientSession, file_server: FileServer) -> None:
    for path in (
        f"/file/{name_of(b'nobody sent this')}",
        f"/file/{name_of(b'nobody sent this')}/info",
        "/file/1234567890123456",
        "/file/12345678901234567890123",
        "/file/",
        "/file/..%2f..%2fkey_ed25519",
        "/file/../key_ed25519",
        "/files/key_ed25519",
        "/",
        "//file",
        "/file/x/y/z",
        "/session_version",
        "/session_version?platform=beos",
        "/oxen/v3/lsrpc",
    ):
        async with http.get(f"{file_server.url}{path}") as answer:
            await refused(answer, 404)


async def test_what_is_only_looked_at_is_told_without_its_bytes(
    http: aiohttp.ClientSession, file_server: FileServer
) -> None:
    for size in (10, 1 << 20):
        async with http.post(f"{file_server.url}/file", data=os.urandom(size)) as answer:
            name = (await answer.json())["id"]
        for path in (f"/file/{name}", f"/file/{name}/info", "/file/nobody"):
            async with http.get(f"{file_server.url}{path}") as whole, http.head(f"{file_server.url}{path}") as head:
                assert (head.status, await head.read()) == (whole.status, b"")
                assert head.headers["Content-Length"] == whole.headers["Content-Length"]


async def test_wrong_methods(http: aiohttp.ClientSession, file_server: FileServer) -> None:
    for method, path, allowed in (
        ("GET", "/file", "POST"),
        ("PUT", "/file", "POST"),
        ("DELETE", f"/file/{name_of(b'x')}", "GET"),
        ("GET", f"/file/{name_of(b'x')}/extend", "POST"),
        ("POST", "/session_version", "GET"),
        ("GET", "/oxen/v4/lsrpc", "POST"),
    ):
        async with http.request(method, f"{file_server.url}{path}") as answer:
            assert answer.headers["Allow"] == allowed
            await refused(answer, 405)


async def test_numbers_for_old_clients(http: aiohttp.ClientSession, make_server: Make) -> None:
    server = make_server(numeric_ids=True)
    data = os.urandom(1000)
    told = await upload(http, server, data)
    assert told["id"].isdecimal() and 10**15 <= int(told["id"]) < 2**53
    assert (await upload(http, server, data))["id"] == told["id"]
    for name in (told["id"], name_of(data)):
        assert await fetch(http, f"{server.url}/file/{name}") == (200, data)
    async with http.post(f"{server.url}/file/{told['id']}/extend") as answer:
        await refused(answer, 404)
    async with http.post(f"{server.url}/files", json={"file": base64.b64encode(data).decode()}) as answer:
        assert await answer.json() == {"status_code": 200, "result": int(told["id"])}


class TestVersions:
    FILE: dict[str, Any] = {  # noqa: RUF012
        "desktop": {
            "result": "1.17.2",
            "updated": 1_700_000_000.5,
            "name": "Session 1.17.2",
            "notes": "what is new",
            "assets": [{"name": "a.deb", "url": "https://example.com/a.deb"}],
            "secret": "not told",
            "prerelease": {"result": "1.18.0"},
            "alpha": {"result": "1.19.0"},
        },
        "ios": "nonsense",
    }

    @pytest.fixture(scope="class")
    @staticmethod
    def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
        from allium.devnet import ports

        directory = tmp_path_factory.mktemp("versions")
        versions = directory / "versions.json"
        versions.write_text(json.dumps(TestVersions.FILE))
        with ports.reserve(1) as [port]:
            server = FileServer(directory, port, versions_file=str(versions))
            server.start()
            yield server
            server.stop()

    def signed(self, method: str, target: str, timestamp: int) -> dict[str, str]:
        seed = hashlib.blake2b(bytes(32), digest_size=32, key=b"VersionCheckKey_sig").digest()
        public, secret = bindings.crypto_sign_seed_keypair(seed)
        signature = bindings.crypto_sign(f"{timestamp}{method}{target}".encode(), secret)[:64]
        return {
            "X-FS-Pubkey": "07" + public.hex(),
            "X-FS-Timestamp": str(timestamp),
            "X-FS-Signature": base64.b64encode(signature).decode(),
        }

    async def test_versions_are_told(self, http: aiohttp.ClientSession, server: FileServer) -> None:
        status, body = await fetch(http, f"{server.url}/session_version?platform=desktop")
        wanted = {name: self.FILE["desktop"][name] for name in ("result", "updated", "name", "notes", "assets")}
        prerelease = {"result": "1.18.0", "updated": 1_700_000_000.5}
        assert (status, json.loads(body)) == (200, {"status_code": 200, **wanted, "prerelease": prerelease})
        status, body = await fetch(http, f"{server.url}/session_version?platform=desktop&release_channel=alpha")
        assert json.loads(body)["result"] == "1.19.0"
        for platform in ("android", "ios"):
            status, body = await fetch(http, f"{server.url}/session_version?platform={platform}")
            assert (status, json.loads(body)) == (502, {"status_code": 502})

    async def test_a_changed_file_is_read_again(self, http: aiohttp.ClientSession, server: FileServer) -> None:
        self.write(server, json.dumps({"android": {"result": "9.9"}}))
        try:
            status, body = await fetch(http, f"{server.url}/session_version?platform=android")
            assert status == 200 and json.loads(body)["result"] == "9.9"
            self.write(server, "{ broken")
            status, body = await fetch(http, f"{server.url}/session_version?platform=android")
            assert status == 200 and json.loads(body)["result"] == "9.9"
        finally:
            self.write(server, json.dumps(self.FILE))

    def write(self, server: FileServer, versions: str) -> None:
        (server.directory.parent / "versions.json").write_text(versions)

    async def test_signatures(self, http: aiohttp.ClientSession, server: FileServer) -> None:
        target, now = "/session_version?platform=desktop", int(time.time())
        good = self.signed("GET", target, now)
        without = {name: value for name, value in good.items() if name != "X-FS-Signature"}
        for headers, status in (
            (good, 200),
            (self.signed("GET", target, now - 86_000), 200),
            (self.signed("GET", target, now - 86_500), 425),
            (self.signed("GET", target, now + 86_500), 425),
            (self.signed("POST", target, now), 401),
            (self.signed("GET", "/session_version?platform=ios", now), 401),
            (without, 400),
            ({**good, "X-FS-Pubkey": "05" + good["X-FS-Pubkey"][2:]}, 400),
            ({**good, "X-FS-Pubkey": "07" + "ff" * 32}, 400),
            ({**good, "X-FS-Pubkey": "zz"}, 400),
            ({**good, "X-FS-Signature": "AAAA"}, 400),
            ({**good, "X-FS-Timestamp": "9" * 5000}, 400),
            ({**good, "X-FS-Timestamp": "-1"}, 400),
        ):
            async with http.get(server.url + target, headers=headers) as answer:
                assert answer.status == status, (headers, await answer.text())
            inner = await through_layer(http, server, "GET", target, headers=headers)
            assert inner.code == status


@pytest.mark.parametrize("cipher", [GCM, XCHACHA, CBC])
@pytest.mark.parametrize("size", [1, 40_000, 70_000, 10_000_000])
async def test_in_an_onion_layer(http: aiohttp.ClientSession, file_server: FileServer, cipher: str, size: int) -> None:
    data = os.urandom(size)
    sent = await through_layer(http, file_server, "POST", "/file", headers=OCTETS, body=data, cipher=cipher)
    assert sent.code == 200 and sent.json()["id"] == name_of(data)
    assert sent.headers["content-type"] == "application/json"
    got = await through_layer(http, file_server, "GET", f"/file/{name_of(data)}", cipher=cipher)
    assert (got.code, got.body) == (200, data)
    assert got.headers["content-type"] == "application/octet-stream"
    info = await through_layer(http, file_server, "GET", f"file/{name_of(data)}/info", cipher=cipher)
    assert info.json() == {"size": size, "uploaded": sent.json()["uploaded"], "expires": sent.json()["expires"]}
    headers = {"X-FS-TTL": 60}
    extended = await through_layer(
        http, file_server, "POST", f"/file/{name_of(data)}/extend", headers=headers, cipher=cipher
    )
    assert extended.json() == info.json()
    missing = await through_layer(http, file_server, "GET", f"/file/{name_of(b'no')}", cipher=cipher)
    assert (missing.code, missing.json()) == (404, {"status_code": 404})
