"""Whoever is not the owner: other sites, other programs, and those who only want to keep the service busy."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from allium.messenger import calls, hub, wires
from tests.support import odd_http
from tests.support.messenger import Messenger
from tests.support.messenger_here import here


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Messenger]:
    made = Messenger(tmp_path_factory.mktemp("strangers"), None, "--port", "0").start()
    yield made
    made.close()


def test_a_link_is_good_once_and_a_browser_carries_what_no_script_reads(service: Messenger) -> None:
    browser = service.browser()
    link = service.do("POST", "/api/links")["url"]
    first = service.ask("GET", urlsplit(link).path + "?" + urlsplit(link).query, known=False)
    assert (first.status, first.headers["location"]) == (303, "/")
    cookie = first.headers["set-cookie"].lower()
    assert all(each in cookie for each in ("httponly", "samesite=strict", "path=/"))
    again = service.ask("GET", urlsplit(link).path + "?" + urlsplit(link).query, known=False)
    assert again.status == 403 and "set-cookie" not in again.headers
    with contextlib.suppress(OSError):
        browser.open(service.do("POST", "/api/links")["url"])
    with browser.open(service.url + "/api/state") as answer:
        assert json.load(answer)["locked"] is False
    [mine] = [each for each in json.load(browser.open(service.url + "/api/devices")) if each["current"]]
    service.do("DELETE", f"/api/devices/{mine['id']}")
    with pytest.raises(OSError, match="401"):
        browser.open(service.url + "/api/state")


def test_nobody_is_let_in_without_being_known(service: Messenger) -> None:
    for method, path in (
        ("GET", "/api/state"),
        ("POST", "/api/forget"),
        ("GET", "/api/openapi.json"),
        ("GET", "/api/"),
    ):
        refused = service.ask(method, path, {} if method == "POST" else None, known=False)
        assert (refused.status, refused.json["error"]) == (401, "unauthorized")
    wrong = {"Authorization": "Bearer " + "x" * 43, "Cookie": "allium=" + "x" * 43}
    assert service.ask("GET", "/api/state", headers=wrong).status == 401
    assert service.ask("GET", "/open?token=guessed", known=False).status == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1:1", "localhost.evil", ""])
def test_another_name_for_this_machine_is_not_answered(service: Messenger, host: str) -> None:
    refused = service.ask("GET", "/api/state", headers={"Host": host})
    assert refused.status == 421
    assert service.ask("GET", "/", headers={"Host": host}, known=False).status == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", "http://localhost:1"])
def test_another_site_is_not_answered(service: Messenger, origin: str) -> None:
    for method, path in (("GET", "/api/state"), ("POST", "/api/accounts"), ("GET", "/")):
        body = {"display_name": "Mallory"} if method == "POST" else None
        refused = service.ask(method, path, body, headers={"Origin": origin})
        assert (refused.status, refused.json["error"]) == (403, "forbidden")
        assert "access-control-allow-origin" not in refused.headers
    for headers in ({"Origin": origin}, {"Origin": origin, "Authorization": f"Bearer {service.token}"}, {}):
        with (
            pytest.raises(InvalidStatus, match="403"),
            connect(f"ws://{service.host}/api/events", additional_headers=headers),
        ):
            pass
    assert service.get("/api/state")["accounts"] == []


def test_what_is_said_twice_is_not_believed(service: Messenger) -> None:
    own, other = f"Origin: {service.url}", "Origin: http://evil.example"
    site = "Sec-Fetch-Site: same-origin"
    upgrade = (
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {'A' * 22}==",
    )
    port = int(service.host.rpartition(":")[2])
    forged = [(own, other), (other, own), (own, own), (own, "Origin: null"), (site, "Sec-Fetch-Site: cross-site")]
    for path, more in (("/", ()), ("/api/state", ()), ("/api/events", upgrade)):
        for lines, wanted in (
            *((each, b"403") for each in forged),
            ((f"Host: {service.host}",), b"400"),
            (("Host: evil",), b"400"),
        ):
            with socket.create_connection(("127.0.0.1", port)) as wire:
                wire.settimeout(60)
                wire.sendall(f"GET {path} HTTP/1.1\r\n".encode() + head(service.token, port, *lines, *more))
                told = wire.recv(1000).split()[1]
                # What opens a WebSocket may have seen already that it is none.
                assert told == wanted or (more and told == b"400"), (path, lines)


def test_a_form_of_another_site_changes_nothing(service: Messenger) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        refused = service.ask("POST", "/api/accounts", {"display_name": "M"}, headers={"Content-Type": kind})
        assert (refused.status, refused.json["error"]) == (415, "type")
    crossed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert service.ask("GET", "/", headers=crossed, known=False).status == 403
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert service.ask("GET", "/api/state", headers=followed).status == 403
    assert service.get("/api/state")["accounts"] == []


def test_every_answer_forbids_what_a_page_does_not_need(service: Messenger) -> None:
    for path, known in (
        ("/", False),
        ("/api/state", True),
        ("/api/state", False),
        ("/nothing", False),
        ("/open", False),
    ):
        headers = service.ask("GET", path, known=known).headers
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
        assert "geolocation=()" in headers["permissions-policy"]
        assert "server" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/../api-token",
        "/..%2f..%2fapi-token",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/assets/..%2f..%2f..%2fserver.py",
        "//etc/passwd",
        "/%00",
        "/api/accounts/..%2f..%2fetc/phrase",
        "/api/accounts/a1/attachments/..%2f1",
        "/api/accounts/a1/attachments/%2fetc%2fpasswd",
    ],
)
def test_no_path_leads_out(service: Messenger, path: str) -> None:
    answer = service.ask("GET", path)
    assert answer.status in (400, 404)
    assert service.token.encode() not in answer.body and b"root:" not in answer.body


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/unlock", b'{"password": 1}'),
        ("/api/unlock", b"{"),
        ("/api/unlock", b"[" * 100_000),
        ("/api/unlock", b'"\xff"'),
        ("/api/accounts", b'{"display_name": "\\ud800"}'),
        ("/api/accounts", b'{"display_name": "' + b"x" * 101 + b'"}'),
        ("/api/accounts", b'{"phrase": "one two three"}'),
        ("/api/accounts", b"{}"),
        # No row of a database has such a number.
        (f"/api/accounts/a1/conversations/05{'0' * 64}/messages", b'{"quote": 9223372036854775808}'),
        ("/api/accounts/a1/communities/c-/pin", b'{"message": -1}'),
    ],
)
def test_nonsense_is_refused_in_a_sentence(service: Messenger, path: str, body: bytes) -> None:
    refused = service.ask("POST", path, body, headers={"Content-Type": "application/json"})
    assert refused.status == 400
    assert refused.json["message"].endswith((".", "!"))
    assert service.get("/api/state")["accounts"] == []


def test_a_wrong_word_of_a_phrase_is_named(service: Messenger) -> None:
    words = "abbey " * 12 + "xylophonist"
    refused = service.ask("POST", "/api/accounts", {"phrase": words})
    assert (refused.status, refused.json["error"], refused.json["word"]) == (400, "phrase", 12)


def test_a_body_that_says_it_is_large_is_not_read(service: Messenger) -> None:
    head = f"Host: {service.host}\r\nAuthorization: Bearer {service.token}\r\nContent-Type: application/json\r\n"
    for length in ("10000000000", "9" * 4000, "1048577"):
        with socket.create_connection(("127.0.0.1", int(service.host.rpartition(":")[2]))) as wire:
            wire.settimeout(60)
            wire.sendall(f"POST /api/unlock HTTP/1.1\r\n{head}Content-Length: {length}\r\n\r\n".encode())
            assert wire.recv(1000).split()[1] in (b"413", b"400")


def head(token: str, port: int, *more: str) -> bytes:
    lines = [f"Host: 127.0.0.1:{port}", f"Authorization: Bearer {token}", *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def test_who_sends_no_more_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "PATIENCE", 0.1)
    monkeypatch.setattr(wires, "HEAD_SECONDS", 0.1)
    async with asyncio.timeout(60), here(tmp_path) as made:
        token, port = made.token, made.port
        for begun in (b"", b"GET / HT"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(begun)
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        sent = head(token, port, "Content-Type: application/json", "Content-Length: 100")
        writer.write(b"POST /api/unlock HTTP/1.1\r\n" + sent + b'{"pass')
        assert (await reader.readline()).split()[1] == b"408"
        writer.close()


async def test_who_takes_no_events_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wires, "STALL_SECONDS", 0.1)
    upgrade = (
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {'A' * 22}==",
    )
    async with asyncio.timeout(60), here(tmp_path) as made:
        service, token, port = made.service, made.token, made.port
        loop = asyncio.get_running_loop()
        with socket.create_connection(("127.0.0.1", port)) as wire:
            wire.setblocking(False)
            await loop.sock_sendall(wire, b"GET /api/events HTTP/1.1\r\n" + head(token, port, *upgrade))
            assert (await loop.sock_recv(wire, 20)).split()[1] == b"101"
            while service.hub.listeners:
                service.hub.tell("test", text="x" * 100_000)
                await asyncio.sleep(0)
            # What was on its way comes still, and then the end.
            with contextlib.suppress(ConnectionError):
                while await loop.sock_recv(wire, 1 << 20):
                    pass


def test_what_waits_for_a_listener_is_bounded() -> None:
    room = hub.Hub()
    listener = room.listen(None)
    assert listener is not None
    for _ in range(hub.MAX_WAITING + 1):
        room.tell("test")
    assert listener.lost
    others = [room.listen(None) for _ in range(hub.MAX_LISTENERS)]
    assert others[-1] is None


async def test_the_page_and_nothing_beside_it_is_served(tmp_path: Path) -> None:
    page = tmp_path / "page"
    (page / "assets").mkdir(parents=True)
    (page / "index.html").write_text("<!doctype html><title>It</title>")
    (page / "assets" / "a-1234.js").write_text("go()")
    (tmp_path / "secret").write_text("secret")
    (page / "link").symlink_to(tmp_path / "secret")
    async with here(tmp_path / "data", page=page) as made:
        for path in ("/", "/index.html"):
            answer = await made.aside(made.ask, "GET", path, known=False)
            assert (answer.status, answer.headers["cache-control"]) == (200, "no-cache")
            assert "default-src 'self'" in answer.headers["content-security-policy"]
        script = await made.aside(made.ask, "GET", "/assets/a-1234.js", known=False)
        assert (script.body, "immutable" in script.headers["cache-control"]) == (b"go()", True)
        assert script.headers["content-type"].startswith("text/javascript")
        for path in (
            "/link",
            "/../secret",
            "/..%2fsecret",
            "/assets/../../secret",
            "/%2e%2e/secret",
            "/assets",
            "/none",
        ):
            answer = await made.aside(made.ask, "GET", path, known=False)
            assert (answer.status, b"secret" in answer.body) == (404, False), path
        assert (await made.aside(made.ask, "GET", "/api/none")).json["error"] == "unknown"


async def test_requests_as_no_browser_sends_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    page = tmp_path / "page"
    (page / "assets").mkdir(parents=True)
    (page / "index.html").write_text("<!doctype html><title>It</title>")
    (page / "assets" / "a.js").write_text("go()")
    (tmp_path / "secret").write_text("s3cret")
    async with here(tmp_path / "data", page=page) as made:
        host = f"127.0.0.1:{made.port}"
        await made.aside(odd_http.pester, host, b"s3cret", made.token.encode())
        # A body that turns out to be none while the answer to it is on its way.
        known = f"Authorization: Bearer {made.token}\r\nContent-Type: application/json\r\n".encode()
        for end in (b"zz\r\n", b"5\r\nhello\r\nzz\r\n"):
            asked = odd_http.chunked(b"/api/unlock", known) + end
            statuses, _ = await made.aside(odd_http.asked, host, asked)
            assert statuses == [400]
        statuses, came = await made.aside(odd_http.asked, host, odd_http.REQUESTS["many at once"], odd_http.MANY)
        assert statuses == [200] * odd_http.MANY and b"<title>It</title>" in came
        # Nobody is sent elsewhere.
        assert (await made.aside(odd_http.asked, host, odd_http.target("//evil.example/..")))[0] == [404]
        assert (await made.aside(made.ask, "GET", "/api/state")).status == 200
    assert not [
        each.getMessage() for each in caplog.records if each.levelname in ("ERROR", "CRITICAL") or each.exc_info
    ]
